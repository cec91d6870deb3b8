//! Lists and counts over the users of a tenant, answered without loading them all. Stores know facts; what they mean
//! under a policy is decided in the domain (`coverage`).

use crate::StoreError;
use async_trait::async_trait;
use countersign_domain::coverage::{Facts, FactsAt};
use countersign_domain::ids::{TeamId, TenantId, UserId};
use countersign_domain::time::Timestamp;

/// Which users to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserQuery {
    /// The tenant.
    pub tenant: TenantId,
    /// What facts are taken against.
    pub at: FactsAt,
    /// Only users with one of these combinations of facts.
    pub facts: Vec<Facts>,
    /// Only members and managers of this team.
    pub team: Option<TeamId>,
    /// Only users whose codes are not evaluated at this time.
    pub locked_at: Option<Timestamp>,
    /// Only users with a request for a reset made after this time.
    pub reset_requested_after: Option<Timestamp>,
    /// Only users after this one, in byte order.
    pub after: Option<UserId>,
    /// At most this many, 1 to 1,000.
    pub limit: u32,
}

/// Lists and counts.
#[async_trait]
pub trait UserQueries: Send + Sync {
    /// Ids in byte order of the users that match.
    async fn list(&self, query: &UserQuery) -> Result<Vec<UserId>, StoreError>;

    /// How many users have each combination of facts; combinations nobody has may be left out.
    async fn count(&self, tenant: &TenantId, at: &FactsAt) -> Result<Vec<(Facts, u64)>, StoreError>;
}
