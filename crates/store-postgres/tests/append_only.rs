//! The log takes no change but an erasure (R56), and its SQL commits to claims as the domain does.

mod support;

use countersign_domain::audit::{ERASED_CLIENT, client_commitment};
use countersign_domain::event::EventType;
use countersign_domain::ids::EventId;
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::{SeededRandom, fixtures};
use sqlx::postgres::PgConnection;
use std::sync::Arc;
use support::Database;

async fn one_event() -> (StoreUnderTest, Arc<Database>, PgConnection) {
    let (store, database) = support::fresh().await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    store.done(fixtures::event_only(&random, &fixtures::user("acme", "ann"), EventType::UserErased)).await;
    let connection = database.connect().await;
    (store, database, connection)
}

async fn refuses(connection: &mut PgConnection, set: &str) -> bool {
    let sql = format!("UPDATE events SET {set} WHERE kind = 'USER_ERASED'");
    let done = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(connection).await;
    let refused = done
        .as_ref()
        .err()
        .and_then(|error| error.as_database_error())
        .and_then(sqlx::error::DatabaseError::code);
    refused.as_deref() == Some("23001")
}

/// R56: no column of an event can be changed, the claims only by the erasure that leaves their true commitment, and
/// that once.
#[tokio::test]
async fn the_log_is_append_only() {
    let (_store, _database, mut connection) = one_event().await;
    for set in [
        "tenant_id = 'other'",
        "event_id = gen_random_uuid()",
        "event_time = event_time - interval '1 microsecond'",
        "transaction_id = transaction_id + 1",
        "number = number + 1",
        "user_id = NULL",
        "kind = 'LOGIN_ALLOWED'",
        "authenticator_id = gen_random_uuid(), authenticator_kind = 'TOTP'",
        "details = '[[\"finding\",\"nothing\"]]'",
        "actor = 'job:sweeper'",
        "actor_claims = '{}'",
        "caller = 'else'",
        "client = '{}'",
        "client_salt = uuid_send(gen_random_uuid())",
        "client = '{}', client_salt = NULL, client_commitment = sha256('else')",
        "policy_revision = policy_revision + 1",
        "request_id = gen_random_uuid()",
        "trace_id = 'else'",
    ] {
        assert!(refuses(&mut connection, set).await, "{set}");
    }
    let erasure = format!(
        "client = '{ERASED_CLIENT}', client_salt = NULL,
        client_commitment = event_client_commitment(event_id, client_salt, client)"
    );
    assert!(!refuses(&mut connection, &erasure).await);
    assert!(refuses(&mut connection, &erasure).await, "a second time");
}

/// Salts are drawn for each event, and the SQL of an erasure commits to the bytes that the domain names; an event from
/// before claims were salted has an empty salt.
#[tokio::test]
async fn sql_and_domain_commit_to_the_same_bytes() {
    let (_store, _database, mut connection) = one_event().await;
    let rows = sqlx::query_as::<_, (uuid::Uuid, Vec<u8>, String, Vec<u8>, Vec<u8>)>(
        "SELECT event_id, client_salt, client || 'zoë', event_client_commitment(event_id, client_salt, client || 'zoë'),
            event_client_commitment(event_id, NULL, client || 'zoë')
        FROM events",
    );
    let rows = rows.fetch_all(&mut connection).await.expect("an answer");
    assert_eq!(rows.len(), 2);
    assert_ne!(rows[0].1, rows[1].1, "a salt of its own");
    for (id, salt, client, salted, unsalted) in rows {
        let id = EventId::from_uuid(id);
        assert_eq!(client_commitment(id, &salt, &client).as_slice(), salted);
        assert_eq!(client_commitment(id, &[], &client).as_slice(), unsalted);
    }
}
