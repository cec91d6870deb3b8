//! The user's own row, as columns.

use crate::convert::{long_in, time_in, time_in_opt};
use crate::error::Failure;
use countersign_domain::change::UserCore;
use time::OffsetDateTime;
use uuid::Uuid;

/// Every column of `users` but its key, its version, and what is not written with every change.
pub(super) struct CoreRow<'a> {
    pub(super) epoch: i64,
    pub(super) is_on: bool,
    /// Not of a login: see [`UserCore::known`].
    pub(super) is_known: bool,
    pub(super) state_since: Option<OffsetDateTime>,
    pub(super) consecutive_failures: i64,
    pub(super) locked_until: Option<OffsetDateTime>,
    pub(super) failure_times: Vec<OffsetDateTime>,
    pub(super) last_wrong_key: Option<i64>,
    pub(super) last_wrong_digest: Option<&'a [u8]>,
    pub(super) last_wrong_time: Option<OffsetDateTime>,
    pub(super) grace_started: Option<OffsetDateTime>,
    pub(super) must_enroll: bool,
    pub(super) reset_request_id: Option<Uuid>,
    pub(super) reset_reason: Option<&'a str>,
    pub(super) reset_create_time: Option<OffsetDateTime>,
}

impl<'a> CoreRow<'a> {
    pub(super) fn new(core: &'a UserCore) -> Result<Self, Failure> {
        let UserCore { epoch, on, known, state_since, failures, requirement, reset_request } = core;
        let last_wrong = failures.last_wrong.as_ref();
        let reset_request = reset_request.as_ref();
        Ok(Self {
            epoch: long_in(epoch.0)?,
            is_on: *on,
            is_known: *known,
            state_since: time_in_opt(*state_since)?,
            consecutive_failures: failures.consecutive.into(),
            locked_until: time_in_opt(failures.locked_until)?,
            failure_times: failures.recent.iter().copied().map(time_in).collect::<Result<_, _>>()?,
            last_wrong_key: last_wrong.map(|last| last.digest.key.0.into()),
            last_wrong_digest: last_wrong.map(|last| last.digest.value.as_slice()),
            last_wrong_time: time_in_opt(last_wrong.map(|last| last.time))?,
            grace_started: time_in_opt(requirement.grace_started)?,
            must_enroll: requirement.must_enroll,
            reset_request_id: reset_request.map(|request| request.id.uuid()),
            reset_reason: reset_request.map(|request| request.reason.as_str()),
            reset_create_time: time_in_opt(reset_request.map(|request| request.create_time))?,
        })
    }
}
