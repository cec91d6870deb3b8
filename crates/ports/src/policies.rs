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
    async fn put_policy(&self, record: TenantRecord, change: ChangeSet) -> Result<Commit, StoreError>;

    /// Current revisions of tenants after `after` in byte order of their ids, at most `limit`.
    async fn tenants(&self, after: Option<&TenantId>, limit: u32) -> Result<Vec<TenantRecord>, StoreError>;
}
