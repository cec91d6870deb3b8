//! What an actor may do to others, said beside each of their statuses: asks the very decisions, and throws them away.

use crate::engine::Snapshot;
use crate::policies::InForce;
use crate::{AppError, Application};
use countersign_domain::actor::Actor;
use countersign_domain::denial::Denial;
use countersign_domain::explain;
use countersign_domain::ids::{TenantId, UserId, UserRef};
use countersign_domain::policy::{DelegatedAction, ProofKind};
use countersign_domain::status::Status;
use countersign_domain::time::Timestamp;
use countersign_domain::user::UserState;
use std::sync::Arc;

/// Every action on others, in the order of the contract.
const ACTIONS: [DelegatedAction; 4] = [
    DelegatedAction::ResetMember,
    DelegatedAction::DisableMember,
    DelegatedAction::UnlockMember,
    DelegatedAction::IssueTicket,
];

/// Whether an action on another user is open to the actor and what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegatedAbility {
    /// The action.
    pub action: DelegatedAction,
    /// Proofs of the actor that it needs.
    pub required_proofs: Vec<ProofKind>,
    /// Why it is not open; `None` where it is.
    pub blocked: Option<Denial>,
}

/// An actor as loaded once, to be asked about many users.
pub struct Abilities {
    tenant: TenantId,
    actor: Actor,
    state: UserState,
    policy: Arc<InForce>,
    app: Application,
    now: Timestamp,
}

impl Application {
    /// Loads what decides over an actor's actions on others.
    pub async fn abilities(&self, tenant: &TenantId, actor: &Actor) -> Result<Abilities, AppError> {
        let (state, policy) = match self.0.actor_snapshot(tenant, actor).await? {
            Some(Snapshot { loaded, policy, .. }) => (loaded.state, policy),
            None => (UserState::default(), self.current_policy(tenant).await?),
        };
        let (app, now) = (self.clone(), self.now());
        Ok(Abilities { tenant: tenant.clone(), actor: actor.clone(), state, policy, app, now })
    }
}

impl Abilities {
    /// What the actor may do to a user with this status.
    pub fn over(&self, user: &UserId, status: &Status) -> Vec<DelegatedAbility> {
        let user = UserRef { tenant: self.tenant.clone(), user: user.clone() };
        let ctx = self.app.0.context(&user, &self.policy, self.now);
        let ability = |action| {
            let explained = explain::delegated_action(&status.user, &ctx, action, (&self.actor, &self.state));
            let explain::Explanation { required_proofs, blocked, .. } = explained;
            DelegatedAbility { action, required_proofs, blocked }
        };
        ACTIONS.map(ability).into()
    }
}
