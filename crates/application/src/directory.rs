//! What the tenant's directory tells: users, changed first factors, users who are gone; and requests for help.

use crate::changed::{Changed, as_owner};
use crate::engine::Subject;
use crate::{Answer, AppError, Application, Encode, Meta};
use countersign_domain::actor::Actor;
use countersign_domain::directory;
use countersign_domain::ids::UserRef;
use countersign_domain::time::Timestamp;
use countersign_domain::user::{DirectoryEntry, ResetRequest};

impl Application {
    /// Takes over what the directory says of a user. Saying the same again changes nothing.
    pub async fn put_user(
        &self,
        meta: Meta,
        user: UserRef,
        actor: Actor,
        entry: DirectoryEntry,
        encode: Encode<DirectoryEntry>,
    ) -> Result<Answer<DirectoryEntry>, AppError> {
        self.change(meta, Subject::of_actor(user, &actor), encode, move |states, ctx, _| {
            directory::put(states.own, ctx, &entry).map(|()| Ok(entry.clone()))
        })
        .await
    }

    /// What the directory last said of a user; `None` where it never did.
    pub async fn directory_entry(&self, user: &UserRef) -> Result<Option<DirectoryEntry>, AppError> {
        Ok(self.0.snapshot(user).await?.loaded.state.directory)
    }

    /// The first factor changed, at that time where it is known: remembered clients, challenges, tickets and pending
    /// enrollments die.
    pub async fn first_factor_changed(
        &self,
        meta: Meta,
        (user, actor): (UserRef, Actor),
        change_time: Option<Timestamp>,
        encode: Encode<()>,
    ) -> Result<Answer<()>, AppError> {
        self.change(meta, Subject::of_actor(user, &actor), encode, move |states, ctx, _| {
            directory::first_factor_changed(states.own, ctx, change_time).map(Ok)
        })
        .await
    }

    /// Erases a user: everything but the log.
    pub async fn erase_user(
        &self,
        meta: Meta,
        user: UserRef,
        actor: Actor,
        encode: Encode<()>,
    ) -> Result<Answer<()>, AppError> {
        self.change(meta, Subject::of_actor(user, &actor), encode, |states, ctx, _| {
            directory::erase(states.own, ctx).map(Ok)
        })
        .await
    }

    /// A member asks to be reset (B42).
    pub async fn request_reset(
        &self,
        meta: Meta,
        (user, actor): (UserRef, Actor),
        reason: String,
        encode: Encode<Changed<ResetRequest>>,
    ) -> Result<Answer<Changed<ResetRequest>>, AppError> {
        self.change(meta, Subject::of_actor(user, &actor), encode, move |states, ctx, source| {
            let state = states.own;
            as_owner(state, ctx, &actor, || {
                directory::request_reset(state, ctx, &reason, source.reset_request())
            })
        })
        .await
    }
}
