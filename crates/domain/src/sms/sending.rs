//! Sending a code: for an open challenge. The one that confirms an enrollment is sent in `enrollment`.
//!
//! Nothing is sent here: the decision says what to send, and it is sent when the decision is durable. No code is sent
//! before somebody asks for it, because an app or a recovery code may answer the same challenge for nothing.

use super::budget::{self, SendCharge, SendCounts, SendLimits};
use super::{LIFETIME, login_code};
use crate::change::Decision;
use crate::context::{Context, Draft};
use crate::denial::Denial;
use crate::digest::{Digest, Digests, KeyId};
use crate::event::{Event, EventType};
use crate::ids::{AuthenticatorId, CallerId, ChallengeId, RequestId, SendId, UserRef};
use crate::otp::OtpCode;
use crate::phone_number::PhoneNumber;
use crate::policy::{AuthenticatorType, SmsDelivery};
use crate::time::Timestamp;
use crate::token::Opened;
use crate::user::{Authenticator, Credential, PendingCredential, SentCode, SmsCredential, Usage, UserState};
use std::time::Duration;

/// Send a code for a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendCode {
    /// The opened challenge.
    pub challenge: Opened<ChallengeId>,
    /// To which telephone; `None` is the only one.
    pub authenticator: Option<AuthenticatorId>,
}

/// What may be spent on messages, and what was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Means {
    /// What may be sent in a day.
    pub limits: SendLimits,
    /// What was sent today.
    pub counts: SendCounts,
}

/// A message to deliver, once it is durable that it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id, the same over every try to deliver it.
    pub id: SendId,
    /// Where to.
    pub number: PhoneNumber,
    /// The code.
    pub code: OtpCode,
    /// Who delivers it.
    pub delivery: SmsDelivery,
    /// When the code is worth nothing any more.
    pub expire_time: Timestamp,
    /// When another message may be asked for, unless this one was used before: after the interval, and not today where a
    /// limit of the day is reached.
    pub next_send_time: Timestamp,
}

/// The id of the message that a request asks for: the same for a repeat of the request, so that the repeat finds the
/// message and delivers that very one again. Made with the newest key, like the code of the message.
pub fn id_of_request(digests: &Digests, user: &UserRef, caller: &CallerId, request: RequestId) -> SendId {
    id_of_digest(&digests.text_messages.digest(&fields_of_request(user, caller, &request)))
}

/// Whether the request asked for this message, whose row names this key. The newest key may be another one by now, or on the
/// node that the request was first made to.
fn was_asked_for(
    ctx: &Context<'_>,
    (id, key): (SendId, KeyId),
    caller: &CallerId,
    request: RequestId,
) -> bool {
    let digest = ctx.digests.text_messages.digest_with(key, &fields_of_request(ctx.user, caller, &request));
    digest.is_some_and(|digest| id_of_digest(&digest) == id)
}

fn fields_of_request<'a>(user: &'a UserRef, caller: &'a CallerId, request: &'a RequestId) -> [&'a [u8]; 5] {
    [
        b"text-message-id",
        user.tenant.as_str().as_bytes(),
        user.user.as_str().as_bytes(),
        caller.as_str().as_bytes(),
        request.as_bytes(),
    ]
}

fn id_of_digest(digest: &Digest) -> SendId {
    let mut id = [0; 16];
    id.copy_from_slice(&digest.value[..16]);
    SendId::from_uuid(uuid::Builder::from_custom_bytes(id).into_uuid())
}

/// Decides whether a code is sent for the challenge; the one before it is void.
pub fn send_code(
    state: &UserState,
    ctx: &Context<'_>,
    command: &SendCode,
    means: &Means,
    id: SendId,
) -> Decision<Result<Message, Denial>> {
    Draft::on(state, ctx, |draft| send_code_on(draft, ctx, command, means, id))
}

fn send_code_on(
    draft: &mut Draft,
    ctx: &Context<'_>,
    command: &SendCode,
    means: &Means,
    id: SendId,
) -> Result<Message, Denial> {
    let open = draft
        .next
        .challenge(command.challenge.id)
        .filter(|_| command.challenge.epoch == draft.next.epoch && !draft.next.is_account_disabled());
    let open = open.ok_or(Denial::ChallengeInvalid)?;
    let (until, purpose) = (open.expire_time, open.purpose);
    draft.prove_for(purpose.into());
    // Where nobody delivers, waiting does not help.
    if let Some(until) = draft.next.failures.locked_until(ctx.now).filter(|_| ctx.delivers_text_messages()) {
        return Err(Denial::UserLocked { retry_after: Some(until.since(ctx.now)) });
    }
    let (authenticator, sms) = telephone(&draft.next, command.authenticator)?;
    let (authenticator, number) = (authenticator.id, sms.number.clone());
    may_send(draft, ctx, means)?;
    let sent = SentCode {
        id,
        key: ctx.digests.text_messages.newest(),
        challenge: command.challenge.id,
        send_time: ctx.now,
        expire_time: ctx.now.plus(LIFETIME).min(until),
        used_time: None,
    };
    // The newest key is there by construction.
    let code = login_code(ctx, authenticator, &sent).ok_or(Denial::ChallengeInvalid)?;
    for own in draft.next.authenticators.iter_mut().filter(|own| own.id == authenticator) {
        if !own.credential.set_usage(Usage::Sms { sent: Some(sent) }) {
            return Err(Denial::ResourceNotFound { what: "authenticator" });
        }
    }
    charge(draft, ctx, means, &number);
    draft.lead(
        Event::new(EventType::LoginChallenged)
            .about(authenticator, AuthenticatorType::Sms)
            .with("code", "sent"),
    );
    Ok(message(ctx, &number, id, code, sent.expire_time, next_send_time(ctx, means)))
}

/// The telephone that is meant.
fn telephone(
    state: &UserState,
    id: Option<AuthenticatorId>,
) -> Result<(&Authenticator, &SmsCredential), Denial> {
    let mut telephones = state
        .active()
        .filter_map(|own| own.credential.sms().map(|sms| (own, sms)))
        .filter(|(own, _)| id.is_none_or(|id| id == own.id));
    let first = telephones.next().ok_or(Denial::ResourceNotFound { what: "authenticator" })?;
    if telephones.next().is_some() {
        let problem = "is required: the user has several telephones";
        return Err(Denial::FieldInvalid { field: "authenticator_id", problem });
    }
    Ok(first)
}

/// The number that the command would send to, so that its counts can be looked up; `None` where it would send nothing.
pub fn number_of(state: &UserState, command: &SendCode) -> Option<PhoneNumber> {
    telephone(state, command.authenticator).ok().map(|(_, sms)| sms.number.clone())
}

/// Whether another message may be sent to this user now: somebody can deliver it, the last one is long enough ago or was
/// used, and the day has room.
pub(crate) fn may_send(draft: &Draft, ctx: &Context<'_>, means: &Means) -> Result<(), Denial> {
    let telephones = draft.next.authenticators.iter().filter_map(|own| own.credential.sms()?.sent);
    let unused = telephones.filter(|sent| sent.used_time.is_none()).map(|sent| sent.send_time);
    may_send_after(draft, ctx, means, unused.max())
}

/// The same as if the last message to a telephone of the user's were used: for a proof that may use it.
pub(crate) fn may_send_but_for_the_last(
    draft: &Draft,
    ctx: &Context<'_>,
    means: &Means,
) -> Result<(), Denial> {
    may_send_after(draft, ctx, means, None)
}

fn may_send_after(
    draft: &Draft,
    ctx: &Context<'_>,
    means: &Means,
    unused: Option<Timestamp>,
) -> Result<(), Denial> {
    if !ctx.delivers_text_messages() {
        return Err(Denial::DeliveryUnavailable);
    }
    let interval = ctx.policy.sms.resend_interval;
    // Closed ones too: they stay for this (B52).
    let pending = draft.next.pending.iter().filter(|pending| pending.kind() == AuthenticatorType::Sms);
    let pending = pending.map(|pending| pending.create_time).max();
    let early = unused.max(pending).map(|last| last.plus(interval).since(ctx.now));
    let wait = early.filter(|wait| *wait > Duration::ZERO);
    if let Some(retry_after) = wait.max(budget::wait(ctx, &means.limits, &means.counts)) {
        return Err(Denial::SendTooSoon { retry_after });
    }
    Ok(())
}

/// Counts a message in the same commit.
pub(crate) fn charge(draft: &mut Draft, ctx: &Context<'_>, means: &Means, number: &PhoneNumber) {
    draft.send(SendCharge { counters: budget::counters(ctx, number), limits: means.limits });
}

/// When another message may be asked for after one that is sent now, beside those that were counted before.
pub(crate) fn next_send_time(ctx: &Context<'_>, means: &Means) -> Timestamp {
    let day = budget::wait(ctx, &means.limits, &means.counts.and_one_more());
    ctx.now.plus(ctx.policy.sms.resend_interval.max(day.unwrap_or_default()))
}

pub(crate) fn message(
    ctx: &Context<'_>,
    number: &PhoneNumber,
    id: SendId,
    code: OtpCode,
    expire_time: Timestamp,
    next_send_time: Timestamp,
) -> Message {
    Message {
        id,
        number: number.clone(),
        code,
        delivery: ctx.policy.sms.delivery,
        expire_time,
        next_send_time,
    }
}

/// The message that the request asked for, as long as its code may still be used: what a repeated request delivers again.
pub fn still_good(
    state: &UserState,
    ctx: &Context<'_>,
    caller: &CallerId,
    request: RequestId,
) -> Option<Message> {
    let state = state.settled(ctx.now);
    let asked_for = |id, key| was_asked_for(ctx, (id, key), caller, request);
    let interval = ctx.policy.sms.resend_interval;
    let of_login = state.active().find_map(|own| match &own.credential {
        Credential::Sms(SmsCredential { number, sent: Some(sent) })
            if sent.used_time.is_none() && sent.expire_time > ctx.now && asked_for(sent.id, sent.key) =>
        {
            state.challenge(sent.challenge)?;
            let code = login_code(ctx, own.id, sent)?;
            Some(message(ctx, number, sent.id, code, sent.expire_time, sent.send_time.plus(interval)))
        }
        Credential::Sms(_) | Credential::Totp(_) | Credential::SecurityKey(_) => None,
    });
    let of_enrollment = || {
        state.open_pending().find_map(|pending| match &pending.credential {
            PendingCredential::Sms(sms) if asked_for(sms.send, sms.key) => {
                let code = super::enrollment_code(ctx, pending.id, sms)?;
                let next_send_time = pending.create_time.plus(interval);
                Some(message(ctx, &sms.number, sms.send, code, pending.expire_time, next_send_time))
            }
            PendingCredential::Sms(_) | PendingCredential::Totp { .. } | PendingCredential::SecurityKey => {
                None
            }
        })
    };
    of_login.or_else(of_enrollment)
}
