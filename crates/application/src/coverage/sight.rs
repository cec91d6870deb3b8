//! What an actor may see of others.

use crate::{AppError, Application};
use countersign_domain::actor::Actor;
use countersign_domain::ids::{TeamId, TenantId};
use countersign_domain::user::{DirectoryEntry, Role, UserState};

/// What an actor may see.
pub(super) enum Sight {
    /// Everything: operators and jobs.
    All,
    /// The teams that they manage.
    Teams(DirectoryEntry),
}

impl Application {
    pub(super) async fn sight(&self, tenant: &TenantId, actor: &Actor) -> Result<Sight, AppError> {
        let Some(snapshot) = self.0.actor_snapshot(tenant, actor).await? else { return Ok(Sight::All) };
        Ok(Sight::Teams(snapshot.loaded.state.directory.unwrap_or_default()))
    }
}

impl Sight {
    /// Whether that user is in sight.
    pub(super) fn covers(&self, state: &UserState) -> bool {
        match self {
            Self::All => true,
            Self::Teams(own) => {
                !own.disabled && state.directory.as_ref().is_some_and(|entry| own.manages(entry, true))
            }
        }
    }

    /// The teams that a list covers which asks for `team`, or for all in sight; `None` among them is the whole tenant.
    /// No answer where the actor may see none of it.
    pub(super) fn scope(&self, team: Option<TeamId>) -> Option<Vec<Option<TeamId>>> {
        let own = match self {
            Self::All => return Some(vec![team]),
            Self::Teams(own) if own.disabled => return None,
            Self::Teams(own) => own,
        };
        let managed = own.teams.iter().filter(|membership| membership.role == Role::Manager);
        let wanted = managed.filter(|membership| team.as_ref().is_none_or(|team| *team == membership.team));
        let managed: Vec<_> = wanted.map(|membership| Some(membership.team.clone())).collect();
        (!managed.is_empty()).then_some(managed)
    }
}
