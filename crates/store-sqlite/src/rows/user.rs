//! The user's own row with what comes along with it, and what it says is worth reading beside it.

use super::time;
use crate::error::Row;
use countersign_domain::digest::{Digest, KeyId};
use countersign_domain::ids::{Epoch, PolicyRevision, RecoverySetId, ResetRequestId, TenantId, Version};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{
    Failures, LastWrong, RecoveryEntry, RecoverySet, RequirementState, ResetRequest, UserState,
};
use countersign_keyring::Keyring;
use countersign_ports::document::decode_failure_times;
use countersign_ports::{RequestKey, RequestRecord, StoreError};
use data_encoding::HEXUPPER;
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
    pub(crate) has_challenges: bool,
    pub(crate) has_tickets: bool,
    pub(crate) has_clients: bool,
    pub(crate) directory: Option<String>,
    pub(crate) recovery_set_id: Option<Uuid>,
    pub(crate) recovery_create_time: Option<i64>,
    /// JSON: of each code its position, the key of its digest, the digest in base 16, and when it was used; in their order.
    pub(crate) recovery_codes: String,
    /// The earlier answer to the request that is asked for.
    pub(crate) arguments_key: Option<i64>,
    pub(crate) arguments_digest: Option<Vec<u8>>,
    pub(crate) sealed_reply: Option<Vec<u8>>,
    pub(crate) expire_time: Option<i64>,
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

    /// The set of recovery codes, if there is one.
    pub(crate) fn recovery(&self) -> Result<Option<RecoverySet>, StoreError> {
        let (Some(id), Some(create_time)) = (self.recovery_set_id, self.recovery_create_time) else {
            return Ok(None);
        };
        let id = RecoverySetId::from_uuid(id);
        let row = Row::new("set of recovery codes", id);
        let stored: Vec<(usize, i64, String, Option<i64>)> = serde_json::from_str(&self.recovery_codes)
            .map_err(|_| row.corrupt("has codes that do not read"))?;
        let mut codes = Vec::with_capacity(stored.len());
        for (position, key, digest, used_time) in stored {
            if position != codes.len() {
                return Err(row.corrupt("lacks a code"));
            }
            let digest = HEXUPPER.decode(digest.as_bytes());
            let digest = digest.map_err(|_| row.corrupt("has a digest that is none"))?;
            codes.push(RecoveryEntry { digest: digest_of(&row, key, &digest)?, used_time: time(used_time) });
        }
        Ok(Some(RecoverySet { id, create_time: Timestamp::from_unix_micros(create_time), codes }))
    }

    /// The earlier answer to the request with this key, if there is one.
    pub(crate) fn earlier(
        &self,
        key: &RequestKey,
        keyring: &Keyring,
    ) -> Result<Option<RequestRecord>, StoreError> {
        let (Some(arguments_key), Some(digest), Some(reply), Some(expire_time)) =
            (self.arguments_key, &self.arguments_digest, &self.sealed_reply, self.expire_time)
        else {
            return Ok(None);
        };
        let row = Row::new("answer to request", key.id);
        Ok(Some(RequestRecord {
            key: key.clone(),
            arguments: digest_of(&row, arguments_key, digest)?,
            reply: row.sealed(keyring.open_reply(&key.caller, &key.user, key.id, reply))?,
            expire_time: Timestamp::from_unix_micros(expire_time),
        }))
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
