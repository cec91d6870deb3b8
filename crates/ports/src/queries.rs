//! Lists and counts over the users of a tenant, answered without loading them all. Stores know facts; what they mean
//! under a policy is decided in the domain (`coverage`).

use crate::StoreError;
use async_trait::async_trait;
use countersign_domain::coverage::{Facts, FactsAt};
use countersign_domain::ids::{ResetRequestId, TeamId, TenantId, UserId};
use countersign_domain::time::Timestamp;
use countersign_domain::user::ResetRequest;

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
    /// Only users whose codes are not evaluated at this time: a lock runs, or all that took codes was disabled
    /// ([`UserState::is_locked`](countersign_domain::user::UserState::is_locked)).
    pub locked_at: Option<Timestamp>,
    /// Only users after this one, in byte order.
    pub after: Option<UserId>,
    /// At most this many, 1 to 1,000.
    pub limit: u32,
}

/// Which requests for a reset to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetRequestQuery {
    /// The tenant.
    pub tenant: TenantId,
    /// Only of members and managers of one of these teams; of everybody where there are none.
    pub teams: Option<Vec<TeamId>>,
    /// Only requests made after this time.
    pub made_after: Timestamp,
    /// Only requests after this one, in the order of the list.
    pub after: Option<(Timestamp, ResetRequestId)>,
    /// At most this many, 1 to 1,000.
    pub limit: u32,
}

/// Lists and counts, of known users alone ([`UserState::is_known`](countersign_domain::user::UserState::is_known)).
#[async_trait]
pub trait UserQueries: Send + Sync {
    /// Ids in byte order of the users that match.
    async fn list(&self, query: &UserQuery) -> Result<Vec<UserId>, StoreError>;

    /// How many users have each combination of facts, of the tenant or of these teams together; combinations nobody has
    /// may be left out. Of the tenant it costs no more than the members of the groups of `at`, however many users
    /// there are.
    async fn count(
        &self,
        tenant: &TenantId,
        at: &FactsAt,
        teams: Option<&[TeamId]>,
    ) -> Result<Vec<(Facts, u64)>, StoreError>;

    /// How many users have security keys alone: at least one that serves, and nothing else that does. Looks at all users of
    /// the tenant; asked where a policy makes keys useless.
    async fn with_keys_alone(&self, tenant: &TenantId) -> Result<u64, StoreError>;

    /// Requests for a reset with their users, in the order of their time and then of their id.
    async fn reset_requests(
        &self,
        query: &ResetRequestQuery,
    ) -> Result<Vec<(UserId, ResetRequest)>, StoreError>;
}
