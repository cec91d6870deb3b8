//! Who acts: the user themself, an operator of the service, or a job. Team and role come from the directory; only
//! permissions and the first factor are the caller's word.

use crate::ids::UserId;
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

impl Actor {
    /// Whether the actor is that user.
    pub fn is(&self, user: &UserId) -> bool {
        matches!(&self.principal, Principal::User(own) if own == user)
    }
}
