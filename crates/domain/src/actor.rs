//! Who acts: the user themself, an operator of the service, or a job. Team and role come from the directory; only
//! permissions and the first factor are the caller's word.

use crate::ids::{TenantId, UserId, UserRef};
use crate::policy::FirstFactorMethod;
use crate::user::{ClientClaims, FirstFactor};

/// Who is behind a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A user of the tenant.
    User(UserId),
    /// An operator, by a name of at most 128 printable ASCII characters.
    Operator(String),
    /// A job, by a name of at most 128 printable ASCII characters.
    Job(String),
}

/// Who acts, with what the caller vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub principal: Principal,
    /// Permissions in the tenant's naming; at most 50.
    pub permissions: Vec<String>,
    /// The first factor of the actor's session, where one is attested.
    pub first_factor: Option<FirstFactor>,
    /// The actor's device.
    pub client: ClientClaims,
}

impl From<Principal> for Actor {
    /// Somebody for whom the caller vouches for nothing more.
    fn from(principal: Principal) -> Self {
        Self { principal, permissions: Vec::new(), first_factor: None, client: ClientClaims::default() }
    }
}

impl Actor {
    /// Whether the actor is that user.
    pub fn is(&self, user: &UserId) -> bool {
        matches!(&self.principal, Principal::User(own) if own == user)
    }

    /// The actor as a user of the tenant; `None` for operators and jobs.
    pub fn user_in(&self, tenant: &TenantId) -> Option<UserRef> {
        match &self.principal {
            Principal::User(id) => Some(UserRef { tenant: tenant.clone(), user: id.clone() }),
            Principal::Operator(_) | Principal::Job(_) => None,
        }
    }
}

/// Who acted, as far as it is kept with an event: who, and what the caller vouched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedActor {
    /// Who.
    pub principal: Principal,
    /// Permissions in the tenant's naming; at most 50.
    pub permissions: Vec<String>,
    /// The kind of first factor that was attested, where one was.
    pub first_factor_method: Option<FirstFactorMethod>,
}

impl From<Principal> for RecordedActor {
    /// Somebody for whom the caller vouched for nothing more.
    fn from(principal: Principal) -> Self {
        Self { principal, permissions: Vec::new(), first_factor_method: None }
    }
}

impl From<&Actor> for RecordedActor {
    fn from(actor: &Actor) -> Self {
        Self {
            principal: actor.principal.clone(),
            permissions: actor.permissions.clone(),
            first_factor_method: actor.first_factor.as_ref().map(|factor| factor.method),
        }
    }
}
