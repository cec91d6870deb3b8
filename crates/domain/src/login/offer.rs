//! What a login is asked for: a challenge with the ways that are open to the user, or word of a lock.

use super::Asked;
use super::verdict::{LockedOut, Method, Named, Offer, Verdict};
use crate::context::{Context, Draft};
use crate::event::{Event, EventType};
use crate::ids::ChallengeId;
use crate::policy::AuthenticatorType;
use crate::proof::{self, Presented};
use crate::secret::SecretString;
use crate::security_key::{KeyChallenge, RelyingParty};
use crate::time::Timestamp;
use crate::token;
use crate::user::{Authenticator, Challenge, ClientClaims, Credential};
use std::cmp::Reverse;
use std::time::Duration;

/// Asks for a proof, or says that none is evaluated now.
pub(super) fn challenge(draft: &mut Draft, ctx: &Context<'_>, asked: &Asked<'_>, id: ChallengeId) -> Verdict {
    let until = draft.next.codes_wait_until(ctx);
    if until.is_some() || !draft.next.has_active() {
        draft.lead_refused("locked");
        draft.step("lockout", "too many wrong codes: none is evaluated for now");
        return lock_out(draft, ctx, asked, until, id);
    }
    let methods = methods(draft, ctx, Codes::Open, (id, Challenge::LIFETIME));
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
    let challenges = &mut draft.next.challenges;
    while challenges.len() >= Challenge::MAX_OPEN {
        challenges.remove(least_missed(challenges));
    }
    let opened = Challenge {
        id,
        purpose: asked.purpose,
        create_time: ctx.now,
        expire_time: ctx.now.plus(Challenge::LIFETIME),
        epoch: draft.next.epoch,
        first_factor: asked.first.clone(),
        client: asked.client.clone(),
    };
    let offer = offer(ctx, &opened, methods);
    challenges.push(opened);
    offer
}

/// The one that makes room: the oldest of the network that has the most, so that who has the password and asks without end
/// pushes out what they asked for themselves, and leaves the owner's (R15). Within that network those of one client stand out
/// where they are half of all: a user agent can be made up, and with fewer somebody beside the owner could choose which one
/// goes. What remains is a thief with many networks, or one in the owner's own who asks as often as it takes.
fn least_missed(open: &[Challenge]) -> usize {
    let networks: Vec<_> = open.iter().map(|challenge| challenge.client.network()).collect();
    let crowd = |place: &usize| {
        let own = &open[*place].client;
        let near = || open.iter().zip(&networks).filter(|(_, network)| **network == networks[*place]);
        let same =
            |other: &ClientClaims| other.application == own.application && other.user_agent == own.user_agent;
        let alike = near().filter(|(other, _)| same(&other.client)).count();
        (near().count(), Some(alike).filter(|alike| alike * 2 >= Challenge::MAX_OPEN))
    };
    // Of equals the last is taken, so they are gone through from the newest.
    (0..open.len()).rev().max_by_key(crowd).unwrap_or_default()
}

/// An open challenge as it is handed out.
fn offer(ctx: &Context<'_>, open: &Challenge, methods: Vec<Method>) -> Offer {
    let challenge = token::challenge(&ctx.digests.tokens, ctx.user, open.epoch, open.id);
    Offer { challenge, purpose: open.purpose, expire_time: open.expire_time, methods }
}

/// The verdict for who is locked, with the ways that stay open. Who answered a challenge keeps that one: another one for each
/// answer, none of which is charged, would push out those of others (R15).
pub(super) fn lock_out(
    draft: &mut Draft,
    ctx: &Context<'_>,
    asked: &Asked<'_>,
    until: Option<Timestamp>,
    id: ChallengeId,
) -> Verdict {
    let answered = match asked.presented {
        Presented::ForChallenge(answered) => draft.next.challenge(answered),
        Presented::WithLogin | Presented::ForChange => None,
    };
    let asked_for =
        answered.map_or((id, Challenge::LIFETIME), |open| (open.id, open.expire_time.since(ctx.now)));
    let methods = methods(draft, ctx, Codes::Locked, asked_for);
    let still_open = match answered {
        _ if methods.is_empty() => None,
        Some(open) => Some(offer(ctx, open, methods)),
        None => Some(open_challenge(draft, ctx, asked, id, methods)),
    };
    Verdict::LockedOut(LockedOut { retry_after: until.map(|until| until.since(ctx.now)), still_open })
}

/// Whether codes that can be guessed are evaluated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Codes {
    Open,
    Locked,
}

/// The ways open to this user, the one used last first; while locked only those that a lock does not close. Of the challenge
/// its id and how long it is open.
fn methods(
    draft: &Draft,
    ctx: &Context<'_>,
    codes: Codes,
    challenge: (ChallengeId, Duration),
) -> Vec<Method> {
    let key_options = request_options(draft, ctx, challenge);
    let open = codes == Codes::Open;
    let method = |own: &Authenticator| {
        let authenticator =
            Named { id: own.id, display_name: own.display_name.as_str().to_owned(), unnamed: !own.named };
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
fn request_options(
    draft: &Draft,
    ctx: &Context<'_>,
    (id, timeout): (ChallengeId, Duration),
) -> Option<SecretString> {
    let keys: Vec<_> = proof::active_security_keys(&draft.next).map(|(_, key)| key).collect();
    let party = RelyingParty::of(ctx).filter(|_| !keys.is_empty())?;
    let challenge = *KeyChallenge::of_challenge(ctx, draft.next.epoch, id).first()?;
    Some(ctx.keys.request_options(&party, challenge, &keys, timeout))
}
