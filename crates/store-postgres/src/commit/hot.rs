//! The change of a login that came with its code, or of a wrong code, as one statement (ADR 22): one user, at most one authenticator used, one event, perhaps an answer
//! to repeat. What opens or closes a challenge, remembers a client or tells somebody is of `batch`. A statement is its own transaction, so this costs one round trip instead of six. Many of them are one statement
//! as well, `hot/many.sql`, and there cost a fraction.

mod row;

pub(crate) use row::{HotChange, takes};

use crate::commit::batch::{Answer, distinct};
use crate::error::database_error;
use countersign_ports::Commit;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

/// Commits one that was decided at `now`. All guards stand in the first part; nothing else writes unless they hold.
///
/// The guards see one snapshot, and that is enough: what belongs to a user changes only under the lock of the user's
/// row, so where the version is still the expected one when the lock is taken, the rest is as the snapshot shows it.
/// Two things escape that: an answer to the same request in a commit that changes no user, see [`lost_request`], and a
/// deletion of the tenant. One that was acknowledged before this began is in the snapshot; one that commits while it runs
/// was asked for at the same time.
///
/// `None` where the tenant is not there.
#[expect(clippy::too_many_lines, reason = "one line a column")]
pub(super) async fn commit(
    connection: &mut PgConnection,
    row: &HotChange<'_>,
    now: OffsetDateTime,
) -> Result<Option<Commit>, sqlx::Error> {
    let outcome = sqlx::query_scalar!(
        r#"WITH guard AS (
            UPDATE users SET
                version = version + 1, epoch = $4, state_since = $5,
                consecutive_failures = $6, locked_until = $7, failure_times = $8,
                last_wrong_key = $9, last_wrong_digest = $10, last_wrong_time = $11,
                grace_started = $12, must_enroll = $13,
                reset_request_id = $14, reset_reason = $15, reset_create_time = $16, is_on = $41
            WHERE tenant_id = $1 AND user_id = $2 AND version = $3
                -- Rows of a deleted tenant stay until they are swept.
                AND (SELECT true FROM tenants WHERE tenants.tenant_id = $1 AND tenants.delete_time IS NULL)
                AND ($17::uuid IS NULL OR EXISTS (
                    SELECT FROM authenticators
                    WHERE tenant_id = $1 AND user_id = $2 AND authenticator_id = $17 AND totp_last_step <= $18
                ))
                AND ($33::uuid IS NULL OR NOT EXISTS (
                    SELECT FROM requests
                    WHERE tenant_id = $1 AND user_id = $2 AND caller = $32 AND request_id = $33
                        AND expire_time > $38
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
                $29::text, $30::text, $31::bigint, $39::uuid, $40::text, $42::text
            FROM guard
        ), answered AS (
            INSERT INTO requests (
                tenant_id, user_id, caller, request_id, arguments_key, arguments_digest, reply, expire_time
            )
            SELECT $1, $2, $32::text, $33, $34::bigint, $35::bytea, $36::bytea, $37::timestamptz
            FROM guard WHERE $33 IS NOT NULL
            ON CONFLICT (tenant_id, user_id, caller, request_id) DO UPDATE SET
                arguments_key = excluded.arguments_key, arguments_digest = excluded.arguments_digest,
                reply = excluded.reply,
                expire_time = CASE WHEN requests.expire_time <= $38 THEN excluded.expire_time END
        )
        SELECT CASE
            WHEN EXISTS (SELECT FROM guard) THEN 'done'
            WHEN EXISTS (SELECT FROM tenants WHERE tenant_id = $1 AND delete_time IS NULL) THEN 'conflict'
            ELSE 'no tenant'
        END AS "outcome!""#,
        row.tenant_id,
        row.user_id,
        row.version,
        row.epoch,
        row.state_since,
        row.consecutive_failures,
        row.locked_until,
        &row.failure_times,
        row.last_wrong_key,
        row.last_wrong_digest,
        row.last_wrong_time,
        row.grace_started,
        row.must_enroll,
        row.reset_request_id,
        row.reset_reason,
        row.reset_create_time,
        row.used_id,
        row.used_step,
        row.used_time,
        row.used_failures,
        row.event_id,
        row.event_time,
        row.event_user_id,
        row.event_kind,
        row.event_authenticator_id,
        row.event_authenticator_kind,
        row.event_details,
        row.event_actor,
        row.event_caller,
        row.event_client,
        row.event_policy_revision,
        row.answer_caller,
        row.answer_request_id,
        row.answer_arguments_key,
        row.answer_arguments_digest,
        row.answer_reply.as_deref(),
        row.answer_expire_time,
        now,
        row.event_request_id,
        row.event_trace_id,
        row.is_on,
        row.event_actor_claims,
    )
    .fetch_one(connection)
    .await?;
    Ok(match outcome.as_str() {
        "done" => Some(Commit::Done),
        "conflict" => Some(Commit::Conflict),
        _ => None,
    })
}

/// Commits those whose guards hold, and nothing of the others; answers by their numbers. An error of the server undoes all.
pub(super) async fn commit_many(
    connection: &mut PgConnection,
    rows: &[HotChange<'_>],
) -> Result<Vec<Answer>, sqlx::Error> {
    let tenants = distinct(rows.iter().map(|row| row.tenant_id));
    sqlx::query_file_as!(Answer, "src/commit/hot/many.sql", rows as _, &tenants as _)
        .fetch_all(connection)
        .await
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
