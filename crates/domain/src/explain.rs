//! What would happen, and which rule decided: the very decisions, looked at and thrown away.

use crate::actor::Actor;
use crate::change::RuleStep;
use crate::context::Context;
use crate::denial::Denial;
use crate::enrollment;
use crate::ids::{ChallengeId, ClientId, RecoverySetId, TicketId};
use crate::login::{self, CheckLogin, LoginFresh, Verdict};
use crate::policy::{DelegatedAction, ProofKind};
use crate::recovery::FreshSet;
use crate::secret::SecretBytes;
use crate::status::{self, OwnAction};
use crate::team::{self, Delegated, Party};
use crate::user::UserState;
use uuid::Uuid;

/// What a login or an action would be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It would go ahead, proofs given, and the second approver where a step asks for one.
    Allowed,
    /// A proof would be asked.
    ChallengeRequired,
    /// The user would have to enroll.
    EnrollmentRequired,
    /// Codes would not be evaluated.
    LockedOut,
    /// It would be denied.
    Denied,
}

/// Why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What would be told.
    pub expected: Expected,
    /// The rules that were asked; the last one decided.
    pub steps: Vec<RuleStep>,
    /// The proofs that it needs.
    pub required_proofs: Vec<ProofKind>,
    /// Why it would be denied.
    pub blocked: Option<Denial>,
}

/// Explains a login without an answer.
pub fn login(state: &UserState, ctx: &Context<'_>, command: &CheckLogin) -> Explanation {
    let command = CheckLogin { answer: None, ..command.clone() };
    let decision = login::check(state, ctx, &command, &nothing_fresh());
    let mut steps = decision.steps;
    let (expected, blocked) = match decision.outcome {
        Ok(Verdict::Allowed(_)) => (Expected::Allowed, None),
        Ok(Verdict::ChallengeRequired(_)) => (Expected::ChallengeRequired, None),
        Ok(Verdict::EnrollmentRequired(_)) => (Expected::EnrollmentRequired, None),
        Ok(Verdict::LockedOut(_)) => (Expected::LockedOut, None),
        Ok(Verdict::Refused(_)) => (Expected::Denied, None),
        Err(denial) => {
            steps.push(step_of(&denial));
            (Expected::Denied, Some(denial))
        }
    };
    let asks = matches!(expected, Expected::ChallengeRequired | Expected::LockedOut);
    let second = asks.then_some(ProofKind::SecondFactor);
    let required_proofs = std::iter::once(ProofKind::FirstFactor).chain(second).collect();
    Explanation { expected, steps, required_proofs, blocked }
}

/// Explains what a user may do to their own.
pub fn own_action(state: &UserState, ctx: &Context<'_>, action: OwnAction) -> Explanation {
    let status = status::status(state, ctx);
    let available = status.actions.into_iter().find(|available| available.action == action);
    let (required_proofs, blocked) =
        available.map(|own| (own.required_proofs, own.blocked)).unwrap_or_default();
    let needs = match action {
        OwnAction::Enroll => enrollment::proofs_to_add(state, ctx).0,
        OwnAction::RemoveAuthenticator | OwnAction::Disable | OwnAction::GenerateRecoveryCodes => {
            "disable.required_proofs"
        }
        // No policy asks for more than the session.
        OwnAction::Rename | OwnAction::RevokeRememberedClients => "",
    };
    explained(blocked, required_proofs, needs)
}

/// Explains what somebody may do to another user.
pub fn delegated_action(
    state: &UserState,
    ctx: &Context<'_>,
    action: DelegatedAction,
    (actor, actor_state): (&Actor, &UserState),
) -> Explanation {
    let command = Delegated {
        by: Party { actor, state: actor_state },
        actor_code: None,
        second: None,
        justification: "",
        preview: true,
    };
    let blocked = match action {
        DelegatedAction::ResetMember => team::reset_member(state, ctx, &command).outcome.err(),
        DelegatedAction::DisableMember => team::disable_member(state, ctx, &command).outcome.err(),
        DelegatedAction::UnlockMember => team::unlock_member(state, ctx, &command).outcome.err(),
        DelegatedAction::IssueTicket => {
            team::issue_ticket(state, ctx, &command, TicketId::from_uuid(Uuid::nil())).outcome.err()
        }
    };
    let mut told = explained(blocked, team::required_proofs(ctx, actor, action), "delegation");
    if told.blocked.is_none() && team::needs_second_approver(ctx, actor, action) {
        if told.required_proofs.is_empty() {
            // That nothing more is needed would not be true.
            told.steps.clear();
        }
        let finding = "a second person must approve";
        told.steps.push(RuleStep { field: "delegation.second_approver", finding });
    }
    told
}

fn explained(blocked: Option<Denial>, required_proofs: Vec<ProofKind>, needs: &'static str) -> Explanation {
    let decided = match &blocked {
        Some(denial) => step_of(denial),
        None if required_proofs.is_empty() => RuleStep { field: needs, finding: "nothing more is needed" },
        None => RuleStep { field: needs, finding: "the proofs named are needed" },
    };
    let expected = if blocked.is_some() { Expected::Denied } else { Expected::Allowed };
    Explanation { expected, steps: vec![decided], required_proofs, blocked }
}

/// The field that a denial goes back to.
fn step_of(denial: &Denial) -> RuleStep {
    let (field, finding) = match denial {
        Denial::FirstFactorStale { .. } => {
            ("first_factor.max_age", "the first factor is too old, or from before it was changed")
        }
        Denial::FirstFactorNotAllowed { .. } => {
            ("first_factor.allowed_methods", "this first factor does not count")
        }
        Denial::FirstFactorTimeInvalid => ("", "the first factor lies in the future"),
        Denial::ProofRequired { .. } => ("first_factor.max_age", "a first factor is needed"),
        Denial::ActorPermissionMissing { .. } => ("delegation.permissions", "the actor lacks a permission"),
        Denial::ActorNotTeamManager => {
            ("delegation.grant", "the actor is not a manager of the member's team")
        }
        Denial::ActorTwoFactorMissing => {
            ("delegation.actor_needs_two_factor", "the actor has no second factor")
        }
        Denial::SecondApproverRequired => ("delegation.second_approver", "a second person must approve"),
        Denial::SecondApproverUnfit { .. } => ("delegation.second_approver", "the second person may not"),
        Denial::ActionNotAllowed { policy_field } => (*policy_field, "the policy does not provide for it"),
        Denial::TwoFactorMandatory | Denial::LastAuthenticator => {
            ("requirement.mode", "the second factor is mandatory")
        }
        Denial::AuthenticatorTypeNotAllowed { .. } => ("allowed_types", "this kind is not allowed"),
        Denial::OtherAuthenticatorRequired => {
            ("security_key.requires_other_type", "another kind must come first")
        }
        Denial::AuthenticatorLimitReached { .. } => {
            ("enrollment.max_authenticators", "there are as many as allowed")
        }
        Denial::RecoveryCodesOff => ("recovery_codes.enabled", "there are no recovery codes"),
        Denial::UserLocked { .. } => ("lockout", "too many wrong codes"),
        Denial::TwoFactorNotEnabled => ("", "the user has no second factor"),
        Denial::ActorNotSubject | Denial::ActorIsSubject => ("", "the wrong person acts"),
        Denial::FieldInvalid { .. }
        | Denial::ProofIncorrect { .. }
        | Denial::ConfirmationIncorrect { .. }
        | Denial::EnrollmentExpired
        | Denial::EnrollmentTicketInvalid
        | Denial::ChallengeInvalid
        | Denial::ResourceNotFound { .. }
        | Denial::AuthenticatorExists
        | Denial::DisplayNameExists => ("", "the state of the user does not allow it"),
        Denial::SendTooSoon { .. } => ("sms.resend_interval", "a text message was sent a moment ago"),
        Denial::DeliveryUnavailable => ("sms.delivery", "nobody delivers text messages"),
    };
    RuleStep { field, finding }
}

/// Nothing of an explanation is committed or handed out, so nothing in it need be random.
fn nothing_fresh() -> LoginFresh {
    let nil = Uuid::nil();
    LoginFresh {
        challenge: ChallengeId::from_uuid(nil),
        ticket: TicketId::from_uuid(nil),
        client: ClientId::from_uuid(nil),
        recovery: FreshSet { id: RecoverySetId::from_uuid(nil), entropy: SecretBytes::new(Vec::new()) },
    }
}
