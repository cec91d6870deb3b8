//! What users do to their own: read the status, enroll, rename, remove, switch off, recovery codes, remembered clients.

use crate::changed::{Changed, as_owner, with_status};
use crate::engine::{Device, Snapshot, Subject};
use crate::{Answer, AppError, Application, Encode, Meta};
use countersign_domain::actor::Actor;
use countersign_domain::authenticators::{self, Gone};
use countersign_domain::clients::{self, Revocation};
use countersign_domain::denial::Denial;
use countersign_domain::enrollment::{
    self, Authority, BeginSecurityKey, BeginTotp, BegunSecurityKey, BegunTotp, Confirm, Confirmed,
};
use countersign_domain::etag::Etag;
use countersign_domain::ids::{AuthenticatorId, TicketId, UserRef};
use countersign_domain::presented::PresentedProof;
use countersign_domain::proof::Proofs;
use countersign_domain::recovery::{self, IssuedCodes};
use countersign_domain::status::{self, Status};
use countersign_domain::text::DisplayName;
use countersign_domain::token::{self, Opened};

pub(crate) fn by_authority(user: &UserRef, authority: &Authority) -> Subject {
    match authority {
        Authority::Session(actor) => Subject::of_actor(user.clone(), actor),
        Authority::Ticket(opened, client) => {
            Subject::themself(user.clone(), Device::OfTicket(opened.id, client.clone()))
        }
    }
}

/// What a command on the user's own needs beside its arguments.
fn proofs(actor: &Actor, code: Option<PresentedProof>) -> Proofs {
    Proofs { first_factor: actor.first_factor.clone(), code }
}

impl Application {
    /// Reads the status of a user, for themself.
    pub async fn status(&self, user: &UserRef, actor: &Actor) -> Result<Result<Status, Denial>, AppError> {
        if !actor.is(&user.user) {
            return Ok(Err(Denial::ActorNotSubject));
        }
        let Snapshot { loaded, policy, now } = self.0.snapshot(user).await?;
        let ctx = self.0.context(user, &policy, now);
        Ok(Ok(status::status(&loaded.state, &ctx)))
    }

    /// Whose enrollment ticket this is; `None` where it is not one of ours.
    pub fn open_ticket(&self, token: &str) -> Option<Opened<TicketId>> {
        token::open_ticket(&self.digests().tokens, token)
    }

    /// Begins enrolling an authenticator app.
    pub async fn begin_totp_enrollment(
        &self,
        meta: Meta,
        user: UserRef,
        command: BeginTotp,
        encode: Encode<Begun>,
    ) -> Result<Answer<Begun>, AppError> {
        let subject = by_authority(&user, &command.authority);
        self.change(meta, subject, encode, move |states, ctx, source| {
            let state = states.own;
            enrollment::begin_totp(state, ctx, &command, source.enrollment())
                .map(|outcome| outcome.map(|begun| Begun { begun, issuer: ctx.policy.totp.issuer.clone() }))
        })
        .await
    }

    /// Begins enrolling a security key.
    pub async fn begin_security_key_enrollment(
        &self,
        meta: Meta,
        user: UserRef,
        command: BeginSecurityKey,
        encode: Encode<BegunSecurityKey>,
    ) -> Result<Answer<BegunSecurityKey>, AppError> {
        let subject = by_authority(&user, &command.authority);
        self.change(meta, subject, encode, move |states, ctx, source| {
            enrollment::begin_security_key(states.own, ctx, &command, source.enrollment_id())
        })
        .await
    }

    /// Confirms an enrollment.
    pub async fn confirm_enrollment(
        &self,
        meta: Meta,
        user: UserRef,
        command: Confirm,
        encode: Encode<Changed<Confirmed>>,
    ) -> Result<Answer<Changed<Confirmed>>, AppError> {
        let subject = by_authority(&user, &command.authority);
        self.change(meta, subject, encode, move |states, ctx, source| {
            let state = states.own;
            with_status(ctx, enrollment::confirm(state, ctx, &command, &source.confirmation()))
        })
        .await
    }

    /// Gives an authenticator another name.
    pub async fn rename_authenticator(
        &self,
        meta: Meta,
        (user, actor): (UserRef, Actor),
        id: AuthenticatorId,
        name: DisplayName,
        etag: Option<Etag>,
        encode: Encode<Changed<()>>,
    ) -> Result<Answer<Changed<()>>, AppError> {
        let subject = Subject { etag, ..Subject::of_actor(user, &actor) };
        self.change(meta, subject, encode, move |states, ctx, _| {
            let state = states.own;
            as_owner(state, ctx, &actor, || authenticators::rename(state, ctx, id, &name))
        })
        .await
    }

    /// Removes an authenticator.
    pub async fn remove_authenticator(
        &self,
        meta: Meta,
        (user, actor): (UserRef, Actor),
        id: AuthenticatorId,
        code: Option<PresentedProof>,
        etag: Option<Etag>,
        encode: Encode<Changed<Gone>>,
    ) -> Result<Answer<Changed<Gone>>, AppError> {
        let subject = Subject { etag, ..Subject::of_actor(user, &actor) };
        let proofs = proofs(&actor, code);
        self.change(meta, subject, encode, move |states, ctx, _| {
            let state = states.own;
            as_owner(state, ctx, &actor, || authenticators::remove(state, ctx, id, &proofs))
        })
        .await
    }

    /// Switches the second factor off.
    pub async fn disable_two_factor(
        &self,
        meta: Meta,
        (user, actor): (UserRef, Actor),
        code: Option<PresentedProof>,
        encode: Encode<Changed<Gone>>,
    ) -> Result<Answer<Changed<Gone>>, AppError> {
        let subject = Subject::of_actor(user, &actor);
        let proofs = proofs(&actor, code);
        self.change(meta, subject, encode, move |states, ctx, _| {
            let state = states.own;
            as_owner(state, ctx, &actor, || authenticators::disable(state, ctx, &proofs))
        })
        .await
    }

    /// What switching off would lead to, and which proofs it would need. Commits nothing (ruling 6).
    pub async fn preview_disable(
        &self,
        user: &UserRef,
        actor: &Actor,
    ) -> Result<Result<Changed<Gone>, Denial>, AppError> {
        let Snapshot { loaded, policy, now } = self.0.snapshot(user).await?;
        let ctx = self.0.context(user, &policy, now);
        let decision =
            as_owner(&loaded.state, &ctx, actor, || authenticators::preview_disable(&loaded.state, &ctx));
        Ok(decision.outcome)
    }

    /// A new set of recovery codes.
    pub async fn generate_recovery_codes(
        &self,
        meta: Meta,
        (user, actor): (UserRef, Actor),
        code: Option<PresentedProof>,
        encode: Encode<Changed<IssuedCodes>>,
    ) -> Result<Answer<Changed<IssuedCodes>>, AppError> {
        let subject = Subject::of_actor(user, &actor);
        let proofs = proofs(&actor, code);
        self.change(meta, subject, encode, move |states, ctx, source| {
            let state = states.own;
            as_owner(state, ctx, &actor, || recovery::generate(state, ctx, &proofs, &source.recovery_set()))
        })
        .await
    }

    /// Forgets remembered clients.
    pub async fn revoke_remembered_clients(
        &self,
        meta: Meta,
        (user, actor): (UserRef, Actor),
        revocation: Revocation,
        encode: Encode<Changed<usize>>,
    ) -> Result<Answer<Changed<usize>>, AppError> {
        let subject = Subject::of_actor(user, &actor);
        self.change(meta, subject, encode, move |states, ctx, _| {
            let state = states.own;
            as_owner(state, ctx, &actor, || clients::revoke(state, ctx, &revocation))
        })
        .await
    }
}

/// A key as it is shown once, with the issuer that the app shows.
#[derive(Debug, Clone)]
pub struct Begun {
    /// The pending enrollment.
    pub begun: BegunTotp,
    /// The tenant's name in the app.
    pub issuer: countersign_domain::text::Issuer,
}
