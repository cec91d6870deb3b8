//! Whatever somebody does to the log who has the file, its seals show where (R56).

use super::{folder, intruder, keyring, open};
use countersign_application::audit::{Judge, SealKey, SealWhen, record_retention, seal_next};
use countersign_domain::audit::Seal;
use countersign_domain::event::EventType;
use countersign_domain::ids::TenantId;
use countersign_domain::time::Timestamp;
use countersign_keyring::audit_signature_holds;
use countersign_ports::{AuditLog, ClaimErasure};
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::fixtures::{self, START, user};
use countersign_testkit::{LoggedErrors, SeededRandom};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const WHEN: SealWhen = SealWhen { events: 3, age: Duration::from_mins(1) };

fn key() -> SealKey {
    let keyring = keyring(1);
    let public = keyring.audit_public_key(keyring.newest()).unwrap();
    SealKey { key: (keyring.newest(), public), sign: Arc::new(move |text| keyring.sign_audit(text)) }
}

fn now() -> Timestamp {
    START.plus(Duration::from_hours(1))
}

async fn seal_all(audit: &dyn AuditLog, tenant: &TenantId) {
    while seal_next(audit, tenant, &key(), WHEN, now()).await.unwrap().is_some() {}
}

/// What is found of tenant `acme`, in words; "good" where nothing is.
async fn verdict(audit: &dyn AuditLog, tenant: &TenantId, exported: &[Seal]) -> String {
    let (id, public) = key().key;
    let keys = |other| (other == id).then_some(public);
    let exported: BTreeMap<_, _> = exported.iter().map(|seal| (seal.number, seal.clone())).collect();
    let judge = Judge { keys: &keys, check: &audit_signature_holds, exported, part: false };
    match judge.judge(audit, tenant).await.unwrap() {
        Ok(_) => "good".to_owned(),
        Err(finding) => finding.to_string(),
    }
}

/// Seven events in three seals: transactions 1 to 7 of three, three and one event.
async fn sealed(path: &Path) -> (StoreUnderTest, TenantId) {
    let store = open(path, 1).await;
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    for minute in 1..=6 {
        let mut change = fixtures::event_only(&random, &user("acme", "ann"), EventType::LoginAllowed);
        change.events[0].time = START.plus(Duration::from_mins(minute));
        store.done(change).await;
    }
    seal_all(store.audit.as_ref(), &tenant).await;
    assert_eq!(verdict(store.audit.as_ref(), &tenant, &[]).await, "good");
    (store, tenant)
}

/// What is found after `sql`, run by somebody who switches triggers off first.
async fn after(sql: &str) -> String {
    let (_folder, path) = folder();
    let (store, tenant) = sealed(&path).await;
    let exported = store.audit.seals(&tenant, 0, 10).await.unwrap();
    let mut connection = intruder(&path).await;
    let triggers = "DROP TRIGGER events_append_only; DROP TRIGGER audit_seals_not_updated;
        DROP TRIGGER audit_seals_not_deleted;";
    let script = format!("PRAGMA ignore_check_constraints = ON; {triggers} {sql}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(script)).execute(&mut connection).await.unwrap();
    verdict(store.audit.as_ref(), &tenant, &exported).await
}

/// R56: each column of an event, and each event, is proved; the finding names tenant, seal, position and kind.
#[tokio::test]
async fn edits_of_events_are_found() {
    for set in [
        "event_id = zeroblob(16)",
        "event_time = event_time + 1",
        "user_id = 'bob'",
        "user_id = NULL",
        "kind = 'LOGIN_REFUSED'",
        "authenticator_id = zeroblob(16), authenticator_kind = 'TOTP'",
        "details = '[[\"finding\",\"else\"]]'",
        "actor = 'operator:eve'",
        "actor_claims = '{}'",
        "caller = 'else'",
        "client = '{}'",
        "client_salt = zeroblob(16)",
        "client_salt = NULL, client_commitment = zeroblob(32)",
        "policy_revision = 7",
        "request_id = zeroblob(16)",
        "trace_id = 'else'",
    ] {
        let found = after(&format!("UPDATE events SET {set} WHERE transaction_id = 5")).await;
        assert!(found.starts_with("tenant acme seal 2 position 5.0 event "), "{set}: {found}");
        assert!(found.ends_with(": edited"), "{set}: {found}");
    }
}

/// R56: deletions, insertions, moves and truncations are told apart, at their first place.
#[tokio::test]
async fn missing_extra_moved_and_cut_off_events_are_found() {
    let copy = |to: &str| {
        format!(
            "CREATE TEMP TABLE copy AS SELECT * FROM events WHERE transaction_id = 1;
            UPDATE copy SET event_id = randomblob(16), {to}; INSERT INTO events SELECT * FROM copy;"
        )
    };
    let swap = "UPDATE events SET transaction_id = 99 WHERE transaction_id = 4;
        UPDATE events SET transaction_id = 4 WHERE transaction_id = 6;
        UPDATE events SET transaction_id = 6 WHERE transaction_id = 99;";
    for (sql, place, what) in [
        ("DELETE FROM events WHERE transaction_id = 5", "seal 2 position 5.0 ", "missing"),
        ("DELETE FROM events WHERE transaction_id >= 6", "seal 2 position 6.0 ", "truncated"),
        (copy("number = 1").as_str(), "seal 1 position 1.1 ", "extra"),
        (swap, "seal 2 position 4.0 ", "reordered"),
        (
            "DELETE FROM events WHERE transaction_id >= 4; DELETE FROM audit_seals WHERE number >= 2",
            "seal 2: ",
            "truncated",
        ),
        ("DELETE FROM events; DELETE FROM audit_seals", "seal 1: ", "truncated"),
    ] {
        let found = after(sql).await;
        assert!(found.starts_with(&format!("tenant acme {place}")), "{sql}: {found}");
        assert!(found.ends_with(&format!(": {what}")), "{sql}: {found}");
    }
}

/// R56: an edit of a seal is found at that seal.
#[tokio::test]
async fn edits_of_seals_are_found() {
    for (sql, finding) in [
        ("DELETE FROM audit_seals WHERE number = 2", "seal 2: seal missing"),
        ("UPDATE audit_seals SET number = 9 WHERE number = 2", "seal 2: seal missing"),
        ("UPDATE audit_seals SET statement = statement || ' ' WHERE number = 2", "seal 2: seal differs from"),
        ("UPDATE audit_seals SET signature = zeroblob(64) WHERE number = 2", "seal 2: bad signature"),
        ("UPDATE audit_seals SET entries = substr(entries, 73) WHERE number = 2", "seal 2: seal edited"),
        ("UPDATE audit_seals SET entries = NULL WHERE number = 2", "seal 2: seal edited"),
    ] {
        let found = after(sql).await;
        assert!(found.starts_with(&format!("tenant acme {finding}")), "{sql}: {found}");
    }
}

/// Erasing a user and dropping what is older than a signed mark leave a log that proves itself; claims that went without
/// an erasure do not.
#[tokio::test]
async fn erasure_and_retention_leave_a_sound_log() {
    let (_folder, path) = folder();
    let (store, tenant) = sealed(&path).await;
    let audit = store.audit.as_ref();
    let random = SeededRandom::new(2);
    store.done(fixtures::event_only(&random, &user("acme", "ann"), EventType::UserErased)).await;
    seal_all(audit, &tenant).await;
    let erasure: &dyn ClaimErasure = store.erasure.as_ref();
    while let Some(erasing) = erasure.pending_erasure(None).await.unwrap() {
        erasure.erase_claims(&erasing, 100).await.unwrap();
    }
    assert_eq!(verdict(audit, &tenant, &[]).await, "good");

    let before = START.plus(Duration::from_mins(3));
    let mark = record_retention(audit, &tenant, &key(), before, now()).await.unwrap();
    assert!(mark.is_some());
    let mut connection = intruder(&path).await;
    let bound = before.unix_micros();
    sqlx::query("DELETE FROM events WHERE event_time < ? AND kind <> 'USER_ERASED'")
        .bind(bound)
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(verdict(audit, &tenant, &[]).await, "good");
    sqlx::query("DELETE FROM events WHERE transaction_id = 4").execute(&mut connection).await.unwrap();
    let found = verdict(audit, &tenant, &[]).await;
    assert!(found.starts_with("tenant acme seal 2 position 4.0 ") && found.ends_with(": missing"), "{found}");
}

/// R48, R56: an id of a tenant that is none hides no other tenant from those who seal, and is counted; an erasure that does
/// not read is passed over, and the others are carried out.
#[tokio::test]
async fn ids_that_are_none_stop_nobody_else() {
    let (_folder, path) = folder();
    let (store, acme) = sealed(&path).await;
    let zoo = store.create_tenant("zoo").await;
    let random = SeededRandom::new(2);
    store.done(fixtures::event_only(&random, &user("zoo", "ann"), EventType::UserErased)).await;
    // More than any page has, before, between and behind the others, and not even text.
    let planted = "
        CREATE TEMP TABLE copy AS SELECT * FROM events WHERE kind = 'USER_ERASED';
        UPDATE copy SET user_id = 'no user', number = 9, tenant_id = 'acme';
        INSERT INTO events SELECT * FROM copy;
        CREATE TEMP TABLE many AS
            WITH RECURSIVE numbers AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM numbers WHERE n < 80)
            SELECT copy.* FROM copy, numbers;
        UPDATE many SET tenant_id = 'no tenant ' || rowid;
        INSERT INTO events SELECT * FROM many;
        UPDATE copy SET tenant_id = 'ZOO';
        INSERT INTO events SELECT * FROM copy;
        UPDATE copy SET tenant_id = CAST(x'7AFF' AS TEXT);
        INSERT INTO events SELECT * FROM copy;
        UPDATE copy SET tenant_id = '';
        INSERT INTO events SELECT * FROM copy;
        INSERT INTO audit_seals VALUES ('~', 1, '', zeroblob(64), NULL);";
    sqlx::raw_sql(planted).execute(&mut intruder(&path).await).await.unwrap();

    let audit = store.audit.as_ref();
    for limit in [1, 2, 200] {
        let mut read: Vec<TenantId> = Vec::new();
        loop {
            let page = audit.audited_tenants(read.last(), limit).await.unwrap();
            if page.is_empty() {
                break;
            }
            read.extend(page);
        }
        assert_eq!(read, [acme.clone(), zoo.clone()], "in pages of {limit}");
    }
    assert_eq!(audit.foreign_tenants().await.unwrap(), 84);

    let erasure: &dyn ClaimErasure = store.erasure.as_ref();
    let erasing = erasure.pending_erasure(None).await.unwrap().unwrap();
    assert_eq!((erasing.tenant.as_str(), erasing.user.as_str()), ("zoo", "ann"));
    assert_eq!(erasure.erase_claims(&erasing, 100).await.unwrap(), None);
    assert_eq!(erasure.pending_erasure(None).await.unwrap(), None);
}

/// R48, R58: claims that are no text go like any others; an erasure behind one that cannot be carried out is found.
#[tokio::test]
async fn claims_that_are_no_text_are_erased() {
    let (_folder, path) = folder();
    let (store, _) = sealed(&path).await;
    let random = SeededRandom::new(2);
    store.done(fixtures::event_only(&random, &user("acme", "ann"), EventType::UserErased)).await;
    store.done(fixtures::event_only(&random, &user("acme", "bob"), EventType::UserErased)).await;
    let mut connection = intruder(&path).await;
    let edit = "DROP TRIGGER events_append_only; UPDATE events SET client = CAST(x'22FF22' AS TEXT) WHERE user_id = 'ann'";
    sqlx::raw_sql(edit).execute(&mut connection).await.unwrap();

    let erasure: &dyn ClaimErasure = store.erasure.as_ref();
    let ann = erasure.pending_erasure(None).await.unwrap().unwrap();
    let bob = erasure.pending_erasure(Some(&ann)).await.unwrap().unwrap();
    assert_eq!((ann.user.as_str(), bob.user.as_str()), ("ann", "bob"));
    assert_eq!(erasure.pending_erasure(Some(&bob)).await.unwrap(), None);
    for erasing in [ann, bob] {
        assert_eq!(erasure.erase_claims(&erasing, 100).await.unwrap(), None);
    }
    assert_eq!(erasure.pending_erasure(None).await.unwrap(), None);
    let left = "SELECT count(*) FROM events WHERE user_id = 'ann' AND client_commitment IS NULL";
    let left: i64 = sqlx::query_scalar(left).fetch_one(&mut connection).await.unwrap();
    assert_eq!(left, 0);
}

/// R56: what somebody planted is an alarm once, however often jobs come back to it; something else is another one.
#[tokio::test]
async fn what_was_planted_is_an_alarm_once() {
    let (_folder, path) = folder();
    let (store, _) = sealed(&path).await;
    let errors = LoggedErrors::count_from_here();
    let mut connection = intruder(&path).await;
    for (sql, alarms) in [
        ("INSERT INTO audit_seals VALUES ('~', 1, '', zeroblob(64), NULL)", 1),
        ("INSERT INTO audit_seals VALUES ('', 1, '', zeroblob(64), NULL)", 2),
        (
            "CREATE TEMP TABLE copy AS SELECT * FROM events WHERE transaction_id = 1;
            UPDATE copy SET event_id = randomblob(16), number = 9, kind = 'USER_ERASED', user_id = 'no user';
            INSERT INTO events SELECT * FROM copy;",
            3,
        ),
    ] {
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        for _ in 0..3 {
            store.audit.audited_tenants(None, 10).await.unwrap();
            assert_eq!(store.erasure.pending_erasure(None).await.unwrap(), None);
        }
        assert_eq!(errors.count(), alarms, "{sql}");
    }
}
