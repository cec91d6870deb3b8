//! What managers and administrators do to others.

use crate::changed::{Changed, with_status};
use crate::engine::{Parties, States, Subject};
use crate::fresh::Source;
use crate::{Answer, AppError, Application, Encode, Meta};
use countersign_domain::actor::Actor;
use countersign_domain::change::Decision;
use countersign_domain::context::Context;
use countersign_domain::denial::Denial;
use countersign_domain::enrollment::IssuedTicket;
use countersign_domain::ids::UserRef;
use countersign_domain::policy::{DelegatedAction, ProofKind};
use countersign_domain::presented::PresentedProof;
use countersign_domain::status;
use countersign_domain::team::{self, Delegated, Party};
use countersign_domain::user::UserState;

/// A command of one user on another, owned.
#[derive(Debug, Clone)]
pub struct DelegatedCommand {
    /// Who acts.
    pub actor: Actor,
    /// A code of the actor.
    pub actor_code: Option<PresentedProof>,
    /// Who approves.
    pub second: Option<Actor>,
    /// Why; at most 500 characters.
    pub justification: String,
}

/// What a preview of a delegated action says.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The member's status as it would be.
    pub status: status::Status,
    /// Proofs of the actor that the action needs.
    pub required_proofs: Vec<ProofKind>,
    /// Whether the action needs a second person, whom a preview need not name.
    pub needs_second_approver: bool,
}

impl DelegatedCommand {
    /// The actor and the second approver, where they are users and not the member: acting on oneself is denied before any
    /// state counts, and a user never stands twice in one change.
    fn parties(&self, member: &UserRef) -> Parties<UserRef> {
        let user = |actor: &Actor| actor.user_in(&member.tenant).filter(|user| user != member);
        Parties { actor: user(&self.actor), second: self.second.as_ref().and_then(user) }
    }

    /// The domain's command, over the states of [`DelegatedCommand::parties`].
    fn with<T>(&self, states: Parties<&UserState>, preview: bool, f: impl FnOnce(&Delegated<'_>) -> T) -> T {
        let nobody = UserState::default();
        let party = |actor, state: Option<_>| Party { actor, state: state.unwrap_or(&nobody) };
        f(&Delegated {
            by: party(&self.actor, states.actor),
            actor_code: self.actor_code.as_ref(),
            second: self.second.as_ref().map(|actor| party(actor, states.second)),
            justification: &self.justification,
            preview,
        })
    }

    fn subject(&self, user: UserRef) -> Subject {
        Subject { parties: self.parties(&user), ..Subject::of_actor(user, &self.actor) }
    }
}

/// What may be done to a member that is answered with their status. Handing out a ticket is answered with the ticket:
/// [`Application::issue_enrollment_ticket`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberAction {
    /// See [`DelegatedAction::ResetMember`].
    Reset,
    /// See [`DelegatedAction::DisableMember`].
    Disable,
    /// See [`DelegatedAction::UnlockMember`].
    Unlock,
}

impl From<MemberAction> for DelegatedAction {
    fn from(action: MemberAction) -> Self {
        match action {
            MemberAction::Reset => Self::ResetMember,
            MemberAction::Disable => Self::DisableMember,
            MemberAction::Unlock => Self::UnlockMember,
        }
    }
}

impl MemberAction {
    fn decide(
        self,
        state: &UserState,
        ctx: &Context<'_>,
        command: &Delegated<'_>,
    ) -> Decision<Result<(), Denial>> {
        match self {
            Self::Reset => team::reset_member(state, ctx, command),
            Self::Disable => team::disable_member(state, ctx, command),
            Self::Unlock => team::unlock_member(state, ctx, command),
        }
    }
}

impl Application {
    /// Resets, switches off or unlocks a member.
    pub async fn act_on_member(
        &self,
        meta: Meta,
        user: UserRef,
        action: MemberAction,
        command: DelegatedCommand,
        encode: Encode<Changed<()>>,
    ) -> Result<Answer<Changed<()>>, AppError> {
        let subject = command.subject(user);
        self.change(meta, subject, encode, move |states, ctx, _| {
            let decided =
                command.with(states.parties, false, |command| action.decide(states.own, ctx, command));
            with_status(ctx, decided)
        })
        .await
    }

    /// What resetting, switching off or unlocking a member would lead to (B39). Commits nothing.
    pub async fn preview_on_member(
        &self,
        user: UserRef,
        action: MemberAction,
        command: DelegatedCommand,
    ) -> Result<Result<Preview, Denial>, AppError> {
        let snapshot = self.0.snapshot(&user).await?;
        let parties = self.0.parties(&command.parties(&user)).await?;
        let ctx = self.0.context(&user, &snapshot.policy, snapshot.now);
        let states = parties.as_ref().map(|party| &party.state);
        let decided =
            command.with(states, true, |command| action.decide(&snapshot.loaded.state, &ctx, command));
        Ok(decided.outcome.map(|()| Preview {
            status: status::status(&decided.effect.own.next, &ctx),
            required_proofs: team::required_proofs(&ctx, &command.actor, action.into()),
            needs_second_approver: team::needs_second_approver(&ctx, &command.actor, action.into()),
        }))
    }

    /// Hands out a ticket for a first enrollment.
    pub async fn issue_enrollment_ticket(
        &self,
        meta: Meta,
        user: UserRef,
        command: DelegatedCommand,
        encode: Encode<IssuedTicket>,
    ) -> Result<Answer<IssuedTicket>, AppError> {
        let subject = command.subject(user);
        self.change(
            meta,
            subject,
            encode,
            move |states: &States<'_>, ctx: &Context<'_>, source: Source<'_>| {
                command.with(states.parties, false, |command| {
                    team::issue_ticket(states.own, ctx, command, source.ticket())
                })
            },
        )
        .await
    }
}
