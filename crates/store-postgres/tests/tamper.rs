//! Whatever somebody does to the log who owns the database, its seals show where (R56).

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use countersign_application::audit::{Judge, SealKey, SealWhen, record_retention, seal_next};
use countersign_domain::audit::Seal;
use countersign_domain::event::EventType;
use countersign_domain::ids::TenantId;
use countersign_domain::time::Timestamp;
use countersign_keyring::audit_signature_holds;
use countersign_ports::{AuditLog, EventQuery, StoreError};
use countersign_testkit::SeededRandom;
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::fixtures::{self, START, user};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use support::{Database, run};

const WHEN: SealWhen = SealWhen { events: 3, age: Duration::from_mins(1) };

fn key() -> SealKey {
    let keyring = support::keyring();
    let public = keyring.audit_public_key(keyring.newest()).expect("the newest key is there");
    SealKey { key: (keyring.newest(), public), sign: Arc::new(move |text| keyring.sign_audit(text)) }
}

fn now() -> Timestamp {
    START.plus(Duration::from_hours(1))
}

async fn seal_all(audit: &dyn AuditLog, tenant: &TenantId) {
    while seal_next(audit, tenant, &key(), WHEN, now()).await.expect("the store answers").is_some() {}
}

/// What is found, in words; "good" where nothing is.
async fn verdict(audit: &dyn AuditLog, tenant: &TenantId, exported: &[Seal]) -> String {
    let (id, public) = key().key;
    let keys = |other| (other == id).then_some(public);
    let exported: BTreeMap<_, _> = exported.iter().map(|seal| (seal.number, seal.clone())).collect();
    let judge = Judge { keys: &keys, check: &audit_signature_holds, exported, part: false };
    match judge.judge(audit, tenant).await.expect("the store answers") {
        Ok(_) => "good".to_owned(),
        Err(finding) => finding.to_string(),
    }
}

/// Eight events in three seals; the second one's are of the minutes 3, 4 and 5.
async fn sealed() -> (StoreUnderTest, Arc<Database>, TenantId) {
    let (store, database) = support::fresh().await;
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    for minute in 1..=6 {
        let mut change = fixtures::event_only(&random, &user("acme", "ann"), EventType::LoginAllowed);
        change.events[0].time = START.plus(Duration::from_mins(minute));
        store.done(change).await;
    }
    // Waits until all of them are shown.
    let _ = store.settled_events(&random, &tenant).await;
    seal_all(store.audit.as_ref(), &tenant).await;
    assert_eq!(verdict(store.audit.as_ref(), &tenant, &[]).await, "good");
    (store, database, tenant)
}

/// What is found after each of these attacks by somebody who switches triggers off first.
async fn check(attacks: &[(&str, &str, &str)]) {
    for (sql, place, what) in attacks {
        let (store, database, tenant) = sealed().await;
        let exported = store.audit.seals(&tenant, 0, 10).await.expect("the store answers");
        let mut connection = database.connect().await;
        let triggers =
            "ALTER TABLE events DISABLE TRIGGER USER; ALTER TABLE events_default DISABLE TRIGGER USER;
            ALTER TABLE events_first DISABLE TRIGGER USER;
            ALTER TABLE audit_seals DISABLE TRIGGER USER;
            ALTER TABLE audit_seals DROP CONSTRAINT audit_seals_signature;";
        run(&mut connection, format!("{triggers} {sql}")).await;
        let found = verdict(store.audit.as_ref(), &tenant, &exported).await;
        assert!(found.starts_with(&format!("tenant acme {place}")), "{sql}: {found}");
        assert!(found.ends_with(&format!(": {what}")), "{sql}: {found}");
    }
}

/// R56: each column of an event is proved; the finding names tenant, seal, position and kind.
#[tokio::test]
async fn edits_of_events_are_found() {
    for set in [
        "event_id = gen_random_uuid()",
        "user_id = NULL",
        "kind = 'LOGIN_REFUSED'",
        "authenticator_id = gen_random_uuid(), authenticator_kind = 'TOTP'",
        "details = '[[\"finding\",\"else\"]]'",
        "actor = 'operator:eve'",
        "actor_claims = '{}'",
        "caller = 'else'",
        "client = '{}'",
        "client_salt = uuid_send(gen_random_uuid())",
        "client_salt = NULL, client_commitment = sha256('else')",
        "policy_revision = 7",
        "request_id = gen_random_uuid()",
        "trace_id = 'else'",
        "event_time = event_time + interval '1 microsecond'",
    ] {
        let sql = format!("UPDATE events SET {set} WHERE event_time = '2026-01-15T08:04:00Z'");
        check(&[(sql.as_str(), "seal 2 position ", "edited")]).await;
    }
}

/// R56: deletions, insertions, moves, truncations and edited seals are told apart, at their first place.
#[tokio::test]
async fn other_attacks_are_told_apart() {
    let swap = "WITH pair AS (
            SELECT event_id, transaction_id, lead(transaction_id) OVER (ORDER BY transaction_id) AS next,
                lag(transaction_id) OVER (ORDER BY transaction_id) AS before
            FROM events WHERE event_time IN ('2026-01-15T08:03:00Z', '2026-01-15T08:05:00Z')
        )
        UPDATE events SET transaction_id = coalesce(pair.next, pair.before) FROM pair
        WHERE events.event_id = pair.event_id";
    let insert = "INSERT INTO events (tenant_id, event_id, event_time, transaction_id, number, kind, details, actor,
            caller, client, policy_revision, trace_id)
        SELECT tenant_id, gen_random_uuid(), event_time, transaction_id, number + 1, kind, details, actor, caller,
            client, policy_revision, trace_id
        FROM events WHERE event_time = '2026-01-15T08:01:00Z'";
    check(&[
        ("DELETE FROM events WHERE event_time = '2026-01-15T08:04:00Z'", "seal 2 position ", "missing"),
        (
            "DELETE FROM events WHERE transaction_id >= (
                SELECT transaction_id FROM events WHERE event_time = '2026-01-15T08:05:00Z')",
            "seal 2 position ",
            "truncated",
        ),
        (insert, "seal 1 position ", "extra"),
        (swap, "seal 2 position ", "reordered"),
        ("DELETE FROM audit_seals WHERE number >= 3", "seal 3: ", "truncated"),
        ("DELETE FROM events; DELETE FROM audit_seals", "seal 1: ", "truncated"),
        ("DELETE FROM audit_seals WHERE number = 2", "seal 2: ", "seal missing"),
        (
            "UPDATE audit_seals SET statement = statement || ' ' WHERE number = 2",
            "seal 2: ",
            "seal differs from the exported one",
        ),
        ("UPDATE audit_seals SET signature = sha512('else') WHERE number = 2", "seal 2: ", "bad signature"),
        ("UPDATE audit_seals SET entries = substr(entries, 73) WHERE number = 2", "seal 2: ", "seal edited"),
    ])
    .await;
}

/// R56: an event that is planted beside the last one of a full page or seal is found like any other, whether it was there
/// when its seal was made or came later.
#[tokio::test]
async fn an_event_beside_the_last_of_a_page_is_found() {
    const FULL: SealWhen = SealWhen { events: 1_000, age: Duration::from_mins(1) };
    let plant = "INSERT INTO events (tenant_id, event_id, event_time, transaction_id, number, kind, details, actor, caller, client,
            policy_revision, trace_id)
        SELECT tenant_id, gen_random_uuid(), event_time, transaction_id, number, kind, details, actor, caller, client,
            policy_revision, trace_id
        FROM events WHERE tenant_id = 'acme' ORDER BY transaction_id, number OFFSET 999 LIMIT 1";
    for planted_first in [false, true] {
        let (store, database) = support::fresh().await;
        let tenant = store.create_tenant("acme").await;
        let audit = store.audit.as_ref();
        let mut connection = database.connect().await;
        let many = "INSERT INTO events (
                tenant_id, event_id, event_time, user_id, kind, details, actor, caller, client, policy_revision, trace_id
            ) SELECT 'acme', gen_random_uuid(), '2026-01-15T08:01:00Z', 'ann', 'LOGIN_ALLOWED', '[]', 'job:many',
                'loopback', '{}', 1, '' FROM generate_series(1, 1100)";
        run(&mut connection, many).await;
        if planted_first {
            run(&mut connection, plant).await;
        }
        // A store may show an event a moment after its commit.
        let shown = async {
            while audit.logged_events(&tenant, None, 2_000).await.expect("the store answers").len() < 1_101 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_mins(2), shown).await.expect("the events are shown");
        while seal_next(audit, &tenant, &key(), FULL, now()).await.expect("the store answers").is_some() {}
        if !planted_first {
            assert_eq!(verdict(audit, &tenant, &[]).await, "good");
            run(&mut connection, plant).await;
        }
        let found = verdict(audit, &tenant, &[]).await;
        assert!(found.starts_with("tenant acme seal 1 position "), "planted first: {planted_first}: {found}");
        assert!(found.ends_with(": extra") || found.ends_with(": reordered"), "{found}");
    }
}

/// Dropping what is older than a signed mark leaves a log that proves itself.
#[tokio::test]
async fn retention_leaves_a_sound_log() {
    let (store, database, tenant) = sealed().await;
    let audit = store.audit.as_ref();
    let before = START.plus(Duration::from_mins(3));
    let mark = record_retention(audit, &tenant, &key(), before, now()).await.expect("the store answers");
    assert!(mark.is_some());
    let mut connection = database.connect().await;
    run(&mut connection, "DELETE FROM events WHERE event_time < '2026-01-15T08:03:00Z'").await;
    assert_eq!(verdict(audit, &tenant, &[]).await, "good");
    run(&mut connection, "DELETE FROM events WHERE event_time = '2026-01-15T08:03:00Z'").await;
    let found = verdict(audit, &tenant, &[]).await;
    assert!(found.starts_with("tenant acme seal 2 position ") && found.ends_with(": missing"), "{found}");
}

/// R48, R56: an event of a time that no calendar has ends no reader. Its tenant's log cannot be read, sealed or judged, which
/// is told; another tenant's can.
#[tokio::test]
async fn an_event_of_no_calendar_stops_its_own_tenant_alone() {
    let (store, database) = support::fresh().await;
    let (acme, other) = (store.create_tenant("acme").await, store.create_tenant("other").await);
    let mut connection = database.connect().await;
    let planted = "
        ALTER TABLE events_default DROP CONSTRAINT events_default_times;
        INSERT INTO events (tenant_id, event_id, event_time, kind, details, actor, caller, client, policy_revision, trace_id)
        SELECT tenant_id, gen_random_uuid(), 'infinity', kind, details, actor, caller, client, policy_revision, trace_id
        FROM events WHERE tenant_id = 'acme'";
    run(&mut connection, planted).await;

    // A store may show an event a moment after its commit.
    let shown = async {
        loop {
            match store.audit.logged_events(&acme, None, 10).await {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => return error,
            }
        }
    };
    let error = tokio::time::timeout(Duration::from_mins(2), shown).await.expect("the event is shown");
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    let query = |tenant: &TenantId| EventQuery {
        tenant: tenant.clone(),
        user: None,
        kinds: Vec::new(),
        start_time: None,
        end_time: None,
        after: None,
        limit: 10,
    };
    let read = store.events.events(&query(&acme)).await;
    assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
    let sealed = seal_next(store.audit.as_ref(), &acme, &key(), WHEN, now()).await;
    assert!(matches!(sealed, Err(StoreError::Corrupt { .. })), "{sealed:?}");

    assert_eq!(store.events.events(&query(&other)).await.expect("the store answers").len(), 1);
    seal_all(store.audit.as_ref(), &other).await;
    assert_eq!(verdict(store.audit.as_ref(), &other, &[]).await, "good");
    assert!(store.audit.last_seal(&other).await.expect("the store answers").is_some());
}

/// R48, R56: an id of a tenant that is none hides no other tenant from those who seal, and is counted; an erasure that does
/// not read is passed over, and the others are carried out.
#[tokio::test]
async fn ids_that_are_none_stop_nobody_else() {
    let (store, database) = support::fresh().await;
    let (acme, zoo) = (store.create_tenant("acme").await, store.create_tenant("zoo").await);
    let random = SeededRandom::new(2);
    let mut connection = database.connect().await;
    // More than any page has, before, between and behind the others.
    let planted = "
        INSERT INTO events (tenant_id, event_id, event_time, user_id, kind, details, actor, caller, client, policy_revision, trace_id)
        SELECT tenants.id, gen_random_uuid(), event_time, 'no user', 'USER_ERASED', details, actor, caller, client, policy_revision,
            trace_id
        FROM events, (
            SELECT 'no tenant ' || n AS id FROM generate_series(1, 80) AS n UNION ALL VALUES (''), ('ZOO'), ('acme'), ('~')
        ) AS tenants
        WHERE tenant_id = 'acme';
        INSERT INTO audit_seals VALUES ('~~', 1, '', sha256('') || sha256(''), NULL)";
    run(&mut connection, planted).await;
    store.done(fixtures::event_only(&random, &user("zoo", "ann"), EventType::UserErased)).await;

    let audit = store.audit.as_ref();
    for limit in [1, 2, 200] {
        let mut read: Vec<TenantId> = Vec::new();
        loop {
            let page = audit.audited_tenants(read.last(), limit).await.expect("the store answers");
            if page.is_empty() {
                break;
            }
            read.extend(page);
        }
        assert_eq!(read, [acme.clone(), zoo.clone()], "in pages of {limit}");
    }
    assert_eq!(audit.foreign_tenants().await.expect("the store answers"), 84);

    // A store may show an event a moment after its commit.
    let shown = async {
        loop {
            match store.erasure.pending_erasure(None).await.expect("the store answers") {
                None => tokio::task::yield_now().await,
                Some(erasing) => return erasing,
            }
        }
    };
    let erasing = tokio::time::timeout(Duration::from_mins(2), shown).await.expect("the event is shown");
    assert_eq!((erasing.tenant.as_str(), erasing.user.as_str()), ("zoo", "ann"));
    let rest = store.erasure.erase_claims(&erasing, 100).await.expect("the store answers");
    assert_eq!(rest, None);
    assert_eq!(store.erasure.pending_erasure(None).await.expect("the store answers"), None);
}

/// R48, R58: an erasure at the place before all others, which no event of the service has, is carried out; those that stand
/// there with it hide it from nobody, and are not read for ever.
#[tokio::test]
async fn erasures_at_one_place_hide_none() {
    let (store, database) = support::fresh().await;
    let acme = store.create_tenant("acme").await;
    let mut connection = database.connect().await;
    let planted = "
        INSERT INTO events (tenant_id, event_id, event_time, transaction_id, number, user_id, kind, details, actor, caller, client,
            policy_revision, trace_id)
        SELECT tenant_id, gen_random_uuid(), event_time, 0, 0, users.id, 'USER_ERASED', details, actor, caller, client,
            policy_revision, trace_id
        FROM events, (SELECT 'no user ' || n AS id FROM generate_series(1, 80) AS n UNION ALL VALUES ('yan'), ('zoe')) AS users
        WHERE tenant_id = 'acme'";
    run(&mut connection, planted).await;

    let pending = async |after| store.erasure.pending_erasure(after).await.expect("the store answers");
    // A store may show an event a moment after its commit.
    let shown = async {
        loop {
            match pending(None).await {
                None => tokio::task::yield_now().await,
                Some(erasing) => return erasing,
            }
        }
    };
    let yan = tokio::time::timeout(Duration::from_mins(2), shown).await.expect("the event is shown");
    let zoe = pending(Some(&yan)).await.expect("the other one");
    assert_eq!((yan.user.as_str(), zoe.user.as_str()), ("yan", "zoe"));
    assert_eq!(pending(Some(&zoe)).await, None);
    let logged = store.audit.logged_events(&acme, None, 10).await.expect("the store answers");
    assert_eq!(logged.first().map(|event| event.position), Some(yan.told), "who judges sees them too");

    // Fewer in one step than stand there.
    for erasing in [&zoe, &yan] {
        let rest = store.erasure.erase_claims(erasing, 10).await.expect("the store answers");
        assert_eq!(rest, None);
    }
    assert_eq!(pending(None).await, None);
}
