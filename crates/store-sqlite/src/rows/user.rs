//! The user's own row, and what it says is worth reading beside it.

use super::time;
use crate::error::Row;
use countersign_domain::digest::{Digest, KeyId};
use countersign_domain::ids::{Epoch, PolicyRevision, ResetRequestId, TenantId, Version};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{Failures, LastWrong, RequirementState, ResetRequest, UserState};
use countersign_ports::StoreError;
use countersign_ports::document::decode_failure_times;
use uuid::Uuid;

/// Tenant and user in one row; the columns of the user are empty where none is stored.
#[expect(clippy::struct_excessive_bools, reason = "one column for each table beside it")]
pub(crate) struct UserRow {
    pub(crate) policy_revision: i64,
    pub(crate) version: Option<i64>,
    pub(crate) epoch: Option<i64>,
    pub(crate) state_since: Option<i64>,
    pub(crate) consecutive_failures: Option<i64>,
    pub(crate) locked_until: Option<i64>,
    pub(crate) failure_times: Option<String>,
    pub(crate) last_wrong_key: Option<i64>,
    pub(crate) last_wrong_digest: Option<Vec<u8>>,
    pub(crate) last_wrong_time: Option<i64>,
    pub(crate) grace_started: Option<i64>,
    pub(crate) must_enroll: Option<i64>,
    pub(crate) reset_request_id: Option<Uuid>,
    pub(crate) reset_reason: Option<String>,
    pub(crate) reset_create_time: Option<i64>,
    pub(crate) has_authenticators: bool,
    pub(crate) has_pending: bool,
    pub(crate) has_recovery: bool,
    pub(crate) has_challenges: bool,
    pub(crate) has_tickets: bool,
    pub(crate) has_clients: bool,
    pub(crate) directory: Option<String>,
}

impl UserRow {
    /// The tenant's current revision.
    pub(crate) fn policy_revision(&self, tenant: &TenantId) -> Result<PolicyRevision, StoreError> {
        Row::new("tenant", tenant).unsigned(self.policy_revision).map(PolicyRevision)
    }

    /// The version and the state as far as it stands in this row, or `None` where the user is not stored.
    pub(crate) fn state(&self, tenant: &TenantId) -> Result<Option<(Version, UserState)>, StoreError> {
        let row = Row::new("user of tenant", tenant);
        let (version, epoch, consecutive, recent, must_enroll) = match (
            self.version,
            self.epoch,
            self.consecutive_failures,
            &self.failure_times,
            self.must_enroll,
        ) {
            (None, None, None, None, None) => return Ok(None),
            (Some(version), Some(epoch), Some(consecutive), Some(recent), Some(must_enroll)) => {
                (version, epoch, consecutive, recent, must_enroll)
            }
            _ => return Err(row.corrupt("lacks a column")),
        };
        let last_wrong = match (self.last_wrong_key, &self.last_wrong_digest, self.last_wrong_time) {
            (None, None, None) => None,
            (Some(key), Some(digest), Some(micros)) => Some(LastWrong {
                digest: digest_of(&row, key, digest)?,
                time: Timestamp::from_unix_micros(micros),
            }),
            _ => return Err(row.corrupt("has half a last wrong code")),
        };
        let reset_request = match (self.reset_request_id, &self.reset_reason, self.reset_create_time) {
            (None, None, None) => None,
            (Some(id), Some(reason), Some(micros)) => Some(ResetRequest {
                id: ResetRequestId::from_uuid(id),
                reason: reason.clone(),
                create_time: Timestamp::from_unix_micros(micros),
            }),
            _ => return Err(row.corrupt("has half a reset request")),
        };
        let state = UserState {
            epoch: Epoch(row.unsigned(epoch)?),
            state_since: time(self.state_since),
            failures: Failures {
                consecutive: row.unsigned(consecutive)?,
                locked_until: time(self.locked_until),
                recent: row.document(decode_failure_times(recent))?,
                last_wrong,
            },
            requirement: RequirementState {
                grace_started: time(self.grace_started),
                must_enroll: must_enroll != 0,
            },
            reset_request,
            ..UserState::default()
        };
        Ok(Some((Version(row.unsigned(version)?), state)))
    }
}

/// A keyed digest out of its two columns.
pub(super) fn digest_of<I: std::fmt::Display>(
    row: &Row<I>,
    key: i64,
    digest: &[u8],
) -> Result<Digest, StoreError> {
    let value = digest.try_into().map_err(|_| row.corrupt("has a digest that is not 32 bytes"))?;
    Ok(Digest { key: KeyId(row.unsigned(key)?), value })
}
