//! What managers and administrators do to others: reset, switch off, unlock, hand out a ticket.
//!
//! Checks stand in the order of ruling 12: oneself, permission or team, the actor's own second factor, their fresh
//! proof, the target's state. Operators and jobs are the service's own people and need no delegation rule.

use crate::actor::{Actor, Principal};
use crate::change::Decision;
use crate::context::{Context, Draft, Purpose};
use crate::denial::Denial;
use crate::enrollment::{self, IssuedTicket};
use crate::event::{Event, EventType};
use crate::ids::TicketId;
use crate::policy::{DelegatedAction, Delegation, FirstEnrollment, Grant, ProofKind};
use crate::presented::PresentedProof;
use crate::proof::{self, ProofField, Proofs};
use crate::requirement;
use crate::user::{Authenticator, ClientClaims, DirectoryEntry, Standing, TicketIssuer, UserState};

/// The detail that names the second person who approved, as [`Principal`] displays.
pub const SECOND_APPROVER: &str = "second_approver";

/// An actor with what this service knows of them.
#[derive(Debug, Clone, Copy)]
pub struct Party<'a> {
    /// Who, in the caller's word.
    pub actor: &'a Actor,
    /// Their own state; the default for operators and jobs.
    pub state: &'a UserState,
}

/// A command of one user on another.
#[derive(Debug, Clone, Copy)]
pub struct Delegated<'a> {
    /// Who acts.
    pub by: Party<'a>,
    /// A code of the actor, where the policy wants a fresh proof.
    pub actor_code: Option<&'a PresentedProof>,
    /// Who approves, where the policy wants a second person.
    pub second: Option<Party<'a>>,
    /// Why, in the actor's words; kept with the event (B39). At most 500 characters.
    pub justification: &'a str,
    /// Whether only to say what would happen: no proof is evaluated, nobody need have approved yet, and nothing is
    /// committed (ruling 6). Who is named as the second person is looked at.
    pub preview: bool,
}

/// Makes a member enroll anew: everything old is dead, the result is "must enroll" and never "off" (B41, R35).
pub fn reset_member(
    state: &UserState,
    ctx: &Context<'_>,
    command: &Delegated<'_>,
) -> Decision<Result<(), Denial>> {
    delegated(state, ctx, command, DelegatedAction::ResetMember, |draft, event| {
        if !draft.next.is_on() {
            return Err(Denial::TwoFactorNotEnabled);
        }
        draft.next.strip(&ctx.policy.lockout, ctx.now);
        draft.next.failures.forgive();
        draft.next.requirement.must_enroll = true;
        draft.lead_owner(event);
        Ok(())
    })
}

/// Switches a member's second factor off (B38).
pub fn disable_member(
    state: &UserState,
    ctx: &Context<'_>,
    command: &Delegated<'_>,
) -> Decision<Result<(), Denial>> {
    delegated(state, ctx, command, DelegatedAction::DisableMember, |draft, event| {
        if !draft.next.is_on() {
            return Err(Denial::TwoFactorNotEnabled);
        }
        if requirement::is_mandatory(&draft.next, ctx) {
            return Err(Denial::TwoFactorMandatory);
        }
        draft.next.strip(&ctx.policy.lockout, ctx.now);
        // Who is off cannot be unlocked any more, and would be locked out straight after enrolling anew.
        draft.next.failures.forgive();
        draft.lead_owner(event);
        Ok(())
    })
}

/// Lifts a member's lock and re-enables what too many failures disabled (R13, R15).
pub fn unlock_member(
    state: &UserState,
    ctx: &Context<'_>,
    command: &Delegated<'_>,
) -> Decision<Result<(), Denial>> {
    delegated(state, ctx, command, DelegatedAction::UnlockMember, |draft, event| {
        if !draft.next.is_on() {
            return Err(Denial::TwoFactorNotEnabled);
        }
        // A security key is disabled because it was copied: that no manager can take back. It is bound anew.
        let mut codes = draft.next.authenticators.iter().filter(|own| own.kind().takes_codes());
        if draft.next.failures.locked_until(ctx.now).is_none() && codes.all(Authenticator::is_active) {
            // Nothing changes, so the owner is told nothing, and who is guessing gets no new budget.
            draft.lead(event);
            return Ok(());
        }
        draft.next.failures.forgive();
        for authenticator in draft.next.authenticators.iter_mut().filter(|own| own.kind().takes_codes()) {
            authenticator.standing = Standing::Active;
            authenticator.consecutive_failures = 0;
        }
        draft.lead_owner(event);
        Ok(())
    })
}

/// Hands out a ticket for a first enrollment, where the policy wants a manager to (R24).
pub fn issue_ticket(
    state: &UserState,
    ctx: &Context<'_>,
    command: &Delegated<'_>,
    id: TicketId,
) -> Decision<Result<IssuedTicket, Denial>> {
    delegated(state, ctx, command, DelegatedAction::IssueTicket, |draft, event| {
        if ctx.policy.requirement.first_enrollment != FirstEnrollment::ManagerTicket {
            return Err(Denial::ActionNotAllowed { policy_field: "requirement.first_enrollment" });
        }
        if draft.next.is_on() {
            return Err(Denial::AuthenticatorExists);
        }
        draft.next.tickets.retain(|older| older.issuer != TicketIssuer::Manager);
        // Whoever will use it is not known, and so no device.
        let issued = enrollment::issue_ticket(draft, ctx, id, TicketIssuer::Manager, ClientClaims::default());
        draft.lead_owner(event);
        Ok(issued)
    })
}

/// The proofs of the actor that an action needs.
pub fn required_proofs(ctx: &Context<'_>, actor: &Actor, action: DelegatedAction) -> Vec<ProofKind> {
    match rule_over(ctx, actor, action) {
        Some(rule) if rule.actor_needs_fresh_proof => vec![ProofKind::SecondFactor],
        _ => Vec::new(),
    }
}

/// Whether an action needs a second person beside the actor.
pub fn needs_second_approver(ctx: &Context<'_>, actor: &Actor, action: DelegatedAction) -> bool {
    rule_over(ctx, actor, action).is_some_and(|rule| rule.second_approver)
}

/// The rule that says what an action asks of the actor; `None` for operators and jobs too.
fn rule_over<'a>(ctx: &Context<'a>, actor: &Actor, action: DelegatedAction) -> Option<&'a Delegation> {
    ctx.policy.delegation_for(action).filter(|_| matches!(actor.principal, Principal::User(_)))
}

/// Authorises, then changes the target, which tells the event that it is given. A charge on the actor stands whatever becomes
/// of the target.
fn delegated<T>(
    state: &UserState,
    ctx: &Context<'_>,
    command: &Delegated<'_>,
    action: DelegatedAction,
    change: impl FnOnce(&mut Draft, Event) -> Result<T, Denial>,
) -> Decision<Result<T, Denial>> {
    let mut target = Draft::new(state, ctx);
    let rule = match authorise(&target.next, ctx, command, action) {
        Ok(rule) => rule,
        Err(denial) => return Decision::unchanged(Err(denial), state),
    };
    let mut proved = None;
    if rule.is_some_and(|rule| rule.actor_needs_fresh_proof) && !command.preview {
        let Decision { outcome, effect, .. } = prove(ctx, command);
        proved = Some(effect.own);
        if let Err(denial) = outcome {
            // The target stays as it is, what was charged to the actor does not.
            let mut decision = Decision::unchanged(Err(denial), state);
            decision.effect.actor = proved;
            return decision;
        }
    }
    let outcome = change(&mut target, event(command, action, rule));
    if let (Some(own), Err(_)) = (&mut proved, &outcome)
        && own.events.is_empty()
    {
        // The code was right and has served its one call, although nothing came of it (B32, R5). What is told is committed.
        let refused = Event::new(EventType::LoginRefused).with("finding", "action_denied");
        own.events.push(Purpose::Change.tell(refused));
    }
    let mut decision = target.decide(outcome);
    decision.effect.actor = proved;
    decision
}

/// What stands in the log of it: why, and, where a second person had to approve, who did (B39).
fn event(command: &Delegated<'_>, action: DelegatedAction, rule: Option<&Delegation>) -> Event {
    let event = Event::new(match action {
        DelegatedAction::ResetMember => EventType::MemberReset,
        DelegatedAction::DisableMember => EventType::MemberDisabled,
        DelegatedAction::UnlockMember => EventType::UserUnlocked,
        DelegatedAction::IssueTicket => EventType::TicketIssued,
    });
    let event = event.with("justification", command.justification);
    match command.second.filter(|_| rule.is_some_and(|rule| rule.second_approver)) {
        Some(second) => event.with(SECOND_APPROVER, second.actor.principal.to_string()),
        None => event,
    }
}

/// The rule that lets the actor do it; `None` for operators and jobs, who need none.
fn authorise<'a>(
    target: &UserState,
    ctx: &Context<'a>,
    command: &Delegated<'_>,
    action: DelegatedAction,
) -> Result<Option<&'a Delegation>, Denial> {
    if command.by.actor.is(&ctx.user.user) {
        return Err(Denial::ActorIsSubject);
    }
    if !matches!(command.by.actor.principal, Principal::User(_)) {
        return Ok(None);
    }
    let rule =
        ctx.policy.delegation_for(action).ok_or(Denial::ActionNotAllowed { policy_field: "delegation" })?;
    eligible(target, ctx, rule, command.by)?;
    if rule.second_approver {
        match command.second {
            Some(second) => approves(target, ctx, rule, command.by, second)?,
            // That one is needed is part of what a preview says: `needs_second_approver`.
            None if command.preview => {}
            None => return Err(Denial::SecondApproverRequired),
        }
    }
    Ok(Some(rule))
}

/// Whether the second person is another one than the actor and the member, and may act on the target as the actor may.
fn approves(
    target: &UserState,
    ctx: &Context<'_>,
    rule: &Delegation,
    by: Party<'_>,
    second: Party<'_>,
) -> Result<(), Denial> {
    if second.actor.principal == by.actor.principal || second.actor.is(&ctx.user.user) {
        return Err(Denial::SecondApproverRequired);
    }
    eligible(target, ctx, rule, second).map_err(|why| Denial::SecondApproverUnfit { why: Box::new(why) })
}

/// Whether one person may act on the target under the rule.
fn eligible(
    target: &UserState,
    ctx: &Context<'_>,
    rule: &Delegation,
    party: Party<'_>,
) -> Result<(), Denial> {
    // A disabled account acts on nobody, whatever the caller vouches for.
    let disabled = party.state.is_account_disabled();
    match rule.grant {
        Grant::Permissions => {
            let lacks = |named: &&String| disabled || !party.actor.permissions.contains(named);
            let missing: Vec<_> = rule.permissions.iter().filter(lacks).cloned().collect();
            if !missing.is_empty() {
                return Err(Denial::ActorPermissionMissing { missing });
            }
        }
        Grant::TeamManager => {
            let nobody = DirectoryEntry::default();
            let own = party.state.directory.as_ref().unwrap_or(&nobody);
            let theirs = target.directory.as_ref().unwrap_or(&nobody);
            if disabled || !own.manages(theirs, rule.peers) {
                return Err(Denial::ActorNotTeamManager);
            }
        }
    }
    // One that serves: a key that signs for nobody any more proves nothing of its owner.
    if rule.actor_needs_two_factor && party.state.serving(ctx).next().is_none() {
        return Err(Denial::ActorTwoFactorMissing);
    }
    Ok(())
}

/// Evaluates the actor's code against the actor's own factor and budget (R12).
fn prove(ctx: &Context<'_>, command: &Delegated<'_>) -> Decision<Result<(), Denial>> {
    let Some(user) = command.by.actor.user_in(&ctx.user.tenant) else {
        return Decision::unchanged(Ok(()), command.by.state);
    };
    let own = Context { user: &user, ..*ctx };
    let given = Proofs { first_factor: None, code: command.actor_code.cloned() };
    Draft::on(command.by.state, &own, |draft| {
        proof::demand(draft, &own, &[ProofKind::SecondFactor], &given, ProofField::ActorProof)
    })
}
