//! The store of what users own.

use crate::{ChangeSet, RequestKey, RequestRecord, StoreError};
use async_trait::async_trait;
use countersign_domain::ids::{EventId, PolicyRevision, TenantId, UserRef, Version};
use countersign_domain::time::Timestamp;
use countersign_domain::user::UserState;

/// A user as loaded in one round trip.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The tenant's current policy revision.
    pub policy_revision: PolicyRevision,
    /// The stored version, or `None` where the user was never stored.
    pub version: Option<Version>,
    /// The state; the default where the user was never stored.
    pub state: UserState,
    /// The answer that the request got earlier, if it did; also where it has expired by now.
    pub earlier: Option<RequestRecord>,
}

/// How a commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a conflict means that nothing was committed"]
pub enum Commit {
    /// All of it is durable.
    Done,
    /// A version was not the expected one, or the request was answered meanwhile: nothing was committed, load again.
    Conflict,
}

/// Loads and commits what users own. Concrete stores may coalesce concurrent calls; each is answered for itself.
#[async_trait]
pub trait UserStore: Send + Sync {
    /// The user, the tenant's policy revision and, with `request`, its earlier answer; in one consistent snapshot.
    /// `Ok(None)` where the tenant does not exist.
    async fn load(&self, user: &UserRef, request: Option<&RequestKey>) -> Result<Option<Loaded>, StoreError>;

    /// Commits the change set whole, durably, if every guard holds. An expired record of the same request is replaced.
    async fn commit(&self, change: ChangeSet) -> Result<Commit, StoreError>;

    /// Whether the change set that carried this event committed: resolves [`StoreError::OutcomeUnknown`].
    async fn is_committed(&self, tenant: &TenantId, event: EventId) -> Result<bool, StoreError>;
}

/// What keeps a store small and trustworthy.
#[async_trait]
pub trait Maintenance: Send + Sync {
    /// Whether the store answers and is durable as configured; for readiness.
    async fn check(&self) -> Result<(), StoreError>;

    /// What the store's own clock shows, where it has one.
    async fn time(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    /// Deletes what expired before `now` and is not security state (answers to repeat), and users of deleted tenants; of
    /// each at most `limit`. Returns how many; less than `limit` means that nothing is left.
    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// Brings changes of counts together with what was counted before, at most `limit` of them, so that counting stays
    /// short; what is counted does not change. Returns how many; less than `limit` means that nothing is left.
    async fn fold_counts(&self, limit: u32) -> Result<u64, StoreError>;

    /// Makes room for the events of the months to come, where the store keeps them in such pieces.
    async fn prepare_events(&self, now: Timestamp) -> Result<(), StoreError>;

    /// Drops events that were decided before `before`, oldest first and in pieces of the store's own; an event that is
    /// younger is never dropped, an older one may be held longer (until its whole month is over, or its notice gone).
    /// Returns how many pieces; 0 means that nothing is left to drop.
    async fn drop_events(&self, before: Timestamp) -> Result<u64, StoreError>;
}
