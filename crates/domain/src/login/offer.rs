//! What a login is asked for: a challenge with the ways that are open to the user, or word of a lock.

use super::Asked;
use super::verdict::{LockedOut, Method, Named, Offer, Verdict};
use crate::context::{Context, Draft};
use crate::event::{Event, EventType};
use crate::ids::ChallengeId;
use crate::policy::AuthenticatorType;
use crate::proof;
use crate::secret::SecretString;
use crate::security_key::{KeyChallenge, RelyingParty};
use crate::time::Timestamp;
use crate::token;
use crate::user::{Authenticator, Challenge, Credential};
use std::cmp::Reverse;

/// Asks for a proof, or says that none is evaluated now.
pub(super) fn challenge(draft: &mut Draft, ctx: &Context<'_>, asked: &Asked<'_>, id: ChallengeId) -> Verdict {
    // Where everything is disabled, or what takes codes serves nobody, waiting does not help.
    let takes_codes = draft.next.serving(ctx).any(|own| own.kind().takes_codes());
    let until = draft.next.failures.locked_until(ctx.now).filter(|_| takes_codes);
    if until.is_some() || !draft.next.has_active() {
        draft.lead_refused("locked");
        draft.step("lockout", "too many wrong codes: none is evaluated for now");
        return lock_out(draft, ctx, asked, until, id);
    }
    let methods = methods(draft, ctx, Codes::Open, id);
    draft.lead(Event::new(EventType::LoginChallenged));
    draft.step("lockout", "codes are evaluated");
    Verdict::ChallengeRequired(open_challenge(draft, ctx, asked, id, methods))
}

/// The verdict for a user whose second factor serves nobody: security keys, and a policy that names nobody any more for
/// whom they sign; telephones, and nobody who delivers. A challenge could not be passed, nor does waiting help. `None` where
/// there is a way.
pub(super) fn without_way(draft: &mut Draft, ctx: &Context<'_>) -> Option<Verdict> {
    let serves = draft.next.serving(ctx).next().is_some();
    if !draft.next.has_active() || serves || has_recovery_code(draft, ctx) {
        return None;
    }
    draft.lead_refused("no_method");
    for (kind, field) in [
        (AuthenticatorType::SecurityKey, "security_key.relying_party_id"),
        (AuthenticatorType::Sms, "sms.delivery"),
    ] {
        if draft.next.active().any(|own| own.kind() == kind) {
            draft.step(field, "what the user has serves nobody");
        }
    }
    Some(Verdict::LockedOut(LockedOut { retry_after: None, still_open: None }))
}

fn has_recovery_code(draft: &Draft, ctx: &Context<'_>) -> bool {
    ctx.policy.recovery_codes.enabled && draft.next.recovery_codes_remaining() > 0
}

fn open_challenge(
    draft: &mut Draft,
    ctx: &Context<'_>,
    asked: &Asked<'_>,
    id: ChallengeId,
    methods: Vec<Method>,
) -> Offer {
    let expire_time = ctx.now.plus(Challenge::LIFETIME);
    let challenges = &mut draft.next.challenges;
    challenges.push(Challenge {
        id,
        purpose: asked.purpose,
        create_time: ctx.now,
        expire_time,
        epoch: draft.next.epoch,
        first_factor: asked.first.clone(),
        client: asked.client.clone(),
    });
    let surplus = challenges.len().saturating_sub(Challenge::MAX_OPEN);
    challenges.drain(..surplus);
    let challenge = token::challenge(&ctx.digests.tokens, ctx.user, draft.next.epoch, id);
    Offer { challenge, purpose: asked.purpose, expire_time, methods }
}

pub(super) fn lock_out(
    draft: &mut Draft,
    ctx: &Context<'_>,
    asked: &Asked<'_>,
    until: Option<Timestamp>,
    id: ChallengeId,
) -> Verdict {
    let methods = methods(draft, ctx, Codes::Locked, id);
    let still_open = (!methods.is_empty()).then(|| open_challenge(draft, ctx, asked, id, methods));
    Verdict::LockedOut(LockedOut { retry_after: until.map(|until| until.since(ctx.now)), still_open })
}

/// Whether codes that can be guessed are evaluated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Codes {
    Open,
    Locked,
}

/// The ways open to this user, the one used last first; while locked only those that a lock does not close.
fn methods(draft: &Draft, ctx: &Context<'_>, codes: Codes, id: ChallengeId) -> Vec<Method> {
    let key_options = request_options(draft, ctx, id);
    let open = codes == Codes::Open;
    let method = |own: &Authenticator| {
        let authenticator = Named { id: own.id, display_name: own.display_name.as_str().to_owned() };
        match &own.credential {
            Credential::Totp(_) => open.then_some(Method::Totp(authenticator)),
            Credential::Sms(sms) => {
                let sendable = open && ctx.delivers_text_messages();
                sendable.then(|| Method::Sms { authenticator, obfuscated_number: sms.number.obfuscated() })
            }
            Credential::SecurityKey(_) => key_options
                .clone()
                .map(|request_options| Method::SecurityKey { authenticator, request_options }),
        }
    };
    let mut active: Vec<_> = draft.next.active().collect();
    active.sort_by_key(|own| Reverse(own.last_use_time));
    let recovery = has_recovery_code(draft, ctx).then_some(Method::RecoveryCode);
    active.into_iter().filter_map(method).chain(recovery).collect()
}

/// What the browser asks the user's keys to sign for this challenge; `None` where there is no key that may serve.
fn request_options(draft: &Draft, ctx: &Context<'_>, id: ChallengeId) -> Option<SecretString> {
    let keys: Vec<_> = proof::active_security_keys(&draft.next).map(|(_, key)| key).collect();
    let party = RelyingParty::of(ctx).filter(|_| !keys.is_empty())?;
    let challenge = *KeyChallenge::of_challenge(ctx, draft.next.epoch, id).first()?;
    Some(ctx.keys.request_options(&party, challenge, &keys, Challenge::LIFETIME))
}
