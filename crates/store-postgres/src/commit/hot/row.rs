//! Such a change as a row.

use crate::commit::Sealer;
use crate::commit::core::CoreRow;
use crate::commit::records::{EventInsert, RequestInsert};
use crate::convert::{long_in, time_in_opt};
use crate::error::Failure;
use countersign_domain::change::Write;
use countersign_domain::user::Usage;
use countersign_ports::{ChangeSet, UserChange};
use sqlx::Postgres;
use sqlx::postgres::{PgHasArrayType, PgTypeInfo};
use time::OffsetDateTime;
use uuid::Uuid;

/// A change of that form, as a row of the type `login_change`: its attributes in their order. What is of an authenticator or of
/// an answer is none where there is none.
#[derive(sqlx::Encode)]
pub(crate) struct HotChange<'a> {
    /// Which of those committed together it is.
    pub(super) n: i32,
    pub(super) tenant_id: &'a str,
    pub(super) user_id: &'a str,
    pub(super) version: i64,
    pub(super) epoch: i64,
    pub(super) is_on: bool,
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
    pub(super) used_id: Option<Uuid>,
    pub(super) used_step: Option<i64>,
    pub(super) used_time: Option<OffsetDateTime>,
    pub(super) used_failures: Option<i64>,
    pub(super) event_id: Uuid,
    pub(super) event_time: OffsetDateTime,
    pub(super) event_user_id: Option<&'a str>,
    pub(super) event_kind: &'static str,
    pub(super) event_authenticator_id: Option<Uuid>,
    pub(super) event_authenticator_kind: Option<&'static str>,
    pub(super) event_details: String,
    pub(super) event_actor: String,
    pub(super) event_actor_claims: Option<String>,
    pub(super) event_caller: &'a str,
    pub(super) event_client: String,
    pub(super) event_policy_revision: i64,
    pub(super) event_request_id: Option<Uuid>,
    pub(super) event_trace_id: &'a str,
    pub(super) answer_caller: Option<&'a str>,
    pub(super) answer_request_id: Option<Uuid>,
    pub(super) answer_arguments_key: Option<i64>,
    pub(super) answer_arguments_digest: Option<&'a [u8]>,
    pub(super) answer_reply: Option<Vec<u8>>,
    pub(super) answer_expire_time: Option<OffsetDateTime>,
}

impl sqlx::Type<Postgres> for HotChange<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("login_change")
    }
}

impl PgHasArrayType for HotChange<'_> {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::array_of("login_change")
    }
}

/// Whether the change has that form.
pub(crate) fn takes(change: &ChangeSet) -> bool {
    parts(change).is_some()
}

/// The user who is changed and the authenticator that is used, of a change of that form. Whoever has no second factor may be
/// known since this change or no more, which these statements do not write.
fn parts(change: &ChangeSet) -> Option<(&UserChange, Option<&Write>)> {
    let ([user], [_], [], None) =
        (change.users.as_slice(), change.events.as_slice(), change.notices.as_slice(), &change.send)
    else {
        return None;
    };
    let usage = match user.writes.as_slice() {
        [] => None,
        [write @ Write::UseAuthenticator { usage: Usage::Totp { .. }, .. }] => Some(write),
        _ => return None,
    };
    let of_the_user = change.request.as_ref().is_none_or(|request| request.key.user == user.user);
    (user.expected.is_some() && user.core.on && of_the_user).then_some((user, usage))
}

impl<'a> HotChange<'a> {
    /// The change with the number `n`, if it has that form.
    pub(crate) fn of(n: i32, change: &'a ChangeSet, sealer: Sealer<'_>) -> Result<Option<Self>, Failure> {
        let Some((user, usage)) = parts(change) else { return Ok(None) };
        let (Some(version), [event]) = (user.expected, change.events.as_slice()) else { return Ok(None) };
        let (core, event) = (CoreRow::new(&user.core)?, EventInsert::new(event)?);
        let answer =
            change.request.as_ref().map(|request| RequestInsert::new(request, sealer)).transpose()?;
        let mut row = Self {
            n,
            tenant_id: user.user.tenant.as_str(),
            user_id: user.user.user.as_str(),
            version: long_in(version.0)?,
            epoch: core.epoch,
            is_on: core.is_on,
            state_since: core.state_since,
            consecutive_failures: core.consecutive_failures,
            locked_until: core.locked_until,
            failure_times: core.failure_times,
            last_wrong_key: core.last_wrong_key,
            last_wrong_digest: core.last_wrong_digest,
            last_wrong_time: core.last_wrong_time,
            grace_started: core.grace_started,
            must_enroll: core.must_enroll,
            reset_request_id: core.reset_request_id,
            reset_reason: core.reset_reason,
            reset_create_time: core.reset_create_time,
            used_id: None,
            used_step: None,
            used_time: None,
            used_failures: None,
            event_id: event.event_id,
            event_time: event.event_time,
            event_user_id: event.user_id,
            event_kind: event.kind,
            event_authenticator_id: event.authenticator_id,
            event_authenticator_kind: event.authenticator_kind,
            event_details: event.details,
            event_actor: event.actor,
            event_actor_claims: event.actor_claims,
            event_caller: event.caller,
            event_client: event.client,
            event_policy_revision: event.policy_revision,
            event_request_id: event.request_id,
            event_trace_id: event.trace_id,
            answer_caller: answer.as_ref().map(|answer| answer.caller),
            answer_request_id: answer.as_ref().map(|answer| answer.request_id),
            answer_arguments_key: answer.as_ref().map(|answer| answer.arguments_key),
            answer_arguments_digest: answer.as_ref().map(|answer| answer.arguments_digest),
            answer_expire_time: answer.as_ref().map(|answer| answer.expire_time),
            answer_reply: answer.map(|answer| answer.reply),
        };
        if let Some(Write::UseAuthenticator {
            id,
            usage: Usage::Totp { last_step },
            last_use_time,
            consecutive_failures,
        }) = usage
        {
            row.used_id = Some(id.uuid());
            row.used_step = Some(long_in(last_step.number())?);
            row.used_time = time_in_opt(*last_use_time)?;
            row.used_failures = Some((*consecutive_failures).into());
        }
        Ok(Some(row))
    }
}
