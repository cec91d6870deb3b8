//! What users do to authenticators they have: rename, remove, switch everything off.

use crate::change::Decision;
use crate::context::{Context, Draft};
use crate::denial::Denial;
use crate::event::{Event, EventType};
use crate::ids::AuthenticatorId;
use crate::policy::{AuthenticatorType, ProofKind};
use crate::proof::{self, ProofField, Proofs};
use crate::requirement;
use crate::text::DisplayName;
use crate::user::{Authenticator, UserState};

/// Gives an authenticator another name, unique among the user's own after case folding (B14).
pub fn rename(
    state: &UserState,
    ctx: &Context<'_>,
    id: AuthenticatorId,
    name: &DisplayName,
) -> Decision<Result<(), Denial>> {
    Draft::on(state, ctx, |draft| rename_on(draft, id, name))
}

fn rename_on(draft: &mut Draft, id: AuthenticatorId, name: &DisplayName) -> Result<(), Denial> {
    let key = name.fold_key();
    let taken =
        draft.next.authenticators.iter().any(|other| other.id != id && other.display_name.fold_key() == key);
    let authenticator =
        draft.next.authenticator_mut(id).ok_or(Denial::ResourceNotFound { what: "authenticator" })?;
    if taken {
        return Err(Denial::DisplayNameExists);
    }
    authenticator.display_name = name.clone();
    authenticator.named = true;
    let kind = authenticator.kind();
    draft.lead(Event::new(EventType::AuthenticatorRenamed).about(id, kind));
    Ok(())
}

/// Whether this user could remove the authenticator now, proofs aside.
pub(crate) fn may_remove(state: &UserState, ctx: &Context<'_>, id: AuthenticatorId) -> Result<(), Denial> {
    state.authenticator(id).ok_or(Denial::ResourceNotFound { what: "authenticator" })?;
    if !is_last(state, ctx, id) {
        return Ok(());
    }
    if requirement::is_mandatory(state, ctx) {
        return Err(Denial::LastAuthenticator);
    }
    may_disable(state, ctx)
}

/// Whether removing it is switching off. The last one that serves is the last one: a disabled one that stays behind would
/// not do, nor a key that serves nobody. Where none serves, it is the last one that could again: what takes codes may be
/// unlocked, what is active may serve under another policy. Nobody brings back a key that was disabled as a copy: of such
/// keys alone each is the last one.
fn is_last(state: &UserState, ctx: &Context<'_>, id: AuthenticatorId) -> bool {
    let mut serving = state.serving(ctx).peekable();
    if serving.peek().is_some() {
        return serving.all(|own| own.id == id);
    }
    let could_again = |own: &&Authenticator| own.is_active() || own.kind().takes_codes();
    state.authenticators.iter().filter(could_again).all(|own| own.id == id)
}

/// Kinds of the authenticators that went, one each: an entry of an app is to be deleted, a number is not (B34).
pub type Gone = Vec<AuthenticatorType>;

/// Removes an authenticator; the last one that serves or, where none does, that could again, takes everything else along.
pub fn remove(
    state: &UserState,
    ctx: &Context<'_>,
    id: AuthenticatorId,
    proofs: &Proofs,
) -> Decision<Result<Gone, Denial>> {
    Draft::on(state, ctx, |draft| remove_on(draft, ctx, id, proofs))
}

fn remove_on(
    draft: &mut Draft,
    ctx: &Context<'_>,
    id: AuthenticatorId,
    proofs: &Proofs,
) -> Result<Gone, Denial> {
    may_remove(&draft.next, ctx, id)?;
    proof::demand(draft, ctx, required_proofs(ctx), proofs, ProofField::Proof)?;
    let authenticator =
        draft.next.authenticator(id).ok_or(Denial::ResourceNotFound { what: "authenticator" })?;
    let kind = authenticator.kind();
    let removed = Event::new(EventType::AuthenticatorRemoved).about(id, kind);
    if is_last(&draft.next, ctx, id) {
        let gone = all(&draft.next);
        draft.next.strip(&ctx.policy.lockout, ctx.now);
        draft.tell(removed);
        draft.lead_owner(Event::new(EventType::TwoFactorDisabled));
        return Ok(gone);
    }
    draft.next.authenticators.retain(|other| other.id != id);
    draft.next.raise_epoch();
    draft.lead_owner(removed);
    Ok(vec![kind])
}

/// Proofs that switching off, removing and regenerating need. Empty means nothing more than the session.
pub(crate) fn required_proofs<'a>(ctx: &Context<'a>) -> &'a [ProofKind] {
    &ctx.policy.disable.required_proofs
}

/// Whether this user could switch off now, proofs aside.
pub(crate) fn may_disable(state: &UserState, ctx: &Context<'_>) -> Result<(), Denial> {
    if !state.is_on() {
        return Err(Denial::TwoFactorNotEnabled);
    }
    if requirement::is_mandatory(state, ctx) {
        return Err(Denial::TwoFactorMandatory);
    }
    if !ctx.policy.disable.self_service {
        return Err(Denial::ActionNotAllowed { policy_field: "disable.self_service" });
    }
    Ok(())
}

/// Switches the second factor off: everything that could pass a challenge is gone in this commit (B33, R36).
pub fn disable(state: &UserState, ctx: &Context<'_>, proofs: &Proofs) -> Decision<Result<Gone, Denial>> {
    Draft::on(state, ctx, |draft| disable_on(draft, ctx, Some(proofs)))
}

/// What [`disable`] would lead to: no proof is evaluated, nothing is charged or consumed (ruling 6). The decision is to
/// be looked at, never committed.
pub fn preview_disable(state: &UserState, ctx: &Context<'_>) -> Decision<Result<Gone, Denial>> {
    Draft::on(state, ctx, |draft| disable_on(draft, ctx, None))
}

fn disable_on(draft: &mut Draft, ctx: &Context<'_>, proofs: Option<&Proofs>) -> Result<Gone, Denial> {
    may_disable(&draft.next, ctx)?;
    if let Some(proofs) = proofs {
        proof::demand(draft, ctx, required_proofs(ctx), proofs, ProofField::Proof)?;
    }
    let gone = all(&draft.next);
    draft.next.strip(&ctx.policy.lockout, ctx.now);
    draft.lead_owner(Event::new(EventType::TwoFactorDisabled));
    Ok(gone)
}

fn all(state: &UserState) -> Gone {
    state.authenticators.iter().map(Authenticator::kind).collect()
}
