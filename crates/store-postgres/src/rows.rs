//! What is read of one user, as rows, and back into the domain's types. Queries are not here, nor is writing.
//!
//! A row is matched as the whole tuple of its nullable columns: what fits no case is corrupt, never half a value.
//! Of what a user has several come arrays of PostgreSQL's records, which know no names: a field stands where its column does.

/// Says of these types that they are read from records.
macro_rules! record {
    ($($row:ty),+) => {$(
        impl sqlx::Type<sqlx::Postgres> for $row {
            fn type_info() -> sqlx::postgres::PgTypeInfo {
                // Every record is of one type, whatever it holds.
                <(i64,) as sqlx::Type<sqlx::Postgres>>::type_info()
            }
        }

        impl sqlx::postgres::PgHasArrayType for $row {
            fn array_type_info() -> sqlx::postgres::PgTypeInfo {
                <(i64,) as sqlx::postgres::PgHasArrayType>::array_type_info()
            }
        }
    )+};
}

mod authenticators;
mod event;
mod login_state;

pub(crate) use authenticators::{AuthenticatorRow, PendingRow, totp_parameters};
pub(crate) use event::EventRow;
pub(crate) use login_state::{ChallengeRow, ClientRow, TicketRow};

use crate::convert::{RowId, time_out};
use countersign_domain::ids::{Epoch, PolicyRevision, ResetRequestId, UserRef, Version};
use countersign_domain::secret::SecretBytes;
use countersign_domain::user::{Failures, LastWrong, RequirementState, ResetRequest, UserState};
use countersign_keyring::Keyring;
use countersign_ports::{Loaded, RequestKey, RequestRecord, StoreError, document};
use time::OffsetDateTime;
use uuid::Uuid;

/// One load: the tenant's revision, the user's own row and everything beside it, and the earlier answer.
pub(crate) struct LoadRow {
    /// Which of those loaded together it is.
    pub(crate) n: i32,
    pub(crate) policy_revision: i64,
    pub(crate) version: Option<i64>,
    pub(crate) epoch: Option<i64>,
    pub(crate) state_since: Option<OffsetDateTime>,
    pub(crate) first_factor_since: Option<OffsetDateTime>,
    pub(crate) consecutive_failures: Option<i64>,
    pub(crate) locked_until: Option<OffsetDateTime>,
    pub(crate) failure_times: Option<Vec<OffsetDateTime>>,
    pub(crate) last_wrong_key: Option<i64>,
    pub(crate) last_wrong_digest: Option<Vec<u8>>,
    pub(crate) last_wrong_time: Option<OffsetDateTime>,
    pub(crate) grace_started: Option<OffsetDateTime>,
    pub(crate) must_enroll: Option<bool>,
    pub(crate) reset_request_id: Option<Uuid>,
    pub(crate) reset_reason: Option<String>,
    pub(crate) reset_create_time: Option<OffsetDateTime>,
    pub(crate) set_id: Option<Uuid>,
    pub(crate) set_create_time: Option<OffsetDateTime>,
    pub(crate) set_digest_keys: Option<Vec<i64>>,
    pub(crate) set_digests: Option<Vec<Vec<u8>>>,
    pub(crate) set_used_times: Option<Vec<Option<OffsetDateTime>>>,
    pub(crate) directory: Option<String>,
    pub(crate) authenticators: Vec<AuthenticatorRow>,
    pub(crate) pending: Vec<PendingRow>,
    pub(crate) challenges: Vec<ChallengeRow>,
    pub(crate) tickets: Vec<TicketRow>,
    pub(crate) clients: Vec<ClientRow>,
    pub(crate) arguments_key: Option<i64>,
    pub(crate) arguments_digest: Option<Vec<u8>>,
    pub(crate) reply: Option<Vec<u8>>,
    pub(crate) expire_time: Option<OffsetDateTime>,
}

impl LoadRow {
    /// The user and what else was asked for, with every seal opened.
    pub(crate) fn into_loaded(
        mut self,
        user: &UserRef,
        request: Option<&RequestKey>,
        keyring: &Keyring,
    ) -> Result<Loaded, StoreError> {
        let tenant = RowId { entity: "tenant", id: &user.tenant };
        let policy_revision = PolicyRevision(tenant.count(self.policy_revision)?);
        let earlier = self.earlier(request, keyring)?;
        let (version, state) = match self.core(user)? {
            Some((version, core)) => (Some(version), self.with_rows(core, user, keyring)?),
            // The rows beside it cannot be there: their foreign keys see to it.
            None => (None, UserState::default()),
        };
        Ok(Loaded { policy_revision, version, state, earlier })
    }

    /// The user's own row, or `None` where the user is not stored.
    fn core(&mut self, user: &UserRef) -> Result<Option<(Version, UserState)>, StoreError> {
        // A user's id may be an e-mail address: the tenant alone is told.
        let row = RowId { entity: "user", id: &user.tenant };
        let columns = (
            self.version,
            self.epoch,
            self.consecutive_failures,
            self.failure_times.take(),
            self.must_enroll,
        );
        let (version, epoch, consecutive, recent, must_enroll) = match columns {
            (Some(version), Some(epoch), Some(consecutive), Some(recent), Some(must_enroll)) => {
                (version, epoch, consecutive, recent, must_enroll)
            }
            (None, None, None, None, None) => return Ok(None),
            _ => return Err(row.corrupt("lacks a column")),
        };
        let last_wrong = match (self.last_wrong_key, self.last_wrong_digest.take(), self.last_wrong_time) {
            (Some(key), Some(digest), Some(time)) => {
                Some(LastWrong { digest: row.digest(key, digest)?, time: time_out(time) })
            }
            (None, None, None) => None,
            _ => return Err(row.corrupt("has half a last wrong code")),
        };
        let reset_request = match (self.reset_request_id, self.reset_reason.take(), self.reset_create_time) {
            (Some(id), Some(reason), Some(time)) => {
                Some(ResetRequest { id: ResetRequestId::from_uuid(id), reason, create_time: time_out(time) })
            }
            (None, None, None) => None,
            _ => return Err(row.corrupt("has half a reset request")),
        };
        let core = UserState {
            epoch: Epoch(row.long(epoch)?),
            state_since: self.state_since.map(time_out),
            first_factor_since: self.first_factor_since.map(time_out),
            failures: Failures {
                consecutive: row.count(consecutive)?,
                locked_until: self.locked_until.map(time_out),
                recent: recent.into_iter().map(time_out).collect(),
                last_wrong,
            },
            requirement: RequirementState { grace_started: self.grace_started.map(time_out), must_enroll },
            reset_request,
            ..UserState::default()
        };
        Ok(Some((Version(row.long(version)?), core)))
    }

    /// The state with everything that stands beside the user's own row.
    fn with_rows(self, core: UserState, user: &UserRef, keyring: &Keyring) -> Result<UserState, StoreError> {
        let row = RowId { entity: "directory entry", id: &user.tenant };
        let directory = self.directory.map(|entry| document::decode_directory_entry(&entry)).transpose();
        let set =
            (self.set_id, self.set_create_time, self.set_digest_keys, self.set_digests, self.set_used_times);
        Ok(UserState {
            authenticators: each(self.authenticators, |row| row.number, |row| row.open(user, keyring))?,
            pending: each(self.pending, |row| row.number, |row| row.open(user, keyring))?,
            recovery: authenticators::recovery_set(set, user)?,
            challenges: each(self.challenges, |row| row.number, ChallengeRow::open)?,
            tickets: each(self.tickets, |row| row.number, TicketRow::open)?,
            clients: each(self.clients, |row| row.number, ClientRow::open)?,
            directory: directory.map_err(|error| row.corrupt(error.problem()))?,
            ..core
        })
    }

    /// The answer that the request got earlier.
    fn earlier(
        &mut self,
        request: Option<&RequestKey>,
        keyring: &Keyring,
    ) -> Result<Option<RequestRecord>, StoreError> {
        let Some(key) = request else { return Ok(None) };
        let row = RowId { entity: "request", id: &key.id };
        let columns = (self.arguments_key, self.arguments_digest.take(), self.reply.take(), self.expire_time);
        let (arguments, reply, expire_time) = match columns {
            (Some(key), Some(digest), Some(reply), Some(time)) => (row.digest(key, digest)?, reply, time),
            (None, None, None, None) => return Ok(None),
            _ => return Err(row.corrupt("lacks a column")),
        };
        let reply: SecretBytes =
            keyring.open_reply(&key.caller, &key.user, key.id, &reply).map_err(|_| row.seal_broken())?;
        Ok(Some(RequestRecord { key: key.clone(), arguments, reply, expire_time: time_out(expire_time) }))
    }
}

/// Reads rows in the order in which they came to be, which their numbers tell.
fn each<R, T>(
    mut rows: Vec<R>,
    number: impl Fn(&R) -> i64,
    read: impl Fn(R) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    rows.sort_unstable_by_key(number);
    rows.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests;
