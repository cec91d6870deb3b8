//! The change of every login as one statement: one user, at most one authenticator used, one event, perhaps an answer
//! to repeat. A statement is its own transaction, so this costs one round trip instead of six.

use super::core::CoreRow;
use super::credentials::UsageRow;
use super::records::{EventInsert, RequestInsert};
use super::{Sealer, Work};
use crate::convert::long_in;
use crate::error::{Failure, database_error};
use countersign_domain::change::Write;
use countersign_domain::ids::UserRef;
use countersign_domain::user::Usage;
use countersign_ports::{ChangeSet, Commit};
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

/// A change of that form, as columns.
pub(super) struct HotChange<'a> {
    user: &'a UserRef,
    version: i64,
    core: CoreRow<'a>,
    usage: Option<UsageRow>,
    event: EventInsert<'a>,
    request: Option<RequestInsert<'a>>,
    now: OffsetDateTime,
}

/// Whether the change has that form.
pub(crate) fn takes(change: &ChangeSet) -> bool {
    matches!(
        (change.users.as_slice(), change.events.as_slice(), change.notices.as_slice()),
        ([user], [_], [])
            if user.expected.is_some()
                && change.send.is_none()
                && matches!(
                    user.writes.as_slice(),
                    [] | [Write::UseAuthenticator { usage: Usage::Totp { .. }, .. }]
                )
    )
}

impl<'a> HotChange<'a> {
    /// The change, if it has that form.
    pub(super) fn of(
        work: &Work<'a>,
        now: OffsetDateTime,
        sealer: Sealer<'_>,
    ) -> Result<Option<Self>, Failure> {
        let change = work.change;
        let ([user], [event], [], None) =
            (change.users.as_slice(), change.events.as_slice(), change.notices.as_slice(), work.tenant)
        else {
            return Ok(None);
        };
        let Some(version) = user.expected.filter(|_| change.send.is_none()) else { return Ok(None) };
        let usage = match user.writes.as_slice() {
            [] => None,
            [
                Write::UseAuthenticator {
                    id,
                    usage: Usage::Totp { last_step },
                    last_use_time,
                    consecutive_failures,
                },
            ] => Some(UsageRow::new(*id, *last_step, *last_use_time, *consecutive_failures)?),
            _ => return Ok(None),
        };
        let request =
            change.request.as_ref().map(|request| RequestInsert::new(request, sealer)).transpose()?;
        Ok(Some(Self {
            user: &user.user,
            version: long_in(version.0)?,
            core: CoreRow::new(&user.core)?,
            usage,
            event: EventInsert::new(event)?,
            request,
            now,
        }))
    }
}

/// Commits it. All guards stand in the first part; nothing else writes unless they hold.
///
/// The guards see one snapshot, and that is enough: what belongs to a user changes only under the lock of the user's
/// row, so where the version is still the expected one when the lock is taken, the rest is as the snapshot shows it.
/// Only an answer to the same request in a commit that changes no user escapes that; see [`lost_request`].
pub(super) async fn commit(
    connection: &mut PgConnection,
    change: &HotChange<'_>,
) -> Result<Commit, sqlx::Error> {
    let HotChange { user, version, core, usage, event, request, now } = change;
    let usage = usage.as_ref();
    let request = request.as_ref();
    let done = sqlx::query_scalar!(
        r#"WITH guard AS (
            UPDATE users SET
                version = version + 1, epoch = $4, state_since = $5,
                consecutive_failures = $6, locked_until = $7, failure_times = $8,
                last_wrong_key = $9, last_wrong_digest = $10, last_wrong_time = $11,
                grace_started = $12, must_enroll = $13,
                reset_request_id = $14, reset_reason = $15, reset_create_time = $16, is_on = $42
            WHERE tenant_id = $1 AND user_id = $2 AND version = $3
                AND ($17::uuid IS NULL OR EXISTS (
                    SELECT FROM authenticators
                    WHERE tenant_id = $1 AND user_id = $2 AND authenticator_id = $17 AND totp_last_step <= $18
                ))
                AND ($34::uuid IS NULL OR NOT EXISTS (
                    SELECT FROM requests
                    WHERE tenant_id = $1 AND user_id = $32 AND caller = $33 AND request_id = $34
                        AND expire_time > $39
                ))
            RETURNING 1
        ), used AS (
            UPDATE authenticators
            SET totp_last_step = $18, last_use_time = $19, consecutive_failures = $20
            WHERE tenant_id = $1 AND user_id = $2 AND authenticator_id = $17 AND EXISTS (SELECT FROM guard)
        ), told AS (
            INSERT INTO events (
                tenant_id, event_id, event_time, user_id, kind, authenticator_id, authenticator_kind, details, actor,
                caller, client, policy_revision, request_id, trace_id, actor_claims
            )
            SELECT $1, $21::uuid, $22::timestamptz, $23::text, $24::text, $25::uuid, $26::text, $27::text, $28::text,
                $29::text, $30::text, $31::bigint, $40::uuid, $41::text, $43::text
            FROM guard
        ), answered AS (
            INSERT INTO requests (
                tenant_id, user_id, caller, request_id, arguments_key, arguments_digest, reply, expire_time
            )
            SELECT $1, $32::text, $33::text, $34, $35::bigint, $36::bytea, $37::bytea, $38::timestamptz
            FROM guard WHERE $34 IS NOT NULL
            ON CONFLICT (tenant_id, user_id, caller, request_id) DO UPDATE SET
                arguments_key = excluded.arguments_key, arguments_digest = excluded.arguments_digest,
                reply = excluded.reply,
                expire_time = CASE WHEN requests.expire_time <= $39 THEN excluded.expire_time END
        )
        SELECT EXISTS (SELECT FROM guard) AS "done!""#,
        user.tenant.as_str(),
        user.user.as_str(),
        version,
        core.epoch,
        core.state_since,
        core.consecutive_failures,
        core.locked_until,
        &core.failure_times,
        core.last_wrong_key,
        core.last_wrong_digest,
        core.last_wrong_time,
        core.grace_started,
        core.must_enroll,
        core.reset_request_id,
        core.reset_reason,
        core.reset_create_time,
        usage.map(|usage| usage.id),
        usage.map(|usage| usage.last_step),
        usage.and_then(|usage| usage.last_use_time),
        usage.map(|usage| usage.consecutive_failures),
        event.event_id,
        event.event_time,
        event.user_id,
        event.kind,
        event.authenticator_id,
        event.authenticator_kind,
        event.details,
        event.actor,
        event.caller,
        event.client,
        event.policy_revision,
        request.map(|request| request.user_id),
        request.map(|request| request.caller),
        request.map(|request| request.request_id),
        request.map(|request| request.arguments_key),
        request.map(|request| request.arguments_digest),
        request.map(|request| request.reply.as_slice()),
        request.map(|request| request.expire_time),
        now,
        event.request_id,
        event.trace_id,
        core.is_on,
        event.actor_claims,
    )
    .fetch_one(connection)
    .await?;
    Ok(if done { Commit::Done } else { Commit::Conflict })
}

/// Whether the statement was undone because the request was answered between its snapshot and its insert. The insert
/// then sets `expire_time` to null, which no row may hold: an error, because by then the rest is written and only an
/// error takes it back.
pub(super) fn lost_request(error: &sqlx::Error) -> bool {
    const NOT_NULL_VIOLATION: &str = "23502";
    database_error(error).is_some_and(|it| {
        it.code() == NOT_NULL_VIOLATION
            && it.table() == Some("requests")
            && it.column() == Some("expire_time")
    })
}
