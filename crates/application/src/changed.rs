//! An outcome with the status right after it, and commands that are the user's own.

use countersign_domain::actor::Actor;
use countersign_domain::change::Decision;
use countersign_domain::context::Context;
use countersign_domain::denial::Denial;
use countersign_domain::status::{self, Status};
use countersign_domain::user::UserState;

/// An outcome with the status right after it, so that a page needs no second read (B11).
#[derive(Debug, Clone)]
pub struct Changed<T> {
    /// The outcome.
    pub value: T,
    /// The status after the commit.
    pub status: Status,
}

/// Runs `decide` for the user themself only, and adds the status that its next state has.
pub(crate) fn as_owner<T>(
    state: &UserState,
    ctx: &Context<'_>,
    actor: &Actor,
    decide: impl FnOnce() -> Decision<Result<T, Denial>>,
) -> Decision<Result<Changed<T>, Denial>> {
    if actor.is(&ctx.user.user) {
        with_status(ctx, decide())
    } else {
        Decision::unchanged(Err(Denial::ActorNotSubject), state)
    }
}

/// Adds the status that the next state has.
pub(crate) fn with_status<T>(
    ctx: &Context<'_>,
    decision: Decision<Result<T, Denial>>,
) -> Decision<Result<Changed<T>, Denial>> {
    let status = status::status(&decision.effect.own.next, ctx);
    decision.map(|outcome| outcome.map(|value| Changed { value, status }))
}
