//! The user's own row with what comes along with it, and what it says is worth reading beside it.

use super::{AuthenticatorRow, ChallengeRow, ClientRow, PendingRow, TicketRow, time};
use crate::error::Row;
use countersign_domain::digest::{Digest, KeyId};
use countersign_domain::ids::{
    Epoch, PolicyRevision, RecoverySetId, ResetRequestId, TenantId, UserRef, Version,
};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{
    Failures, LastWrong, RecoveryEntry, RecoverySet, RequirementState, ResetRequest, UserState,
};
use countersign_keyring::Keyring;
use countersign_ports::document::{decode_directory_entry, decode_failure_times};
use countersign_ports::{Loaded, RequestKey, RequestRecord, StoreError};
use data_encoding::HEXUPPER;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// Tenant and user in one row; the columns of either are empty where none is stored.
pub(crate) struct UserRow {
    /// Which of those loaded together it is.
    pub(crate) n: i64,
    pub(crate) has_tenant: bool,
    pub(crate) policy_revision: Option<i64>,
    pub(crate) version: Option<i64>,
    pub(crate) epoch: Option<i64>,
    pub(crate) state_since: Option<i64>,
    pub(crate) first_factor_since: Option<i64>,
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
    /// JSON, as the four after it: an array of rows, oldest first.
    pub(crate) authenticators: String,
    pub(crate) pending: String,
    pub(crate) challenges: String,
    pub(crate) tickets: String,
    pub(crate) clients: String,
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
    /// The user and what else was asked for, with every seal opened.
    pub(crate) fn into_loaded(
        self,
        user: &UserRef,
        request: Option<&RequestKey>,
        keyring: &Keyring,
    ) -> Result<Loaded, StoreError> {
        let policy_revision = self.policy_revision(&user.tenant)?;
        let earlier = request.map(|key| self.earlier(key, keyring)).transpose()?.flatten();
        let (version, state) = match self.state(&user.tenant)? {
            Some((version, core)) => (Some(version), self.beside(core, user, keyring)?),
            None => (None, UserState::default()),
        };
        Ok(Loaded { policy_revision, version, state, earlier })
    }

    /// The state with what stands in the tables beside the user's own row.
    fn beside(&self, core: UserState, user: &UserRef, keyring: &Keyring) -> Result<UserState, StoreError> {
        let row = Row::new("directory entry of tenant", &user.tenant);
        let directory = self.directory.as_ref().map(|entry| row.document(decode_directory_entry(entry)));
        Ok(UserState {
            authenticators: each(&self.authenticators, user, |row: AuthenticatorRow| {
                row.open(user, keyring)
            })?,
            pending: each(&self.pending, user, |row: PendingRow| row.open(user, keyring))?,
            recovery: self.recovery()?,
            challenges: each(&self.challenges, user, |row: ChallengeRow| row.try_into())?,
            tickets: each(&self.tickets, user, |row: TicketRow| row.try_into())?,
            clients: each(&self.clients, user, |row: ClientRow| row.try_into())?,
            directory: directory.transpose()?,
            ..core
        })
    }

    /// The tenant's current revision.
    fn policy_revision(&self, tenant: &TenantId) -> Result<PolicyRevision, StoreError> {
        let row = Row::new("tenant", tenant);
        let revision = self.policy_revision.ok_or_else(|| row.corrupt("has no policy"))?;
        row.unsigned(revision).map(PolicyRevision)
    }

    /// The version and the state as far as it stands in this row, or `None` where the user is not stored.
    fn state(&self, tenant: &TenantId) -> Result<Option<(Version, UserState)>, StoreError> {
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
            first_factor_since: time(self.first_factor_since),
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
    fn recovery(&self) -> Result<Option<RecoverySet>, StoreError> {
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
    fn earlier(&self, key: &RequestKey, keyring: &Keyring) -> Result<Option<RequestRecord>, StoreError> {
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

/// The rows of one of the lists of a user.
fn each<R: DeserializeOwned, T>(
    list: &str,
    user: &UserRef,
    open: impl Fn(R) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    // What most users have nothing in is not worth a parser.
    if list == "[]" {
        return Ok(Vec::new());
    }
    let rows: Vec<R> = serde_json::from_str(list)
        .map_err(|_| Row::new("user of tenant", &user.tenant).corrupt("has rows that do not read"))?;
    rows.into_iter().map(open).collect()
}

/// A keyed digest out of its two columns.
fn digest_of<I: std::fmt::Display>(row: &Row<I>, key: i64, digest: &[u8]) -> Result<Digest, StoreError> {
    let value = digest.try_into().map_err(|_| row.corrupt("has a digest that is not 32 bytes"))?;
    Ok(Digest { key: KeyId(row.unsigned(key)?), value })
}
