//! Beginning to enroll a telephone: a code is sent to the number, and confirms it when it comes back.

use super::right::required;
use super::{Authority, demand, may_enroll, right, start};
use crate::change::Decision;
use crate::context::{Context, Draft};
use crate::denial::Denial;
use crate::ids::{AuthenticatorId, EnrollmentId, SendId};
use crate::phone_number::PhoneNumber;
use crate::policy::{AuthenticatorType, ProofKind, ProofStage};
use crate::presented::PresentedProof;
use crate::proof::ProofField;
use crate::sms::sending::{self, Means, Message};
use crate::sms::{LIFETIME, enrollment_code};
use crate::user::{PendingCredential, PendingSms, UserState};

/// Begin enrolling a telephone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginSms {
    /// By what right.
    pub authority: Authority,
    /// Where codes are to be sent.
    pub number: PhoneNumber,
    /// The authenticator whose place it takes.
    pub replaces: Option<AuthenticatorId>,
    /// A code of an active authenticator, where adding one needs it.
    pub code: Option<PresentedProof>,
}

/// What a new enrollment is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreshSms {
    /// Its id.
    pub id: EnrollmentId,
    /// The message's.
    pub send: SendId,
}

/// An enrollment that waits for the code that is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunSms {
    /// The enrollment to confirm.
    pub id: EnrollmentId,
    /// The message to deliver. Nothing confirms the enrollment when its code is worth nothing any more.
    pub message: Message,
}

/// Begins an enrollment; one that was pending is gone, and its code with it. What is active stays untouched (R20).
pub fn begin_sms(
    state: &UserState,
    ctx: &Context<'_>,
    command: &BeginSms,
    means: &Means,
    fresh: FreshSms,
) -> Decision<Result<BegunSms, Denial>> {
    Draft::on(state, ctx, |draft| begin_sms_on(draft, ctx, command, means, fresh))
}

fn begin_sms_on(
    draft: &mut Draft,
    ctx: &Context<'_>,
    command: &BeginSms,
    means: &Means,
    fresh: FreshSms,
) -> Result<BegunSms, Denial> {
    let right = right(draft, ctx, &command.authority)?;
    may_enroll(&draft.next, ctx, AuthenticatorType::Sms, command.replaces)?;
    let mut staying = draft.next.authenticators.iter().filter(|own| Some(own.id) != command.replaces);
    if staying.any(|own| own.credential.sms().is_some_and(|sms| sms.number == command.number)) {
        return Err(Denial::AuthenticatorExists);
    }
    // Before a proof is evaluated: nobody is told for nothing that it is right. But a code may be that of the last message, which
    // is used then and holds back none; and without a proof none is evaluated, and what is missing is told first.
    let proves = required(&draft.next, ctx, ProofStage::Begin, &right).contains(&ProofKind::SecondFactor);
    let proof_comes_first = proves && matches!(command.code, Some(PresentedProof::Otp(_)) | None);
    if proof_comes_first {
        sending::may_send_but_for_the_last(draft, ctx, means)?;
    } else {
        sending::may_send(draft, ctx, means)?;
    }
    demand(draft, ctx, ProofStage::Begin, &right, command.code.as_ref(), ProofField::Proof)?;
    if proof_comes_first && let Err(denial) = sending::may_send(draft, ctx, means) {
        // Right, and of something else: it has served its one call, although nothing came of it (B32, R5).
        draft.lead_refused("action_denied");
        return Err(denial);
    }
    let sms = PendingSms {
        number: command.number.clone(),
        send: fresh.send,
        key: ctx.digests.text_messages.newest(),
    };
    // The newest key is there by construction.
    let code = enrollment_code(ctx, fresh.id, &sms).ok_or(Denial::EnrollmentExpired)?;
    let expire_time = ctx.now.plus(ctx.policy.enrollment.expire_after.min(LIFETIME));
    start(draft, ctx, &right, fresh.id, PendingCredential::Sms(sms), command.replaces, expire_time);
    sending::charge(draft, ctx, means, &command.number);
    let next_send_time = sending::next_send_time(ctx, means);
    let message = sending::message(ctx, &command.number, fresh.send, code, expire_time, next_send_time);
    Ok(BegunSms { id: fresh.id, message })
}
