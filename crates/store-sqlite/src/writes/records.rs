//! What every commit tells: events, notices, and the answer to repeat.

use crate::script::{Changes, Script, add};
use crate::seal::Sealer;
use crate::stop::Stop;
use countersign_domain::ids::{RequestId, TenantId, UserId};
use countersign_domain::time::Timestamp;
use countersign_ports::document::{
    encode_actor_claims, encode_client_claims, encode_details, encode_principal,
};
use countersign_ports::{EventRecord, MAX_MANAGERS_TOLD, NoticeRecord, RequestKey, RequestRecord};
use sqlx::SqliteConnection;

/// Keeps the answer, unless the request has one that lives.
pub(crate) fn remember(script: &mut Script, seal: &Sealer, record: &RequestRecord, now: Timestamp) {
    let RequestKey { caller, user, id } = &record.key;
    let reply = seal.keyring.seal_reply(caller, user, *id, &record.reply, seal.nonce());
    let (tenant, user, caller, id) = (user.tenant.as_str(), user.user.as_str(), caller.as_str(), id.uuid());
    let (key, digest) = (record.arguments.key.0, record.arguments.value.as_slice());
    let (expire_time, now) = (record.expire_time.unix_micros(), now.unix_micros());
    add!(
        script,
        Changes::Row,
        "INSERT INTO requests (tenant_id, user_id, caller, request_id, arguments_key, arguments_digest, sealed_reply,
            expire_time)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (tenant_id, user_id, caller, request_id) DO UPDATE SET
            arguments_key = excluded.arguments_key, arguments_digest = excluded.arguments_digest,
            sealed_reply = excluded.sealed_reply, expire_time = excluded.expire_time
        WHERE requests.expire_time <= ?",
        tenant, user, caller, id, key, digest, reply, expire_time, now
    );
}

/// Appends the event, as the one with that number of the change set that the tenant saw last (R55).
pub(crate) fn tell(script: &mut Script, seal: &Sealer, number: i64, record: &EventRecord) {
    let (tenant, user) = (record.tenant.as_str(), record.user.as_ref().map(UserId::as_str));
    let (id, time) = (record.id.uuid(), record.time.unix_micros());
    let kind = record.event.kind.name();
    let authenticator = record.event.authenticator.map(|(id, _)| id.uuid());
    let authenticator_kind = record.event.authenticator.map(|(_, kind)| kind.name());
    let details = encode_details(&record.event.details);
    let (actor, caller) = (encode_principal(&record.actor.principal), record.caller.as_str());
    let actor_claims = encode_actor_claims(&record.actor);
    let client = encode_client_claims(&record.client);
    let salt = seal.client_salt();
    let salt = salt.as_slice();
    let revision = record.policy_revision.0;
    let request = record.request_id.map(RequestId::uuid);
    add!(
        script,
        Changes::Any,
        "INSERT INTO events (tenant_id, transaction_id, number, event_id, event_time, user_id, kind, authenticator_id,
            authenticator_kind, details, actor, actor_claims, caller, client, policy_revision, request_id, trace_id,
            client_salt)
        VALUES (?, (SELECT last_transaction FROM tenants WHERE tenant_id = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        tenant, tenant, number, id, time, user, kind, authenticator, authenticator_kind, details, actor,
        actor_claims, caller, client, revision, request, record.trace_id, salt
    );
}

/// When a notice of that time, in microseconds, is due: since the minute began, so that many of a user fall due together.
const fn first_due(time: i64) -> i64 {
    time.saturating_sub(time.rem_euclid(60_000_000))
}

/// Queues the notice, due at once (R57).
pub(crate) fn queue(script: &mut Script, tenant: &TenantId, notice: &NoticeRecord) {
    let (tenant, user, time) = (tenant.as_str(), notice.user.as_str(), notice.create_time.unix_micros());
    let (event, due) = (notice.event.uuid(), first_due(time));
    add!(
        script,
        Changes::Any,
        "INSERT INTO outbox (tenant_id, user_id, create_time, notice_id, event_id, email, language_code, due_time)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        tenant, user, time, notice.id.0, event, notice.email, notice.language_code, due
    );
}

/// Queues a notice of the event to each manager of its tenant, as the directory has them at this moment. A notice's id
/// need only be unique, so the database draws it.
pub(crate) async fn tell_managers(at: &mut SqliteConnection, event: &EventRecord) -> Result<(), Stop> {
    let (tenant, id, time) = (event.tenant.as_str(), event.id.uuid(), event.time.unix_micros());
    let due = first_due(time);
    sqlx::query!(
        "INSERT INTO outbox (tenant_id, user_id, create_time, notice_id, event_id, email, language_code, due_time)
        SELECT tenant_id, user_id, ?3, randomblob(16), ?2, entry ->> 'email', entry ->> 'language_code', ?5
        FROM directory_users
        WHERE tenant_id = ?1 AND NOT (entry ->> 'disabled')
            AND user_id IN (SELECT user_id FROM team_memberships WHERE tenant_id = ?1 AND role = 'MANAGER')
        ORDER BY user_id LIMIT ?4",
        tenant,
        id,
        time,
        MAX_MANAGERS_TOLD,
        due
    )
    .execute(at)
    .await?;
    Ok(())
}
