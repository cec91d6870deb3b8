//! What every commit leaves beside state: events, notices, and the answer to repeat.

use super::{Sealer, held};
use crate::convert::time_in;
use crate::error::Failure;
use countersign_domain::ids::{RequestId, UserId};
use countersign_ports::document;
use countersign_ports::{ChangeSet, Commit, EventRecord, MAX_MANAGERS_TOLD, NoticeRecord, RequestRecord};
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// An event as columns. Its position is the server's to give.
pub(super) struct EventInsert<'a> {
    pub(super) tenant_id: &'a str,
    pub(super) event_id: Uuid,
    pub(super) event_time: OffsetDateTime,
    pub(super) user_id: Option<&'a str>,
    pub(super) kind: &'static str,
    pub(super) authenticator_id: Option<Uuid>,
    pub(super) authenticator_kind: Option<&'static str>,
    pub(super) details: String,
    pub(super) actor: String,
    pub(super) actor_claims: Option<String>,
    pub(super) caller: &'a str,
    pub(super) client: String,
    pub(super) policy_revision: i64,
    pub(super) request_id: Option<Uuid>,
    pub(super) trace_id: &'a str,
}

impl<'a> EventInsert<'a> {
    pub(super) fn new(record: &'a EventRecord) -> Result<Self, Failure> {
        let event = &record.event;
        Ok(Self {
            tenant_id: record.tenant.as_str(),
            event_id: record.id.uuid(),
            event_time: time_in(record.time)?,
            user_id: record.user.as_ref().map(UserId::as_str),
            kind: event.kind.name(),
            authenticator_id: event.authenticator.map(|(id, _)| id.uuid()),
            authenticator_kind: event.authenticator.map(|(_, kind)| kind.name()),
            details: document::encode_details(&event.details),
            actor: document::encode_principal(&record.actor.principal),
            actor_claims: document::encode_actor_claims(&record.actor),
            caller: record.caller.as_str(),
            client: document::encode_client_claims(&record.client),
            policy_revision: record.policy_revision.0.into(),
            request_id: record.request_id.map(RequestId::uuid),
            trace_id: &record.trace_id,
        })
    }
}

pub(super) async fn insert_event(
    transaction: &mut PgConnection,
    event: &EventInsert<'_>,
) -> Result<(), Failure> {
    sqlx::query!(
        "INSERT INTO events (
            tenant_id, event_id, event_time, user_id, kind, authenticator_id, authenticator_kind, details, actor,
            caller, client, policy_revision, request_id, trace_id, actor_claims
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        event.tenant_id,
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
        event.request_id,
        event.trace_id,
        event.actor_claims,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// A notice of one of the change's own events, due at once: since the minute began, so that many of a user fall due
/// together.
pub(super) async fn insert_notice(
    transaction: &mut PgConnection,
    notice: &NoticeRecord,
    change: &ChangeSet,
) -> Result<(), Failure> {
    let event = change.events.iter().find(|event| event.id == notice.event);
    let event = event.ok_or_else(|| Failure::change_set("has a notice of an event that it does not tell"))?;
    sqlx::query!(
        "INSERT INTO outbox (
            tenant_id, notice_id, user_id, event_id, event_time, email, language_code, create_time, due_time
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, date_trunc('minute', $8::timestamptz))",
        change.tenant.as_str(),
        notice.id.0,
        notice.user.as_str(),
        event.id.uuid(),
        time_in(event.time)?,
        notice.email,
        notice.language_code,
        time_in(notice.create_time)?,
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// A notice of the event to each manager of its tenant, as the directory has them at this moment.
pub(super) async fn tell_managers(
    transaction: &mut PgConnection,
    event: &EventInsert<'_>,
) -> Result<(), Failure> {
    sqlx::query!(
        "INSERT INTO outbox (
            tenant_id, notice_id, user_id, event_id, event_time, email, language_code, create_time, due_time
        )
        SELECT tenant_id, gen_random_uuid(), user_id, $2, $3, entry ->> 'email', entry ->> 'language_code',
            $3, date_trunc('minute', $3::timestamptz)
        FROM (
            SELECT tenant_id, user_id, entry::json AS entry FROM directory_users
            WHERE tenant_id = $1 AND EXISTS (
                SELECT FROM team_memberships AS held
                WHERE held.tenant_id = directory_users.tenant_id AND held.user_id = directory_users.user_id
                    AND held.role = 'MANAGER'
            )
        ) AS manager
        WHERE NOT (entry ->> 'disabled')::boolean
        ORDER BY user_id
        LIMIT $4",
        event.tenant_id,
        event.event_id,
        event.event_time,
        i64::from(MAX_MANAGERS_TOLD),
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// An answer as columns, sealed: it may carry keys and codes.
pub(super) struct RequestInsert<'a> {
    pub(super) tenant_id: &'a str,
    pub(super) user_id: &'a str,
    pub(super) caller: &'a str,
    pub(super) request_id: Uuid,
    pub(super) arguments_key: i64,
    pub(super) arguments_digest: &'a [u8],
    pub(super) reply: Vec<u8>,
    pub(super) expire_time: OffsetDateTime,
}

impl<'a> RequestInsert<'a> {
    pub(super) fn new(record: &'a RequestRecord, sealer: Sealer<'_>) -> Result<Self, Failure> {
        let key = &record.key;
        Ok(Self {
            tenant_id: key.user.tenant.as_str(),
            user_id: key.user.user.as_str(),
            caller: key.caller.as_str(),
            request_id: key.id.uuid(),
            arguments_key: record.arguments.key.0.into(),
            arguments_digest: &record.arguments.value,
            reply: sealer.keyring.seal_reply(&key.caller, &key.user, key.id, &record.reply, sealer.nonce()),
            expire_time: time_in(record.expire_time)?,
        })
    }
}

/// A conflict where the request was answered already and the answer still counts at `now`.
pub(super) async fn insert_request(
    transaction: &mut PgConnection,
    request: &RequestInsert<'_>,
    now: OffsetDateTime,
) -> Result<Commit, Failure> {
    let done = sqlx::query!(
        "INSERT INTO requests (
            tenant_id, user_id, caller, request_id, arguments_key, arguments_digest, reply, expire_time
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (tenant_id, user_id, caller, request_id) DO UPDATE SET
            arguments_key = excluded.arguments_key, arguments_digest = excluded.arguments_digest,
            reply = excluded.reply, expire_time = excluded.expire_time
        WHERE requests.expire_time <= $9",
        request.tenant_id,
        request.user_id,
        request.caller,
        request.request_id,
        request.arguments_key,
        request.arguments_digest,
        request.reply,
        request.expire_time,
        now,
    );
    Ok(held(done.execute(transaction).await?.rows_affected()))
}
