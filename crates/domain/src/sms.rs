//! Codes by text message: what a code is, and what it is bound to (R71).
//!
//! A code is not stored, nor is a digest of it. It is HMAC-SHA-256 under a key of its own purpose over everything that
//! it is good for and the identity of one message, cut to eight digits; so the very message can be sent again after a
//! lost reply, and a thief of the database learns no code. Whether a presented code is right is decided in `proof`, where
//! all codes have one budget (R12). When a code is sent, and how many: [`sending`] and [`budget`].

pub mod budget;
pub mod sending;

use crate::context::Context;
use crate::digest::KeyId;
use crate::ids::{AuthenticatorId, EnrollmentId, SendId};
use crate::otp::{Digits, OtpCode};
use crate::user::{PendingSms, SentCode};
use std::time::Duration;

/// Digits of a code: eight are 26 bits, where six would be less than the 20 bits that R71 asks for.
pub const DIGITS: Digits = Digits::Eight;
/// How long a code lives at most (R71; NIST SP 800-63B-4 §3.1.3.2). It dies earlier with what it is bound to.
pub const LIFETIME: Duration = Duration::from_mins(10);

/// The longest interval between two messages that a policy may ask for. So long after it began, an enrollment that has ended
/// still tells when its message was sent; it leaves, with its number, in the next commit of its user after that.
pub const MAX_RESEND_INTERVAL: Duration = Duration::from_hours(1);

/// The code that answers one challenge. `None` where its key is gone.
pub(crate) fn login_code(ctx: &Context<'_>, id: AuthenticatorId, sent: &SentCode) -> Option<OtpCode> {
    make(ctx, sent.key, [b"login", id.as_bytes(), sent.challenge.as_bytes()], sent.id)
}

/// The code that confirms one enrollment. `None` where its key is gone.
pub(crate) fn enrollment_code(ctx: &Context<'_>, id: EnrollmentId, sms: &PendingSms) -> Option<OtpCode> {
    make(ctx, sms.key, [b"enrollment", id.as_bytes(), b""], sms.send)
}

fn make(ctx: &Context<'_>, key: KeyId, bound_to: [&[u8]; 3], send: SendId) -> Option<OtpCode> {
    let [purpose, row, challenge] = bound_to;
    let user = ctx.user;
    let fields = [
        b"text-message-code",
        purpose,
        user.tenant.as_str().as_bytes(),
        user.user.as_str().as_bytes(),
        row,
        challenge,
        send.as_bytes(),
    ];
    let digest = ctx.digests.text_messages.digest_with(key, &fields)?;
    let (head, _) = digest.value.split_first_chunk::<8>()?;
    // 64 bits over 10^8: the first codes are likelier than the last by less than one in 10^11.
    let value = u64::from_be_bytes(*head) % 100_000_000;
    u32::try_from(value).ok().map(|value| OtpCode::from_value(value, DIGITS))
}
