//! The log takes no change but an erasure (R56).

use super::{folder, intruder, open};
use countersign_domain::audit::CLIENT_SALT_LEN;
use countersign_domain::event::EventType;
use countersign_testkit::{SeededRandom, fixtures};

/// R56: no column of an event can be changed, the claims only where the salt goes and a commitment stays, and that once.
#[tokio::test]
async fn the_log_is_append_only() {
    let (_folder, path) = folder();
    let store = open(&path, 1).await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    store.done(fixtures::event_only(&random, &fixtures::user("acme", "ann"), EventType::LoginAllowed)).await;
    let mut connection = intruder(&path).await;
    let mut change = async |set: &'static str| {
        let sql = format!("UPDATE events SET {set} WHERE kind = 'LOGIN_ALLOWED'");
        let done = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await;
        done.err().is_some_and(|error| error.to_string().contains("append-only"))
    };
    for set in [
        "tenant_id = 'other'",
        "transaction_id = transaction_id + 1",
        "number = number + 1",
        "event_id = randomblob(16)",
        "event_time = event_time + 1",
        "user_id = NULL",
        "kind = 'LOGIN_REFUSED'",
        "authenticator_id = randomblob(16), authenticator_kind = 'TOTP'",
        "details = '[[\"finding\",\"nothing\"]]'",
        "actor = 'job:sweeper'",
        "actor_claims = '{}'",
        "caller = 'else'",
        "client = '{}'",
        "client_salt = randomblob(16)",
        "client = '{}', client_commitment = randomblob(32)",
        "policy_revision = policy_revision + 1",
        "request_id = randomblob(16)",
        "trace_id = 'else'",
    ] {
        assert!(change(set).await, "{set}");
    }
    let erasure = "client = '{}', client_salt = NULL, client_commitment = zeroblob(32)";
    assert!(!change(erasure).await);
    assert!(change(erasure).await, "a second time");
}

/// R56: a salt is drawn for each event, so that nobody guesses claims out of what an erasure leaves.
#[tokio::test]
async fn every_event_has_a_salt_of_its_own() {
    let (_folder, path) = folder();
    let store = open(&path, 1).await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    store.done(fixtures::event_only(&random, &fixtures::user("acme", "ann"), EventType::LoginAllowed)).await;
    let salts = sqlx::query_scalar::<_, Vec<u8>>("SELECT client_salt FROM events");
    let salts = salts.fetch_all(&mut intruder(&path).await).await.unwrap();
    assert_eq!(salts.len(), 2);
    assert_ne!(salts[0], salts[1], "a salt of its own");
    for salt in salts {
        assert_eq!(salt.len(), CLIENT_SALT_LEN);
        assert!(salt.iter().any(|byte| *byte != 0), "a salt that is not drawn");
    }
}
