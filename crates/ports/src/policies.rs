//! The store of tenants and their policies, revision by revision.

use crate::{ChangeSet, Commit, StoreError};
use async_trait::async_trait;
use countersign_domain::ids::{PolicyRevision, TenantId};
use countersign_domain::policy::PolicyDocument;
use countersign_domain::time::Timestamp;

/// One revision of a tenant's policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRecord {
    /// The tenant.
    pub tenant: TenantId,
    /// The revision, from 1.
    pub revision: PolicyRevision,
    /// The policy.
    pub document: PolicyDocument,
    /// The preset that the tenant was created from, by its id.
    pub preset: String,
    /// When this revision was written.
    pub create_time: Timestamp,
}

/// Who is told of a new revision of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tell {
    /// Nobody but the log.
    Nobody,
    /// Every user of the tenant who manages a team, at most [`MAX_MANAGERS_TOLD`] of them in byte order of their ids (R37).
    Managers,
}

/// Managers who are told of one change. One commit carries all their notices, so there is a bound; it is far beyond what
/// tenants have.
pub const MAX_MANAGERS_TOLD: u32 = 10_000;

/// Tenants and their policies.
#[async_trait]
pub trait PolicyStore: Send + Sync {
    /// The given revision, or the current one; `Ok(None)` where tenant or revision does not exist.
    async fn policy(
        &self,
        tenant: &TenantId,
        revision: Option<PolicyRevision>,
    ) -> Result<Option<TenantRecord>, StoreError>;

    /// Commits a new revision together with the events of `change` (which changes no user): revision 1 creates the
    /// tenant and conflicts where it exists; any other conflicts unless the current one is its predecessor.
    ///
    /// With [`Tell::Managers`] the same commit queues a notice of the first event to each manager, in the words of their
    /// directory entry; disabled accounts are left out.
    async fn put_policy(
        &self,
        record: TenantRecord,
        change: ChangeSet,
        tell: Tell,
    ) -> Result<Commit, StoreError>;

    /// Deletes a tenant and commits the events of `change` (which changes no user); conflicts unless `current` is its
    /// current revision. From then on the tenant is missing for everything but its log, and its id cannot be created
    /// again. What it owned is deleted by [`crate::Maintenance::sweep`].
    async fn delete_tenant(&self, current: PolicyRevision, change: ChangeSet) -> Result<Commit, StoreError>;

    /// Current revisions of tenants after `after` in byte order of their ids, at most `limit`.
    async fn tenants(&self, after: Option<&TenantId>, limit: u32) -> Result<Vec<TenantRecord>, StoreError>;
}
