//! Proofs: whether a first factor is good enough, and what a presented code proves. The one place that evaluates codes
//! of confirmed authenticators, so that there is one budget for every path (R12).
//!
//! Not here: the confirmation of a pending enrollment, which has its own small budget.

mod field;
mod security_key;

pub(crate) use field::ProofField;
pub(crate) use security_key::active as active_security_keys;

use crate::context::{Context, Draft, Purpose};
use crate::denial::{Denial, MissingProof};
use crate::event::{Event, EventType};
use crate::ids::{AuthenticatorId, ChallengeId, RecoverySetId};
use crate::otp::{Digits, OtpCode, Step, match_step};
use crate::policy::{AuthenticatorType, ProofKind};
use crate::presented::PresentedProof;
use crate::recovery_code::RecoveryCode;
use crate::sms;
use crate::time::Timestamp;
use crate::user::{
    Authenticator, ChallengePurpose, Credential, FirstFactor, PendingCredential, PendingEnrollment, SentCode,
    Standing, Usage, UserState,
};

/// Checks the caller's word about a first factor: there, not in the future, fresh, of an accepted kind, and the one that
/// the user still has.
pub(crate) fn first_factor<'a>(
    ctx: &Context<'_>,
    state: &UserState,
    claim: Option<&'a FirstFactor>,
) -> Result<&'a FirstFactor, Denial> {
    let policy = &ctx.policy.first_factor;
    let claim = claim.ok_or_else(|| Denial::ProofRequired { missing: vec![MissingProof::FirstFactor] })?;
    if claim.verify_time > ctx.now.plus(FirstFactor::LEEWAY) {
        return Err(Denial::FirstFactorTimeInvalid);
    }
    if !policy.allowed_methods.contains(&claim.method) {
        return Err(Denial::FirstFactorNotAllowed { method: claim.method });
    }
    if claim.is_from_before(state.first_factor_since) || ctx.now.since(claim.verify_time) > policy.max_age {
        return Err(Denial::FirstFactorStale { max_age: policy.max_age });
    }
    Ok(claim)
}

/// What a presented code turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Evaluated {
    /// The code of an active authenticator, consumed.
    Verified { id: AuthenticatorId, kind: AuthenticatorType },
    /// An unused recovery code, consumed.
    Recovered,
    /// Evaluated and not accepted. Callers are told no more than that (R8).
    Refused,
    /// Not evaluated: locked until then, or, where `None`, for as long as waiting does not help.
    Locked { until: Option<Timestamp> },
}

/// Refuses a code whose number of digits no authenticator of this user or tenant has: not evaluated, not charged (R2).
pub(crate) fn check_shape(
    draft: &Draft,
    ctx: &Context<'_>,
    code: &PresentedProof,
    field: ProofField,
) -> Result<(), Denial> {
    let code = match code {
        PresentedProof::Otp(code) => code,
        PresentedProof::Recovery(_) => return Ok(()),
        PresentedProof::SecurityKey(credential) if ctx.keys.is_assertion(credential) => return Ok(()),
        PresentedProof::SecurityKey(_) => {
            let problem = "must be what navigator.credentials.get() gave, as JSON";
            return Err(Denial::FieldInvalid { field: field.credential(), problem });
        }
    };
    let own = draft.next.active().map(|authenticator| match &authenticator.credential {
        Credential::Totp(totp) => Some(totp.parameters.digits),
        Credential::Sms(_) => Some(sms::DIGITS),
        Credential::SecurityKey(_) => None,
    });
    if own.flatten().chain([ctx.policy.totp.parameters.digits]).any(|digits| digits == code.digits()) {
        return Ok(());
    }
    let problem = match ctx.policy.totp.parameters.digits {
        Digits::Six => "must be exactly 6 digits, or a recovery code",
        Digits::Eight => "must be exactly 8 digits, or a recovery code",
    };
    Err(Denial::FieldInvalid { field: field.code(), problem })
}

/// What a code is presented for. A code by text message is good for one challenge only (R71).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presented {
    /// Beside the login check itself: no challenge was asked, so no code was sent for it.
    WithLogin,
    /// As the answer to this challenge.
    ForChallenge(ChallengeId),
    /// As the proof of a change: one that was sent for an open step-up challenge counts.
    ForChange,
}

/// Evaluates a code against everything the user has, consumes it or charges for it, and tells what happened.
pub(crate) fn evaluate(
    draft: &mut Draft,
    ctx: &Context<'_>,
    code: &PresentedProof,
    presented: Presented,
) -> Evaluated {
    match code {
        PresentedProof::Otp(code) => evaluate_otp(draft, ctx, code, presented),
        PresentedProof::Recovery(code) => evaluate_recovery(draft, ctx, code),
        PresentedProof::SecurityKey(credential) => security_key::evaluate(draft, ctx, credential, presented),
    }
}

/// What an evaluated code fits. Every key of the user is tried whatever the others gave, so that a pending, disabled or
/// replayed code costs the same time as a wrong one (R8, R9).
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a finding of its own, and several can hold at once"
)]
struct Matches {
    fresh: Option<(AuthenticatorId, Usage)>,
    replayed: bool,
    disabled: bool,
    pending: bool,
    expired: bool,
}

/// What a code is to one credential.
enum Fit {
    /// Nothing.
    Not,
    /// The one that is accepted; it leaves this behind.
    Fresh(Usage),
    /// One that was accepted before.
    Replayed,
    /// One that was right once and never used.
    Expired,
}

fn matches(draft: &Draft, ctx: &Context<'_>, code: &OtpCode, presented: Presented) -> Matches {
    let mut found = Matches::default();
    for authenticator in &draft.next.authenticators {
        let fit = fits(&draft.next, ctx, authenticator, code, presented);
        match (authenticator.standing, fit) {
            (_, Fit::Not) => {}
            (Standing::Disabled { .. }, _) => found.disabled = true,
            (Standing::Active, Fit::Fresh(usage)) => found.fresh = Some((authenticator.id, usage)),
            (Standing::Active, Fit::Replayed) => found.replayed = true,
            (Standing::Active, Fit::Expired) => found.expired = true,
        }
    }
    for pending in draft.next.open_pending() {
        found.pending |= waits_for(ctx, pending, code);
    }
    found
}

/// What the code is to a confirmed authenticator.
fn fits(
    state: &UserState,
    ctx: &Context<'_>,
    authenticator: &Authenticator,
    code: &OtpCode,
    presented: Presented,
) -> Fit {
    match &authenticator.credential {
        Credential::Totp(totp) => {
            let (window, seconds) = (ctx.policy.totp.window, ctx.now.unix_seconds());
            match match_step(&totp.key, totp.parameters, window, seconds, code) {
                None => Fit::Not,
                Some(step) if step > totp.last_step => Fit::Fresh(Usage::Totp { last_step: step }),
                Some(_) => Fit::Replayed,
            }
        }
        Credential::Sms(sms) => match &sms.sent {
            Some(sent) if sms::login_code(ctx, authenticator.id, sent).as_ref() == Some(code) => {
                fits_sent(state, ctx, sent, presented)
            }
            _ => Fit::Not,
        },
        Credential::SecurityKey(_) => Fit::Not,
    }
}

/// What the code that was sent last is here and now.
fn fits_sent(state: &UserState, ctx: &Context<'_>, sent: &SentCode, presented: Presented) -> Fit {
    if sent.used_time.is_some() {
        return Fit::Replayed;
    }
    if sent.expire_time <= ctx.now {
        return Fit::Expired;
    }
    let here = match presented {
        Presented::WithLogin => false,
        Presented::ForChallenge(id) => id == sent.challenge,
        Presented::ForChange => {
            state.challenge(sent.challenge).is_some_and(|open| open.purpose == ChallengePurpose::StepUp)
        }
    };
    if here {
        Fit::Fresh(Usage::Sms { sent: Some(SentCode { used_time: Some(ctx.now), ..*sent }) })
    } else {
        Fit::Not
    }
}

/// Whether a pending enrollment waits for this very code.
fn waits_for(ctx: &Context<'_>, pending: &PendingEnrollment, code: &OtpCode) -> bool {
    match &pending.credential {
        PendingCredential::Totp { key, parameters, .. } => {
            match_step(key, *parameters, ctx.policy.totp.window, ctx.now.unix_seconds(), code).is_some()
        }
        PendingCredential::Sms(sms) => sms::enrollment_code(ctx, pending.id, sms).as_ref() == Some(code),
        PendingCredential::SecurityKey => false,
    }
}

fn evaluate_otp(draft: &mut Draft, ctx: &Context<'_>, code: &OtpCode, presented: Presented) -> Evaluated {
    if !draft.next.takes_codes() {
        // A disabled authenticator stays closed.
        let disabled = draft.next.has_codes_disabled();
        return if disabled { locked(draft, None) } else { refused(draft, "no_codes") };
    }
    if draft.next.failures.locked_until(ctx.now).is_some() {
        let until = draft.next.codes_wait_until(ctx);
        return locked(draft, until);
    }
    let found = matches(draft, ctx, code, presented);
    if let Some((id, usage)) = found.fresh {
        return verified(draft, ctx, id, usage);
    }
    if found.replayed {
        // Not charged: a stolen used code must not become a weapon against its owner (R16).
        return refused(draft, "replayed");
    }
    let digest = ctx.digests.guesses.digest(&[
        ctx.user.tenant.as_str().as_bytes(),
        ctx.user.user.as_str().as_bytes(),
        code.as_bytes(),
    ]);
    let retyped = draft.next.failures.last_wrong.as_ref().is_some_and(|last| {
        last.digest == digest && same_targets(&draft.next.authenticators, last.time, ctx.now)
    });
    if retyped {
        // The same code against the same steps is the same guess: it is charged once (R16).
        return refused(draft, "retyped");
    }
    refused(
        draft,
        if found.pending {
            "pending"
        } else if found.disabled {
            "disabled"
        } else if found.expired {
            "expired"
        } else {
            "wrong"
        },
    );
    charge(draft, ctx, digest);
    Evaluated::Refused
}

/// Whether a code meets the same at both times: the same step of every app, the same message to every telephone.
fn same_targets(authenticators: &[Authenticator], a: Timestamp, b: Timestamp) -> bool {
    authenticators.iter().all(|authenticator| match &authenticator.credential {
        Credential::Totp(totp) => {
            let period = totp.parameters.period;
            Step::at(a.unix_seconds(), period) == Step::at(b.unix_seconds(), period)
        }
        Credential::Sms(sms) => sms.sent.is_none_or(|sent| sent.send_time <= a),
        Credential::SecurityKey(_) => true,
    })
}

/// Consumes what an authenticator proved. Nothing else changes before that is done: what is refused forgives nothing.
fn verified(draft: &mut Draft, ctx: &Context<'_>, id: AuthenticatorId, usage: Usage) -> Evaluated {
    let Some(own) = draft.next.authenticator_mut(id) else { return refused(draft, "not_consumed") };
    if !own.credential.set_usage(usage) {
        return refused(draft, "not_consumed");
    }
    own.last_use_time = Some(ctx.now);
    own.consecutive_failures = 0;
    let kind = own.kind();
    draft.next.failures.forget_streak(&ctx.policy.lockout);
    if let Usage::Sms { sent: Some(sent) } = usage {
        // The challenge that it was bound to is passed with it, wherever the code was presented.
        draft.next.challenges.retain(|challenge| challenge.id != sent.challenge);
    }
    Evaluated::Verified { id, kind }
}

fn locked(draft: &mut Draft, until: Option<Timestamp>) -> Evaluated {
    draft.lead_refused("locked");
    Evaluated::Locked { until }
}

fn refused(draft: &mut Draft, finding: &'static str) -> Evaluated {
    draft.lead_refused(finding);
    Evaluated::Refused
}

/// The owner hears of so many wrong codes in a row wherever policy locks (R18).
const TOLD_AT: u32 = 3;

/// Charges one wrong code to the user and to every active authenticator it was evaluated against (R10).
fn charge(draft: &mut Draft, ctx: &Context<'_>, digest: crate::digest::Digest) {
    let policy = &ctx.policy.lockout;
    let was_capped = draft.next.failures.is_capped(policy);
    let lock = draft.next.failures.charge(ctx.now, digest, policy);
    let mut disabled = Vec::new();
    let evaluated = |own: &&mut Authenticator| own.is_active() && own.kind().takes_codes();
    for authenticator in draft.next.authenticators.iter_mut().filter(evaluated) {
        authenticator.consecutive_failures = authenticator.consecutive_failures.saturating_add(1);
        if authenticator.consecutive_failures >= policy.consecutive_limit {
            authenticator.standing = Standing::Disabled { since: ctx.now };
            disabled.push((authenticator.id, authenticator.kind()));
        }
    }
    if !disabled.is_empty() {
        draft.next.raise_epoch();
    }
    for (id, kind) in disabled {
        draft.tell_owner(Event::new(EventType::AuthenticatorDisabled).about(id, kind));
    }
    let failures = &draft.next.failures;
    if let Some(until) = lock {
        // The owner hears of the first lock of a streak and of the window that has filled, not of every guess (R18).
        let first = failures.consecutive == policy.free_failures;
        let filled = failures.is_capped(policy) && !was_capped;
        draft.next.challenges.clear();
        let seconds = until.since(ctx.now).as_secs().to_string();
        let event = Event::new(EventType::UserLocked).with("seconds", seconds);
        if first || filled { draft.tell_owner(event) } else { draft.tell(event) }
    }
    if draft.next.failures.consecutive == TOLD_AT {
        draft.tell_owner_of_lead();
    }
}

/// What a recovery code's digest is bound to (R28).
pub(crate) fn recovery_fields<'a>(
    ctx: &Context<'a>,
    set: &'a RecoverySetId,
    code: &'a RecoveryCode,
) -> [&'a [u8]; 4] {
    let user = ctx.user;
    // The id is borrowed by its UUID bytes, so that the fields need no allocation.
    [user.tenant.as_str().as_bytes(), user.user.as_str().as_bytes(), set.as_bytes(), code.as_bytes()]
}

/// A recovery code is never locked and its failures charge nothing: 125 bits cannot be guessed, and nobody may close
/// this door for somebody else (R15, R33).
fn evaluate_recovery(draft: &mut Draft, ctx: &Context<'_>, code: &RecoveryCode) -> Evaluated {
    if !ctx.policy.recovery_codes.enabled {
        return refused(draft, "recovery_codes_off");
    }
    let Some(set) = draft.next.recovery.as_mut() else { return refused(draft, "recovery_code_unknown") };
    let fields = recovery_fields(ctx, &set.id, code);
    let mut hit = None;
    for entry in &mut set.codes {
        // Every code is compared, whichever matched.
        if ctx.digests.recovery_codes.verify(&entry.digest, &fields) {
            hit = Some(entry);
        }
    }
    match hit {
        None => refused(draft, "recovery_code_unknown"),
        Some(entry) if entry.used_time.is_some() => refused(draft, "recovery_code_used"),
        Some(entry) => {
            entry.used_time = Some(ctx.now);
            draft.next.raise_epoch();
            draft.next.failures.forget_streak(&ctx.policy.lockout);
            let remaining = draft.next.recovery_codes_remaining().to_string();
            draft.tell_owner(Event::new(EventType::RecoveryCodeUsed).with("remaining", remaining));
            Evaluated::Recovered
        }
    }
}

/// What a command that changes an active second factor was given as proof.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proofs {
    /// The first factor of the actor's session.
    pub first_factor: Option<FirstFactor>,
    /// A code in the same call.
    pub code: Option<PresentedProof>,
}

impl Proofs {
    /// What is not given of this kind; a code would stand in that field.
    fn lacks(&self, kind: ProofKind, field: ProofField) -> Option<MissingProof> {
        match kind {
            ProofKind::FirstFactor => self.first_factor.is_none().then_some(MissingProof::FirstFactor),
            ProofKind::SecondFactor => {
                self.code.is_none().then_some(MissingProof::SecondFactor { field: field.message() })
            }
        }
    }
}

/// Demands all of `required`: names all that are missing, then the first factor before anything is evaluated, then the
/// code, consumed or charged. A proof that is not required is not looked at.
pub(crate) fn demand(
    draft: &mut Draft,
    ctx: &Context<'_>,
    required: &[ProofKind],
    given: &Proofs,
    field: ProofField,
) -> Result<(), Denial> {
    draft.prove_for(Purpose::Change);
    let missing: Vec<_> = required.iter().filter_map(|kind| given.lacks(*kind, field)).collect();
    if !missing.is_empty() {
        return Err(Denial::ProofRequired { missing });
    }
    if required.contains(&ProofKind::FirstFactor) {
        first_factor(ctx, &draft.next, given.first_factor.as_ref())?;
    }
    let Some(code) = given.code.as_ref().filter(|_| required.contains(&ProofKind::SecondFactor)) else {
        return Ok(());
    };
    check_shape(draft, ctx, code, field)?;
    match evaluate(draft, ctx, code, Presented::ForChange) {
        Evaluated::Verified { .. } | Evaluated::Recovered => Ok(()),
        Evaluated::Refused => Err(Denial::ProofIncorrect { field: field.of(code) }),
        Evaluated::Locked { until } => {
            Err(Denial::UserLocked { retry_after: until.map(|until| until.since(ctx.now)) })
        }
    }
}
