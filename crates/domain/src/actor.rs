//! Who acts: the user themself, an operator of the service, or a job. Team and role come from the directory; only
//! permissions and the first factor are the caller's word.

use crate::ids::{CallerId, TenantId, UserId, UserRef};
use crate::policy::FirstFactorMethod;
use crate::user::{ClientClaims, FirstFactor};
use std::fmt;

/// Who is behind a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A user of the tenant.
    User(UserId),
    /// An operator, by a name of at most [`Principal::MAX_NAME`] printable ASCII characters.
    Operator(String),
    /// A job, by a name of at most [`Principal::MAX_NAME`] printable ASCII characters.
    Job(String),
}

impl Principal {
    /// The most characters of an operator's or a job's name.
    pub const MAX_NAME: usize = 128;

    /// The calling workload as a job, where nobody is named behind it. What its name has beyond the bound is cut off.
    pub fn job_of(caller: &CallerId) -> Self {
        Self::Job(caller.as_str().chars().take(Self::MAX_NAME).collect())
    }
}

/// Who, after what they are and a colon: `user:ann`, `operator:root`, `job:billing`. User ids may have colons themselves.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user:{user}"),
            Self::Operator(name) => write!(f, "operator:{name}"),
            Self::Job(name) => write!(f, "job:{name}"),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::Principal;
    use crate::ids::CallerId;

    /// A caller's name may have 255 characters; as a job's it has no more than any other principal's (R47).
    #[test]
    fn a_job_named_after_its_caller_keeps_to_the_bound() {
        for (length, kept) in [(1, 1), (Principal::MAX_NAME, 128), (Principal::MAX_NAME + 1, 128), (255, 128)]
        {
            let caller = CallerId::parse(&"c".repeat(length)).unwrap();
            assert_eq!(Principal::job_of(&caller), Principal::Job("c".repeat(kept)));
        }
    }
}
