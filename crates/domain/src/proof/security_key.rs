//! What a security key proves. It is never locked and its failures charge nothing: a signature cannot be guessed, and
//! nobody may close this door for somebody else (R15). A counter that falls closes it: then the key was copied.

use super::{Evaluated, Presented, refused, verified};
use crate::context::{Context, Draft};
use crate::event::{Event, EventType};
use crate::ids::{AuthenticatorId, ChallengeId};
use crate::policy::AuthenticatorType;
use crate::security_key::{KeyChallenge, PresentedCredential, RelyingParty, SecurityKey, VerifiedAssertion};
use crate::user::{ChallengePurpose, Standing, Usage, UserState};

/// Evaluates an assertion for the challenges that it may answer here.
pub(super) fn evaluate(
    draft: &mut Draft,
    ctx: &Context<'_>,
    credential: &PresentedCredential,
    presented: Presented,
) -> Evaluated {
    let Some(party) = RelyingParty::of(ctx) else { return refused(draft, "security_keys_off") };
    let open = open(&draft.next, ctx, presented);
    let challenges: Vec<_> = open.iter().map(|(_, challenge)| *challenge).collect();
    let keys: Vec<_> = active(&draft.next).map(|(_, key)| key).collect();
    let assertion = match ctx.keys.verify_assertion(&party, &challenges, &keys, credential) {
        Ok(assertion) => assertion,
        Err(rejection) => return refused(draft, rejection.name()),
    };
    // The verifier was asked for these challenges and keys only; what it found is held against them all the same.
    let answered = open.iter().find(|(_, challenge)| *challenge == assertion.challenge).map(|(id, _)| *id);
    let signed = active(&draft.next).find(|(_, key)| key.id == assertion.credential);
    let (Some(challenge), Some((id, key))) = (answered, signed) else {
        return refused(draft, "wrong_challenge");
    };
    let stored = key.sign_count;
    if has_regressed(stored, &assertion) {
        return regressed(draft, ctx, id, (stored, assertion.sign_count));
    }
    let usage = Usage::SecurityKey { sign_count: assertion.sign_count, backed_up: assertion.backed_up };
    let evaluated = verified(draft, ctx, id, usage);
    if matches!(evaluated, Evaluated::Verified { .. }) {
        // Single use: the challenge is passed with it, wherever it was presented (R70).
        draft.next.challenges.retain(|other| other.id != challenge);
    }
    evaluated
}

/// The user's keys that may serve.
pub(crate) fn active(state: &UserState) -> impl Iterator<Item = (AuthenticatorId, &SecurityKey)> {
    state.active().filter_map(|own| own.credential.security_key().map(|key| (own.id, key)))
}

/// The challenges that an assertion may answer here, in every form in which they may have been handed out.
fn open(state: &UserState, ctx: &Context<'_>, presented: Presented) -> Vec<(ChallengeId, KeyChallenge)> {
    let fits = |id, purpose| match presented {
        Presented::WithLogin => false,
        Presented::ForChallenge(asked) => asked == id,
        // A change is no login: only what was asked of a running session counts.
        Presented::ForChange => purpose == ChallengePurpose::StepUp,
    };
    let rows = state.challenges.iter().filter(|row| fits(row.id, row.purpose));
    rows.flat_map(|row| {
        KeyChallenge::of_challenge(ctx, row.epoch, row.id).into_iter().map(|challenge| (row.id, challenge))
    })
    .collect()
}

/// Whether the counter says that there are two of this key (Web Authentication §6.1.1). Keys that keep none say 0.
const fn has_regressed(stored: u32, assertion: &VerifiedAssertion) -> bool {
    (stored > 0 || assertion.sign_count > 0) && assertion.sign_count <= stored
}

/// Two hold this private key, and nobody can tell who of them is the owner: it serves neither any more.
fn regressed(
    draft: &mut Draft,
    ctx: &Context<'_>,
    id: AuthenticatorId,
    (stored, presented): (u32, u32),
) -> Evaluated {
    if let Some(authenticator) = draft.next.authenticator_mut(id) {
        authenticator.standing = Standing::Disabled { since: ctx.now };
    }
    draft.next.raise_epoch();
    let disabled = Event::new(EventType::AuthenticatorDisabled)
        .about(id, AuthenticatorType::SecurityKey)
        .with("finding", "sign_count_regressed")
        .with("sign_count_stored", stored.to_string())
        .with("sign_count_presented", presented.to_string());
    draft.tell_owner(disabled);
    refused(draft, "sign_count_regressed")
}
