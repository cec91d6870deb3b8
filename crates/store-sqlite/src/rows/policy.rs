//! Revisions of policies.

use crate::error::Row;
use countersign_domain::ids::{PolicyRevision, TenantId};
use countersign_domain::time::Timestamp;
use countersign_ports::document::decode_policy_document;
use countersign_ports::{StoreError, TenantRecord};

/// A revision as it is stored.
#[derive(Debug)]
pub(crate) struct PolicyRow {
    pub(crate) tenant_id: String,
    pub(crate) revision: i64,
    pub(crate) preset: String,
    pub(crate) document: String,
    pub(crate) create_time: i64,
}

impl TryFrom<PolicyRow> for TenantRecord {
    type Error = StoreError;

    fn try_from(from: PolicyRow) -> Result<Self, StoreError> {
        let row = Row::new("policy", format_args!("{} {}", from.tenant_id, from.revision).to_string());
        Ok(Self {
            tenant: TenantId::parse(&from.tenant_id).map_err(|_| row.corrupt("has an id that is none"))?,
            revision: PolicyRevision(row.unsigned(from.revision)?),
            document: row.document(decode_policy_document(&from.document))?,
            preset: from.preset,
            create_time: Timestamp::from_unix_micros(from.create_time),
        })
    }
}
