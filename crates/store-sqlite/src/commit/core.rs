//! The user's own row, as columns.

use crate::error::signed;
use crate::script::{Changes, Script, add};
use countersign_domain::change::UserCore;
use countersign_domain::ids::Version;
use countersign_domain::time::Timestamp;
use countersign_ports::document::encode_failure_times;
use countersign_ports::{StoreError, UserChange};
use uuid::Uuid;

/// Every column of `users` but its key, its version, and what is not written with every change.
struct CoreRow<'a> {
    epoch: i64,
    is_on: bool,
    is_known: bool,
    state_since: Option<i64>,
    consecutive_failures: u32,
    locked_until: Option<i64>,
    failure_times: String,
    last_wrong_key: Option<u32>,
    last_wrong_digest: Option<&'a [u8]>,
    last_wrong_time: Option<i64>,
    grace_started: Option<i64>,
    must_enroll: bool,
    reset_request_id: Option<Uuid>,
    reset_reason: Option<&'a str>,
    reset_create_time: Option<i64>,
}

impl<'a> CoreRow<'a> {
    fn new(core: &'a UserCore) -> Result<Self, StoreError> {
        let UserCore { epoch, on, known, state_since, failures, requirement, reset_request } = core;
        let micros = |time: Option<Timestamp>| time.map(Timestamp::unix_micros);
        let last_wrong = failures.last_wrong.as_ref();
        let reset_request = reset_request.as_ref();
        Ok(Self {
            epoch: signed(epoch.0)?,
            is_on: *on,
            is_known: *known,
            state_since: micros(*state_since),
            consecutive_failures: failures.consecutive,
            locked_until: micros(failures.locked_until),
            failure_times: encode_failure_times(&failures.recent),
            last_wrong_key: last_wrong.map(|last| last.digest.key.0),
            last_wrong_digest: last_wrong.map(|last| last.digest.value.as_slice()),
            last_wrong_time: micros(last_wrong.map(|last| last.time)),
            grace_started: micros(requirement.grace_started),
            must_enroll: requirement.must_enroll,
            reset_request_id: reset_request.map(|request| request.id.uuid()),
            reset_reason: reset_request.map(|request| request.reason.as_str()),
            reset_create_time: micros(reset_request.map(|request| request.create_time)),
        })
    }
}

/// Adds a statement that takes the new version, the row's columns in their order, and then its key.
macro_rules! put {
    ($script:ident, $text:literal, $version:ident, $row:ident, $($key:ident),+) => {
        add!(
            $script,
            Changes::Row,
            $text,
            $version,
            $row.epoch,
            $row.is_on,
            $row.is_known,
            $row.state_since,
            $row.consecutive_failures,
            $row.locked_until,
            $row.failure_times,
            $row.last_wrong_key,
            $row.last_wrong_digest,
            $row.last_wrong_time,
            $row.grace_started,
            $row.must_enroll,
            $row.reset_request_id,
            $row.reset_reason,
            $row.reset_create_time,
            $($key),+
        )
    };
}

/// Inserts or updates the user's own row where its version is the expected one.
pub(super) fn put(script: &mut Script, change: &UserChange) -> Result<(), StoreError> {
    let (tenant, user) = (change.user.tenant.as_str(), change.user.user.as_str());
    let row = CoreRow::new(&change.core)?;
    let version = signed(change.expected.map_or(Version(1), Version::next).0)?;
    // An insertion must find no row, an update its row at the expected version.
    match change.expected {
        None => put!(
            script,
            "INSERT INTO users (version, epoch, is_on, is_known, state_since, consecutive_failures, locked_until,
                failure_times, last_wrong_key, last_wrong_digest, last_wrong_time, grace_started, must_enroll,
                reset_request_id, reset_reason, reset_create_time, tenant_id, user_id)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant_id, user_id) DO NOTHING",
            version,
            row,
            tenant,
            user
        ),
        Some(expected) => {
            let expected = signed(expected.0)?;
            put!(
                script,
                "UPDATE users SET version = ?, epoch = ?, is_on = ?, is_known = ?, state_since = ?,
                    consecutive_failures = ?, locked_until = ?, failure_times = ?,
                    last_wrong_key = ?, last_wrong_digest = ?, last_wrong_time = ?,
                    grace_started = ?, must_enroll = ?,
                    reset_request_id = ?, reset_reason = ?, reset_create_time = ?
                WHERE tenant_id = ? AND user_id = ? AND version = ?",
                version,
                row,
                tenant,
                user,
                expected
            );
        }
    }
    Ok(())
}
