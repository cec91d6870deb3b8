//! Enrolling: begin hands out a key once, or sends a code; confirm takes the code that proves it arrived.
//!
//! Only the user enrolls for themself: the authority is the user's own session or a ticket bound to them (B1).

mod right;
mod security_key;
mod telephone;
mod ticket;

pub use right::Authority;
pub(crate) use right::{may_enroll, proofs_to_add};
pub use security_key::{BeginSecurityKey, BegunSecurityKey, begin_security_key};
pub use telephone::{BeginSms, BegunSms, FreshSms, begin_sms};
pub use ticket::IssuedTicket;
pub(crate) use ticket::issue as issue_ticket;

use crate::authenticators::Gone;
use crate::change::Decision;
use crate::context::{Context, Draft, Purpose};
use crate::denial::Denial;
use crate::event::{Event, EventType};
use crate::ids::{AuthenticatorId, EnrollmentId};
use crate::login::{self, Allowed};
use crate::otp::{MAX_OFFSET_SECONDS, OtpCode, TotpKey, TotpParameters, find_offset, match_step};
use crate::policy::{AuthenticatorType, ProofKind, ProofStage};
use crate::presented::PresentedProof;
use crate::proof::{self, ProofField};
use crate::recovery::{self, FreshSet, IssuedCodes};
use crate::sms;
use crate::text::{AccountLabel, DisplayName};
use crate::time::Timestamp;
use crate::user::{
    Authenticator, Credential, PendingCredential, PendingEnrollment, SmsCredential, Standing, TicketIssuer,
    TotpCredential, UserState,
};
use right::{Right, demand, required, right};

/// What the log says of a wrong code at confirmation.
const WRONG: &str = "wrong_at_confirmation";

/// Begin enrolling an authenticator app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginTotp {
    /// By what right.
    pub authority: Authority,
    /// The account that the app shows.
    pub account_label: AccountLabel,
    /// The authenticator whose place it takes.
    pub replaces: Option<AuthenticatorId>,
    /// A code of an active authenticator, where adding one needs it.
    pub code: Option<PresentedProof>,
}

/// What a new enrollment is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreshEnrollment {
    /// Its id.
    pub id: EnrollmentId,
    /// Its key: 160 bits from the operating system (R19).
    pub key: TotpKey,
}

/// A key as it is shown, once (R22).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunTotp {
    /// The enrollment to confirm.
    pub id: EnrollmentId,
    /// The key.
    pub key: TotpKey,
    /// Hash, digits and period.
    pub parameters: TotpParameters,
    /// The account that the app shows.
    pub account_label: AccountLabel,
    /// When it is gone.
    pub expire_time: Timestamp,
}

/// Confirm an enrollment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirm {
    /// Which.
    pub id: EnrollmentId,
    /// By what right.
    pub authority: Authority,
    /// The code that the new authenticator shows.
    pub code: PresentedProof,
    /// A code of an authenticator that is active already, where adding one needs it at this stage.
    pub existing_code: Option<PresentedProof>,
    /// The name, or the default one.
    pub display_name: Option<DisplayName>,
}

/// What a confirmation is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreshConfirmation {
    /// The new authenticator's id.
    pub id: AuthenticatorId,
    /// For recovery codes.
    pub recovery: FreshSet,
}

/// A confirmed authenticator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    /// Its id.
    pub id: AuthenticatorId,
    /// Recovery codes, where switching on returns them (B26).
    pub recovery_codes: Option<IssuedCodes>,
    /// The login that was stopped and may now go ahead (B47).
    pub login: Option<Allowed>,
    /// What it replaced.
    pub gone: Gone,
}

/// Begins an enrollment: a fresh key, pending. What is active stays untouched (R20).
pub fn begin_totp(
    state: &UserState,
    ctx: &Context<'_>,
    command: &BeginTotp,
    fresh: FreshEnrollment,
) -> Decision<Result<BegunTotp, Denial>> {
    Draft::on(state, ctx, |draft| begin_totp_on(draft, ctx, command, fresh))
}

fn begin_totp_on(
    draft: &mut Draft,
    ctx: &Context<'_>,
    command: &BeginTotp,
    fresh: FreshEnrollment,
) -> Result<BegunTotp, Denial> {
    let right = right(draft, ctx, &command.authority)?;
    may_enroll(&draft.next, ctx, AuthenticatorType::Totp, command.replaces)?;
    demand(draft, ctx, ProofStage::Begin, &right, command.code.as_ref(), ProofField::Proof)?;
    let parameters = ctx.policy.totp.parameters;
    let expire_time = ctx.now.plus(ctx.policy.enrollment.expire_after);
    let (key, account_label) = (fresh.key.clone(), command.account_label.clone());
    let credential = PendingCredential::Totp { key, parameters, account_label };
    start(draft, ctx, &right, fresh.id, credential, command.replaces, expire_time);
    let account_label = command.account_label.clone();
    Ok(BegunTotp { id: fresh.id, key: fresh.key, parameters, account_label, expire_time })
}

/// The detail that says by what right somebody enrolls: `session`, `login_ticket` or `manager_ticket`.
const AUTHORITY: &str = "authority";

/// Keeps an enrollment until it is confirmed, in the place of another one of its kind (R20), and tells of it.
fn start(
    draft: &mut Draft,
    ctx: &Context<'_>,
    right: &Right,
    id: EnrollmentId,
    credential: PendingCredential,
    replaces: Option<AuthenticatorId>,
    expire_time: Timestamp,
) {
    let kind = credential.kind();
    let pending = PendingEnrollment {
        id,
        credential,
        replaces,
        tries_left: PendingEnrollment::MAX_TRIES,
        create_time: ctx.now,
        expire_time,
        epoch: draft.next.epoch,
    };
    draft.next.pending.retain(|other| other.kind() != pending.kind());
    draft.next.pending.push(pending);
    let started = Event::new(EventType::EnrollmentStarted).with("type", kind.name());
    draft.lead(started.with(AUTHORITY, right.name()));
}

/// Confirms an enrollment with the code that the new authenticator shows.
pub fn confirm(
    state: &UserState,
    ctx: &Context<'_>,
    command: &Confirm,
    fresh: &FreshConfirmation,
) -> Decision<Result<Confirmed, Denial>> {
    Draft::on(state, ctx, |draft| confirm_on(draft, ctx, command, fresh))
}

fn confirm_on(
    draft: &mut Draft,
    ctx: &Context<'_>,
    command: &Confirm,
    fresh: &FreshConfirmation,
) -> Result<Confirmed, Denial> {
    let right = right(draft, ctx, &command.authority)?;
    let pending = draft.next.pending(command.id).cloned().ok_or(Denial::EnrollmentExpired)?;
    may_enroll(&draft.next, ctx, pending.kind(), pending.replaces)?;
    let display_name = display_name(&draft.next, &pending, command.display_name.as_ref())?;
    let stage = stage_of_confirmation(ctx, &pending);
    if required(&draft.next, ctx, stage, &right).contains(&ProofKind::FirstFactor) {
        // Before the code is looked at: a stale password must not cost a try or consume a step (B12).
        proof::first_factor(ctx, &draft.next, right.first_factor())?;
    }
    draft.prove_for(Purpose::Change);
    let credential = proved(draft, ctx, &pending, &command.code)?;
    demand(draft, ctx, stage, &right, command.existing_code.as_ref(), ProofField::ExistingProof)?;
    let authenticator = Authenticator {
        id: fresh.id,
        display_name,
        named: command.display_name.is_some(),
        create_time: ctx.now,
        last_use_time: None,
        consecutive_failures: 0,
        standing: Standing::Active,
        credential,
    };
    Ok(switch_on(draft, ctx, &pending, authenticator, &right, &fresh.recovery))
}

/// The stage that a confirmation is asked as. Where the policy changed meanwhile, what it names was not asked at the
/// beginning, or by another policy: it is asked now, whatever its stage (B12, R23).
fn stage_of_confirmation(ctx: &Context<'_>, pending: &PendingEnrollment) -> ProofStage {
    if pending.create_time < ctx.policy_since {
        ctx.policy.enrollment.proof_stage
    } else {
        ProofStage::Confirm
    }
}

/// Puts a confirmed authenticator in its place, with everything that goes along in the same commit.
fn switch_on(
    draft: &mut Draft,
    ctx: &Context<'_>,
    pending: &PendingEnrollment,
    authenticator: Authenticator,
    right: &Right,
    fresh: &FreshSet,
) -> Confirmed {
    let (id, kind) = (authenticator.id, authenticator.kind());
    let was_on = draft.next.is_on();
    draft.next.pending.retain(|other| other.id != pending.id);
    if !was_on {
        // The others were begun while nothing was needed for it; what adding one needs now, nobody has proved (R23).
        draft.next.close_pending();
    }
    let mut gone = Gone::new();
    if let Some(replaced) = pending.replaces {
        let old_kind = draft.next.authenticator(replaced).map_or(kind, Authenticator::kind);
        draft.next.authenticators.retain(|other| other.id != replaced);
        draft.next.raise_epoch();
        gone.push(old_kind);
        draft.tell(
            Event::new(EventType::AuthenticatorRemoved)
                .about(replaced, old_kind)
                .with("replaced_by", id.to_string()),
        );
    }
    let added = Event::new(EventType::AuthenticatorAdded).about(id, kind);
    let added = match pending.replaces {
        // The owner is told of this event alone, and that another one is gone stands in it.
        Some(replaced) => added.with("replaces", replaced.to_string()),
        None => added,
    };
    if was_on {
        draft.lead_owner(added);
    } else {
        draft.next.state_since = Some(ctx.now);
        draft.lead_owner(
            Event::new(EventType::TwoFactorEnabled).about(id, kind).with(AUTHORITY, right.name()),
        );
        draft.tell(added);
    }
    draft.next.authenticators.push(authenticator);
    // The owner has helped themself: a reset would take the new authenticator (ruling 15).
    draft.next.reset_request = None;
    draft.next.requirement.must_enroll = false;
    // What was wrong before may be right for the new authenticator: it is a new guess.
    draft.next.failures.last_wrong = None;
    let policy = &ctx.policy.recovery_codes;
    let issues = !was_on && policy.enabled && policy.issue_on_enable;
    let recovery_codes = issues.then(|| recovery::reissue(draft, ctx, fresh));
    let login = right.ticket().and_then(|ticket| {
        draft.next.tickets.retain(|other| other.id != ticket.id);
        match &ticket.issuer {
            TicketIssuer::Login(first) => Some(login::verified_by_enrollment(draft, ctx, first, id, kind)),
            TicketIssuer::Manager => None,
        }
    });
    Confirmed { id, recovery_codes, login, gone }
}

/// What the confirming code proves, with that code consumed (R6), or a charged try.
fn proved(
    draft: &mut Draft,
    ctx: &Context<'_>,
    pending: &PendingEnrollment,
    code: &PresentedProof,
) -> Result<Credential, Denial> {
    match (&pending.credential, code) {
        (PendingCredential::Totp { key, parameters, .. }, PresentedProof::Otp(code))
            if code.digits() == parameters.digits =>
        {
            let seconds = ctx.now.unix_seconds();
            match match_step(key, *parameters, ctx.policy.totp.window, seconds, code) {
                Some(last_step) => {
                    let (key, parameters) = (key.clone(), *parameters);
                    Ok(Credential::Totp(TotpCredential { key, parameters, last_step }))
                }
                None => Err(wrong(draft, pending, WRONG, clock_offset(ctx, key, *parameters, code))),
            }
        }
        (PendingCredential::Sms(sent), PresentedProof::Otp(code)) if code.digits() == sms::DIGITS => {
            if sms::enrollment_code(ctx, pending.id, sent).as_ref() == Some(code) {
                // The enrollment goes with this commit, and its code with it.
                Ok(Credential::Sms(SmsCredential { number: sent.number.clone(), sent: None }))
            } else {
                Err(wrong(draft, pending, WRONG, None))
            }
        }
        (PendingCredential::SecurityKey, PresentedProof::SecurityKey(credential)) => {
            security_key::proved(draft, ctx, pending, credential)
        }
        (PendingCredential::Totp { .. } | PendingCredential::Sms(_), _) => {
            let problem = "must be the code that the new authenticator shows, or that it was sent";
            Err(Denial::FieldInvalid { field: ProofField::Proof.code(), problem })
        }
        (PendingCredential::SecurityKey, _) => Err(security_key::malformed()),
    }
}

/// Charges a try, with a hint where the phone's clock is off (B10).
fn wrong(
    draft: &mut Draft,
    pending: &PendingEnrollment,
    finding: &'static str,
    clock_offset_seconds: Option<i64>,
) -> Denial {
    let tries_left = pending.tries_left.saturating_sub(1);
    draft.next.pending.retain_mut(|other| {
        if other.id != pending.id {
            return true;
        }
        other.tries_left = tries_left;
        if tries_left > 0 {
            return true;
        }
        other.close();
        other.outlives_its_end()
    });
    draft.lead(
        Event::new(EventType::LoginRefused)
            .with("finding", finding)
            .with("tries_left", tries_left.to_string()),
    );
    let field = match &pending.credential {
        PendingCredential::SecurityKey => ProofField::Proof.credential(),
        PendingCredential::Totp { .. } | PendingCredential::Sms(_) => ProofField::Proof.code(),
    };
    Denial::ConfirmationIncorrect { field, attempts_remaining: tries_left, clock_offset_seconds }
}

fn clock_offset(ctx: &Context<'_>, key: &TotpKey, parameters: TotpParameters, code: &OtpCode) -> Option<i64> {
    let period = parameters.period.seconds();
    let steps = find_offset(key, parameters, ctx.now.unix_seconds(), code, MAX_OFFSET_SECONDS / period)?;
    Some(steps * i64::from(period))
}

/// The chosen name, free, or the first free default name. The name of the authenticator that makes room is free too.
fn display_name(
    state: &UserState,
    pending: &PendingEnrollment,
    chosen: Option<&DisplayName>,
) -> Result<DisplayName, Denial> {
    let taken = |name: &DisplayName| {
        let key = name.fold_key();
        let mut staying = state.authenticators.iter().filter(|other| Some(other.id) != pending.replaces);
        staying.any(|other| other.display_name.fold_key() == key)
    };
    if let Some(name) = chosen {
        return if taken(name) { Err(Denial::DisplayNameExists) } else { Ok(name.clone()) };
    }
    let name = default_name(&pending.credential);
    (1..=state.authenticators.len() + 1)
        .map(|n| if n == 1 { name.to_owned() } else { format!("{name} {n}") })
        .filter_map(|name| DisplayName::parse(&name).ok())
        .find(|name| !taken(name))
        // One more default name than authenticators: one of them is free.
        .ok_or(Denial::DisplayNameExists)
}

/// What an authenticator of that kind is called until its owner names it (B14).
const fn default_name(credential: &PendingCredential) -> &'static str {
    match credential {
        PendingCredential::Totp { .. } => "Authenticator app",
        PendingCredential::Sms(_) => "Text message",
        PendingCredential::SecurityKey => "Security key",
    }
}
