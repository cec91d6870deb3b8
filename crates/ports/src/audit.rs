//! The log as evidence: its raw rows, and the seals over them.

use crate::{Commit, EventPosition, StoreError};
use async_trait::async_trait;
use countersign_domain::audit::{LoggedEvent, Seal};
use countersign_domain::ids::TenantId;

/// The tenants among ids as a store has them, and those of the ids that are none.
pub fn tenants_among<I: AsRef<[u8]>>(ids: &[I]) -> (Vec<TenantId>, Vec<&[u8]>) {
    let (mut tenants, mut foreign) = (Vec::new(), Vec::new());
    for id in ids {
        let text = std::str::from_utf8(id.as_ref()).ok();
        match text.and_then(|text| TenantId::parse(text).ok()) {
            Some(tenant) => tenants.push(tenant),
            None => foreign.push(id.as_ref()),
        }
    }
    (tenants, foreign)
}

/// What is sealed, and the seals. Both outlive their tenant.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// At most `limit` tenants that have events or seals, in byte order of their ids, those after `after`; none where there
    /// are no more. An id that is none is an alarm, once, and leaves the others in sight.
    async fn audited_tenants(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError>;

    /// How many ids of tenants stand in events or seals that are none: the service wrote none of them.
    async fn foreign_tenants(&self) -> Result<u64, StoreError>;

    /// At most `limit` rows of the tenant's log behind `after`, as they stand there, in ascending position; and more where the
    /// last of them shares its position with others, of which the service wrote but one. Stops short of transactions that
    /// might still commit before one it would show, as [`crate::EventLog::events`] does.
    async fn logged_events(
        &self,
        tenant: &TenantId,
        after: Option<EventPosition>,
        limit: u32,
    ) -> Result<Vec<LoggedEvent>, StoreError>;

    /// At most `limit` seals of the tenant behind the one with the number `after`, in ascending number.
    async fn seals(&self, tenant: &TenantId, after: u64, limit: u32) -> Result<Vec<Seal>, StoreError>;

    /// The seal with the highest number.
    async fn last_seal(&self, tenant: &TenantId) -> Result<Option<Seal>, StoreError>;

    /// Appends a seal, unless one with its number is there: then somebody else was faster.
    async fn append_seal(&self, tenant: &TenantId, seal: &Seal) -> Result<Commit, StoreError>;
}
