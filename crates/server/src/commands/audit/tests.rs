//! Judging a log in which a row does not read.

use super::*;
use async_trait::async_trait;
use countersign_domain::audit::LoggedEvent;
use countersign_ports::{Commit, EventPosition};
use countersign_testkit::fixtures::tenant;

/// A log without a row, but for tenant `edited`, whose seals do not read, and `away`, where no store answers.
struct Log;

#[async_trait]
impl AuditLog for Log {
    async fn audited_tenants(&self, _: Option<&TenantId>, _: u32) -> Result<Vec<TenantId>, StoreError> {
        Ok(Vec::new())
    }

    async fn foreign_tenants(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn logged_events(
        &self,
        _: &TenantId,
        _: Option<EventPosition>,
        _: u32,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        Ok(Vec::new())
    }

    async fn seals(&self, tenant: &TenantId, _: u64, _: u32) -> Result<Vec<Seal>, StoreError> {
        match tenant.as_str() {
            "edited" => Err(StoreError::Corrupt { entity: "seal", id: "7".to_owned(), problem: "is none" }),
            "away" => Err(StoreError::Unavailable("no answer".into())),
            _ => Ok(Vec::new()),
        }
    }

    async fn last_seal(&self, _: &TenantId) -> Result<Option<Seal>, StoreError> {
        Ok(None)
    }

    async fn append_seal(&self, _: &TenantId, _: &Seal) -> Result<Commit, StoreError> {
        Ok(Commit::Conflict)
    }
}

/// R56: a row that does not read is a finding that names its tenant; a store that does not answer ends the command.
#[tokio::test]
async fn a_row_that_does_not_read_is_a_finding() {
    let judge =
        Judge { keys: &|_| None, check: &audit_signature_holds, exported: BTreeMap::new(), part: false };
    let judged = async |id| verdict(&judge, &Log, &tenant(id)).await;
    assert_eq!(judged("good").await.unwrap(), Ok(Sound::default()));
    assert_eq!(judged("edited").await.unwrap(), Err("tenant edited: seal 7 is corrupt: is none".to_owned()));
    assert!(matches!(judged("away").await, Err(StoreError::Unavailable(_))));
}
