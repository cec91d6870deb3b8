//! May this login go ahead? The check, the challenge and its answer.
//!
//! A verdict is data: only [`Verdict::Allowed`] starts a session. Everything that is not a verdict (a missing or stale
//! first factor, a malformed code, a dead challenge) is a [`Denial`].

use amr::{amr, trusts_federated_mfa};
use offer::{challenge, lock_out, without_way};

use crate::change::Decision;
use crate::clients;
use crate::context::{Context, Draft};
use crate::denial::Denial;
use crate::enrollment;
use crate::event::{Event, EventType};
use crate::ids::{AuthenticatorId, ChallengeId, ClientId, TicketId};
use crate::policy::{AuthenticatorType, ChallengeMode};
use crate::presented::PresentedProof;
use crate::proof::{self, Evaluated, Presented, ProofField};
use crate::recovery::{self, FreshSet};
use crate::requirement::{self, Demand};
use crate::secret::SecretString;
use crate::token::Opened;
use crate::user::{ChallengePurpose, ClientClaims, FirstFactor, TicketIssuer, UserState};

pub use verdict::{
    Allowed, Assurance, EnrollmentRequired, Ground, LockedOut, Method, Named, Offer, RefusedReason, Verdict,
};

mod amr;
mod offer;
mod verdict;

/// A login that passed its first factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckLogin {
    /// The caller's word about the first factor.
    pub first_factor: Option<FirstFactor>,
    /// The device.
    pub client: ClientClaims,
    /// The token of a remembered client.
    pub client_token: Option<SecretString>,
    /// A code that the login form carried already.
    pub answer: Option<PresentedProof>,
    /// Whether the user chose to have this client remembered.
    pub remember_client: bool,
    /// What it is for.
    pub purpose: ChallengePurpose,
}

/// What a login may need that is drawn at random.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginFresh {
    /// For a challenge.
    pub challenge: ChallengeId,
    /// For an enrollment ticket.
    pub ticket: TicketId,
    /// For a remembered client.
    pub client: ClientId,
    /// For a set of recovery codes in the place of the one that was used up.
    pub recovery: FreshSet,
}

/// The answer to a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerChallenge {
    /// The opened challenge.
    pub challenge: Opened<ChallengeId>,
    /// The code.
    pub answer: PresentedProof,
    /// Whether the user chose to have this client remembered.
    pub remember_client: bool,
}

/// Decides a login.
pub fn check(
    state: &UserState,
    ctx: &Context<'_>,
    command: &CheckLogin,
    fresh: &LoginFresh,
) -> Decision<Result<Verdict, Denial>> {
    Draft::on(state, ctx, |draft| check_on(draft, ctx, command, fresh))
}

fn check_on(
    draft: &mut Draft,
    ctx: &Context<'_>,
    command: &CheckLogin,
    fresh: &LoginFresh,
) -> Result<Verdict, Denial> {
    draft.prove_for(command.purpose.into());
    let first = proof::first_factor(ctx, &draft.next, command.first_factor.as_ref())?;
    if let Some(PresentedProof::SecurityKey(_)) = &command.answer {
        let problem = "answers a challenge, and none was asked yet: call without it, then AnswerChallenge";
        return Err(Denial::FieldInvalid { field: ProofField::Answer.credential(), problem });
    }
    if let Some(answer) = &command.answer {
        proof::check_shape(draft, ctx, answer, ProofField::Answer)?;
    }
    draft.step("first_factor.max_age", "the first factor is fresh and of an accepted kind");
    if draft.next.is_account_disabled() {
        draft.step("", "the directory says that the account is disabled");
        return Ok(refuse(draft, RefusedReason::UserDisabled, "user_disabled"));
    }
    if !draft.next.is_on() {
        draft.step("", "the user has no second factor");
        return Ok(without_factor(draft, ctx, command, first, fresh));
    }
    draft.step("", "the user has a second factor");
    if command.purpose == ChallengePurpose::Login
        && let Some(ground) = spared(draft, ctx, command, first)
    {
        return Ok(allow(draft, ctx, first, ground));
    }
    let asked =
        Asked { purpose: command.purpose, first, client: &command.client, presented: Presented::WithLogin };
    if let Some(verdict) = without_way(draft, ctx) {
        return Ok(verdict);
    }
    match &command.answer {
        None => Ok(challenge(draft, ctx, &asked, fresh.challenge)),
        Some(answer) => {
            let remember = command.remember_client && command.purpose == ChallengePurpose::Login;
            Ok(answered(draft, ctx, &asked, answer, remember, fresh))
        }
    }
}

/// Decides the answer to a challenge.
pub fn answer(
    state: &UserState,
    ctx: &Context<'_>,
    command: &AnswerChallenge,
    fresh: &LoginFresh,
) -> Decision<Result<Verdict, Denial>> {
    Draft::on(state, ctx, |draft| answer_on(draft, ctx, command, fresh))
}

fn answer_on(
    draft: &mut Draft,
    ctx: &Context<'_>,
    command: &AnswerChallenge,
    fresh: &LoginFresh,
) -> Result<Verdict, Denial> {
    if command.challenge.epoch != draft.next.epoch {
        return Err(Denial::ChallengeInvalid);
    }
    let id = command.challenge.id;
    let open = draft.next.challenge(id).cloned().ok_or(Denial::ChallengeInvalid)?;
    draft.prove_for(open.purpose.into());
    proof::check_shape(draft, ctx, &command.answer, ProofField::Answer)?;
    if draft.next.is_account_disabled() {
        return Ok(refuse(draft, RefusedReason::UserDisabled, "user_disabled"));
    }
    let asked = Asked {
        purpose: open.purpose,
        first: &open.first_factor,
        client: &open.client,
        presented: Presented::ForChallenge(id),
    };
    let remember = command.remember_client && open.purpose == ChallengePurpose::Login;
    let verdict = answered(draft, ctx, &asked, &command.answer, remember, fresh);
    if matches!(verdict, Verdict::Allowed(_)) {
        draft.next.challenges.retain(|challenge| challenge.id != id);
    }
    Ok(verdict)
}

/// What a challenge is about.
struct Asked<'a> {
    purpose: ChallengePurpose,
    first: &'a FirstFactor,
    client: &'a ClientClaims,
    /// What an answer to it is presented for.
    presented: Presented,
}

/// A user without a second factor: an answer is ignored (ruling 2), the requirement decides.
fn without_factor(
    draft: &mut Draft,
    ctx: &Context<'_>,
    command: &CheckLogin,
    first: &FirstFactor,
    fresh: &LoginFresh,
) -> Verdict {
    if command.purpose == ChallengePurpose::StepUp {
        draft.step("", "a step-up needs a second factor");
        return refuse(draft, RefusedReason::TwoFactorNotEnabled, "two_factor_not_enabled");
    }
    let demand = requirement::demand(&draft.next, ctx);
    let (field, finding) = requirement::finding(demand);
    draft.step(field, finding);
    let ground = match demand {
        // Who was reset enrolls, whoever vouches for them (B41, B45).
        Demand::Now | Demand::Grace { .. }
            if !draft.next.requirement.must_enroll && trusts_federated_mfa(ctx, first) =>
        {
            draft.step(
                "first_factor.trust_federated_mfa",
                "the identity provider's own second factor is trusted",
            );
            // It is the user's first login all the same: else who steals the password years later had a whole grace period
            // before them (B46, ruling 18). Where there is no grace period none begins: else one that is granted later would
            // be over already.
            let (begun, grace) =
                (&mut draft.next.requirement.grace_started, ctx.policy.requirement.grace_period);
            if !grace.is_zero() {
                begun.get_or_insert(ctx.now);
            }
            Ground::FederatedMfa { enrolled: false, due: Some(begun.unwrap_or(ctx.now).plus(grace)) }
        }
        Demand::None => Ground::NotRequired { due: None },
        Demand::Later { from } => {
            // A grace period that began already is not begun anew (B46).
            let begun = draft.next.requirement.grace_started.unwrap_or(from);
            Ground::NotRequired { due: Some(from.max(begun.plus(ctx.policy.requirement.grace_period))) }
        }
        Demand::Grace { until } => {
            draft.next.requirement.grace_started.get_or_insert(ctx.now);
            Ground::Grace { until }
        }
        Demand::Now => return stop(draft, ctx, command, first, fresh.ticket),
    };
    allow(draft, ctx, first, ground)
}

/// Stops a login until the user has enrolled, with a ticket where policy lets the login issue one.
fn stop(
    draft: &mut Draft,
    ctx: &Context<'_>,
    command: &CheckLogin,
    first: &FirstFactor,
    id: TicketId,
) -> Verdict {
    draft.lead_refused("enrollment_required");
    let at_login = requirement::login_issues_ticket(ctx);
    draft.step(
        "requirement.first_enrollment",
        if at_login { "the login hands out a ticket" } else { "a manager hands out a ticket" },
    );
    let ticket = at_login.then(|| {
        let issuer = TicketIssuer::Login(first.clone());
        enrollment::issue_ticket(draft, ctx, id, issuer, command.client.clone())
    });
    // Only what can be enrolled now: a kind that needs another one first is no way out.
    let mut allowed_types = ctx.policy.allowed_types.clone();
    allowed_types.retain(|kind| enrollment::may_enroll(&draft.next, ctx, *kind, None).is_ok());
    Verdict::EnrollmentRequired(EnrollmentRequired { ticket, allowed_types })
}

/// What spares a login its challenge: trust in the identity provider, or a remembered client.
fn spared(draft: &mut Draft, ctx: &Context<'_>, command: &CheckLogin, first: &FirstFactor) -> Option<Ground> {
    if trusts_federated_mfa(ctx, first) {
        draft
            .step("first_factor.trust_federated_mfa", "the identity provider's own second factor is trusted");
        return Some(Ground::FederatedMfa { enrolled: true, due: None });
    }
    if ctx.policy.challenge.mode != ChallengeMode::NewClient {
        draft.step("challenge.mode", "every login is challenged");
        return None;
    }
    let token = command.client_token.as_ref();
    let Some(token) = token.and_then(|token| clients::recognise(draft, ctx, &command.client, token)) else {
        draft.step("challenge.mode", "the client is not remembered");
        return None;
    };
    draft.step("challenge.mode", "the client is remembered");
    Some(Ground::Remembered { token })
}

fn answered(
    draft: &mut Draft,
    ctx: &Context<'_>,
    asked: &Asked<'_>,
    answer: &PresentedProof,
    remember: bool,
    fresh: &LoginFresh,
) -> Verdict {
    let ground = match proof::evaluate(draft, ctx, answer, asked.presented) {
        Evaluated::Refused => return Verdict::Refused(RefusedReason::CodeNotAccepted),
        Evaluated::Locked { until } => return lock_out(draft, ctx, asked, until, fresh.challenge),
        Evaluated::Verified { id, kind } => {
            let remembered = remember.then(|| clients::remember(draft, ctx, asked.client, fresh.client));
            Ground::Verified { authenticator: id, kind, time: ctx.now, remembered: remembered.flatten() }
        }
        Evaluated::Recovered => {
            let reissue = ctx.policy.recovery_codes.reissue_on_use;
            let reissued = reissue.then(|| recovery::reissue(draft, ctx, &fresh.recovery));
            Ground::Recovered { time: ctx.now, reissued }
        }
    };
    allow(draft, ctx, asked.first, ground)
}

/// A verified login that an enrollment brought along (B47).
pub(crate) fn verified_by_enrollment(
    draft: &mut Draft,
    ctx: &Context<'_>,
    first: &FirstFactor,
    id: AuthenticatorId,
    kind: AuthenticatorType,
) -> Allowed {
    let ground = Ground::Verified { authenticator: id, kind, time: ctx.now, remembered: None };
    draft.tell(allowed_event(first, &ground));
    allowed(draft, ctx, first, ground)
}

fn refuse(draft: &mut Draft, reason: RefusedReason, finding: &'static str) -> Verdict {
    draft.lead_refused(finding);
    Verdict::Refused(reason)
}

fn allow(draft: &mut Draft, ctx: &Context<'_>, first: &FirstFactor, ground: Ground) -> Verdict {
    draft.lead(allowed_event(first, &ground));
    Verdict::Allowed(allowed(draft, ctx, first, ground))
}

fn allowed(draft: &mut Draft, ctx: &Context<'_>, first: &FirstFactor, ground: Ground) -> Allowed {
    if ground.authenticator().is_some() {
        // The owner has what they asked help for: the request is answered. A recovery code shows no phone (ruling 15).
        draft.next.reset_request = None;
    }
    let amr = amr(draft, ctx, first, &ground);
    Allowed {
        ground,
        amr,
        recovery_codes_remaining: recovery::remaining(&draft.next, ctx),
        recovery_codes_low: recovery::is_low(&draft.next, ctx),
    }
}

/// The event of a login that may go ahead, with what it rests on: the authenticator that proved it, the client that is
/// remembered, or the provider that is trusted.
fn allowed_event(first: &FirstFactor, ground: &Ground) -> Event {
    let event = Event::new(EventType::LoginAllowed).with("assurance", ground.assurance().name());
    let event = match ground {
        Ground::Remembered { token } => event.with(clients::CLIENT_ID, token.client.to_string()),
        Ground::FederatedMfa { .. } => event.with_some("identity_provider", first.identity_provider.clone()),
        _ => event,
    };
    Event { authenticator: ground.authenticator(), ..event }
}
