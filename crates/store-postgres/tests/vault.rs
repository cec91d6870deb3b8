//! R52, R50: root keys change while the database is in use, and what was used stays used.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use countersign_domain::coverage::FactsAt;
use countersign_domain::digest::KeyId;
use countersign_domain::ids::Version;
use countersign_domain::user::UserState;
use countersign_keyring::{Keyring, RootKey, key_id_of};
use countersign_ports::{BrokenRow, KnownKey, Lifeline, Release, ResealFrom, Resealed, StoreError, Vault};
use countersign_store_postgres::PostgresStore;
use countersign_testkit::SeededRandom;
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::conformance::sealed::nonces_are_drawn;
use countersign_testkit::fixtures::{self, START, tenant, user};
use sqlx::{AssertSqlSafe, Executor};
use std::sync::Arc;
use support::{Database, run};

/// The store with the root keys of these ids.
async fn open(database: &Database, ids: &[u32]) -> Arc<PostgresStore> {
    let root = |id: &u32| RootKey::from_bytes(SeededRandom::new(u64::from(*id)).bytes()).unwrap();
    let keyring = Keyring::new(ids.iter().map(|id| (KeyId(*id), root(id))).collect()).unwrap();
    // Of each store its own, as the operating system gives it.
    let random = Arc::new(SeededRandom::new(ids.iter().map(|id| u64::from(*id)).sum::<u64>() + 40));
    Arc::new(PostgresStore::connect(database.options(), Arc::new(keyring), random).await.unwrap())
}

/// Every column of bytes, and whether it is sealed again: whoever adds one must say what becomes of it.
const COLUMNS: [(&str, bool); 11] = [
    ("authenticators.key_sealed", true),
    ("authenticators.sms_sealed_number", true),
    ("authenticators.totp_sealed_key", true),
    ("pending_enrollments.sms_sealed_number", true),
    ("pending_enrollments.totp_sealed_key", true),
    ("recovery_sets.digests", false),
    ("requests.arguments_digest", false),
    // Gone after minutes.
    ("requests.reply", false),
    ("root_keys.key_check", false),
    ("users.last_wrong_digest", false),
    ("_sqlx_migrations.checksum", false),
];

/// R52: no column that holds something sealed is forgotten by a rotation.
#[tokio::test]
async fn every_column_of_bytes_is_known() {
    let database = Database::migrated().await;
    let found = sqlx::query_scalar::<_, String>(
        "SELECT table_name || '.' || column_name FROM information_schema.columns
        WHERE table_schema = 'public' AND udt_name IN ('bytea', '_bytea')
            AND table_name NOT IN (SELECT viewname FROM pg_views) ORDER BY 1",
    );
    let found = found.fetch_all(&mut database.connect().await).await.unwrap();
    // Signatures and entries of the log's seals; digests; and, in each partition of the log, a digest and its salt.
    let plain = |column: &str| {
        column.starts_with("audit_")
            || column.ends_with("_digest")
            || column.starts_with("events")
                && (column.ends_with(".client_commitment") || column.ends_with(".client_salt"))
    };
    for column in found.iter().filter(|column| !plain(column)) {
        assert!(
            COLUMNS.iter().any(|(name, _)| name == column),
            "{column} holds bytes: is it sealed? see `vault`"
        );
    }
}

/// R52: rows are sealed again with the newest key, step by step; the old key is not needed any more, and every state is
/// what it was. One row that was edited is named and does not stop the others.
#[tokio::test]
async fn everything_is_sealed_again_with_the_newest_key() {
    let database = Database::migrated().await;
    let random = SeededRandom::new(1);
    let users: Vec<_> = (0..7).map(|number| user("acme", &format!("u{number}"))).collect();
    let state = fixtures::user_with_totp(&random);
    let first = StoreUnderTest::sharing(open(&database, &[1]).await);
    first.create_tenant("acme").await;
    for user in &users {
        first.store_user(&random, user, &state).await;
    }
    let mut by_hand = database.connect().await;
    run(&mut by_hand, "UPDATE authenticators SET totp_digits = 8 WHERE user_id = 'u3'").await;

    let both = open(&database, &[1, 2]).await;
    let (mut from, mut done, mut broken) = (Some(ResealFrom::default()), 0, Vec::new());
    while let Some(step) = from {
        let Resealed { resealed, broken: failed, next } = both.reseal(step, 2).await.unwrap();
        assert!(resealed as usize + failed.len() <= 2);
        (from, done) = (next, done + resealed);
        broken.extend(failed);
    }
    assert_eq!(done, 6);
    let id = Some(state.authenticators[0].id.uuid());
    assert_eq!(broken, [BrokenRow { what: "authenticator key", user: Some(user("acme", "u3")), id }]);
    let needs: Vec<_> = both.key_uses(START).await.unwrap();
    let sealed: Vec<_> = needs.iter().filter(|one| one.release == Release::Resealed).collect();
    assert_eq!(sealed.iter().map(|one| (one.key.0, one.rows)).collect::<Vec<_>>(), [(1, 1), (2, 6)]);

    let last = StoreUnderTest::sharing(open(&database, &[2]).await);
    for (number, user) in users.iter().enumerate() {
        match last.users.load(user, None).await {
            Ok(loaded) => assert_eq!(loaded.unwrap().state, state),
            Err(_) => assert_eq!(number, 3),
        }
    }
    let keys =
        sqlx::query_scalar::<_, Vec<u8>>("SELECT totp_sealed_key FROM authenticators WHERE user_id <> 'u3'");
    for sealed in keys.fetch_all(&mut by_hand).await.unwrap() {
        assert_eq!(key_id_of(&sealed), Some(KeyId(2)));
    }
}

/// Every sealed value in the tables, the answers to repeat included.
const SEALED: &str = "
    SELECT key_sealed FROM authenticators WHERE key_sealed IS NOT NULL
    UNION ALL SELECT sms_sealed_number FROM authenticators WHERE sms_sealed_number IS NOT NULL
    UNION ALL SELECT totp_sealed_key FROM authenticators WHERE totp_sealed_key IS NOT NULL
    UNION ALL SELECT sms_sealed_number FROM pending_enrollments WHERE sms_sealed_number IS NOT NULL
    UNION ALL SELECT totp_sealed_key FROM pending_enrollments WHERE totp_sealed_key IS NOT NULL
    UNION ALL SELECT reply FROM requests";

async fn sealed(database: &Database) -> Vec<Vec<u8>> {
    sqlx::query_scalar::<_, Vec<u8>>(SEALED).fetch_all(&mut database.connect().await).await.unwrap()
}

/// R52, R50: each column is sealed again as what it is. Whatever users own is the same after a pass, and where the old key is
/// gone; every value, before and after, is under a nonce of its own.
#[tokio::test]
async fn each_column_is_sealed_again_as_what_it_is() {
    let database = Database::migrated().await;
    let random = SeededRandom::new(1);
    let users =
        ["ann", "bob"].map(|name| (user("acme", name), fixtures::user_with_everything_sealed(&random)));
    let first = StoreUnderTest::sharing(open(&database, &[1]).await);
    first.create_tenant("acme").await;
    for (user, state) in &users {
        let mut change = fixtures::change_set(&random, user, None, &UserState::default(), state);
        change.request = Some(fixtures::request_record(&random, user));
        first.done(change).await;
    }
    let before = sealed(&database).await;
    assert_eq!(before.len(), 12);
    nonces_are_drawn(&before);

    let both = open(&database, &[1, 2]).await;
    assert_eq!(pass(&both).await, 10, "all but the answers");
    let after = sealed(&database).await;
    assert_eq!(after.iter().filter(|value| key_id_of(value) == Some(KeyId(2))).count(), 10);
    nonces_are_drawn(&after);

    for keys in [&[1, 2][..], &[2]] {
        let store = StoreUnderTest::sharing(open(&database, keys).await);
        for (user, state) in &users {
            assert_eq!(store.load(user).await.state, *state, "{keys:?}");
        }
    }
}

/// R50: the way that operators are told to mend a row which opens no more: it is taken away, and its user enrols anew.
#[tokio::test]
async fn a_user_whose_row_was_taken_away_is_served_again() {
    let database = Database::migrated().await;
    let random = SeededRandom::new(1);
    let store = StoreUnderTest::sharing(open(&database, &[1]).await);
    store.create_tenant("acme").await;
    let recovery = Some(fixtures::recovery_set(&random));
    let state = UserState { recovery, ..fixtures::user_with_totp(&random) };
    let several =
        UserState { recovery: state.recovery.clone(), ..fixtures::user_with_everything_sealed(&random) };
    let (ann, bob) = (user("acme", "ann"), user("acme", "bob"));
    store.store_user(&random, &ann, &state).await;
    store.store_user(&random, &bob, &several).await;
    let by_hand = &mut database.connect().await;
    run(by_hand, "UPDATE authenticators SET totp_digits = 8 WHERE kind = 'TOTP'").await;
    for user in [&ann, &bob] {
        assert!(matches!(store.users.load(user, None).await, Err(StoreError::SealBroken { .. })));
    }

    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations/metrics.md"));
    let page = page.unwrap();
    let (_, from_sql) = page.split_once("```sql\n").unwrap();
    let (recipe, _) = from_sql.split_once("```").unwrap();
    for (name, state) in [("ann", &state), ("bob", &several)] {
        let id = state.authenticators[0].id.uuid().to_string();
        let recipe = recipe.replace("0197a1c2-5f00-7000-8000-000000000000", &id);
        run(by_hand, recipe.replace("'ann'", &format!("'{name}'"))).await;
    }
    for (user, state, is_on) in [(&ann, &state, false), (&bob, &several, true)] {
        let loaded = store.load(user).await;
        assert_eq!(loaded.state.authenticators, state.authenticators[1..]);
        assert_eq!((loaded.state.recovery.is_some(), loaded.state.requirement.must_enroll), (is_on, !is_on));
        // What stood for it is void with the epoch (R34).
        assert_eq!((loaded.version, loaded.state.epoch), (Some(Version(2)), state.epoch.next()));
    }
    // Tallies have followed.
    let at = FactsAt { groups: Vec::new(), grace_cutoff: START };
    let counts = store.queries.count(&tenant("acme"), &at, None).await.unwrap();
    let counts: Vec<_> = counts.iter().map(|(facts, users)| (facts.on, facts.must_enroll, *users)).collect();
    assert_eq!(counts, [(false, true, 1), (true, false, 1)]);
}

/// R52: a row that a login holds is left for the next pass, and nobody waits.
#[tokio::test]
async fn a_row_that_is_held_is_left_for_later() {
    let database = Database::migrated().await;
    let random = SeededRandom::new(1);
    let first = StoreUnderTest::sharing(open(&database, &[1]).await);
    first.create_tenant("acme").await;
    first.store_user(&random, &user("acme", "ann"), &fixtures::user_with_totp(&random)).await;
    let both = open(&database, &[1, 2]).await;
    let mut login = database.connect().await;
    run(&mut login, "BEGIN; UPDATE authenticators SET consecutive_failures = 1").await;
    assert_eq!(pass(&both).await, 0);
    run(&mut login, "COMMIT").await;
    assert_eq!(pass(&both).await, 1);
}

/// R5, R52: sealing again counts as a change of the user, so that a login which was decided before is decided again: its
/// step would be lost where its row has moved. A user whom a login holds is left for the next pass, as a row is.
#[tokio::test]
async fn sealing_again_is_a_change_of_the_user() {
    let database = Database::migrated().await;
    let random = SeededRandom::new(1);
    let first = StoreUnderTest::sharing(open(&database, &[1]).await);
    first.create_tenant("acme").await;
    let ann = user("acme", "ann");
    first.store_user(&random, &ann, &fixtures::user_with_totp(&random)).await;
    let before = first.users.load(&ann, None).await.unwrap().unwrap().version.unwrap();
    let both = open(&database, &[1, 2]).await;
    let mut login = database.connect().await;
    run(&mut login, "BEGIN; SELECT FROM users FOR NO KEY UPDATE").await;
    assert_eq!(pass(&both).await, 0);
    run(&mut login, "COMMIT").await;
    assert_eq!(pass(&both).await, 1);
    let both = StoreUnderTest::sharing(both);
    let after = both.users.load(&ann, None).await.unwrap().unwrap().version.unwrap();
    assert_eq!(after, before.next());
}

/// Goes over every column once; how many rows were sealed again.
async fn pass(store: &PostgresStore) -> u32 {
    let (mut from, mut resealed) = (Some(ResealFrom::default()), 0);
    while let Some(step) = from {
        let done = store.reseal(step, 10).await.unwrap();
        (from, resealed) = (done.next, resealed + done.resealed);
    }
    resealed
}

/// R52: a key keeps the fingerprint that it came with, until it is forgotten.
#[tokio::test]
async fn a_key_keeps_its_fingerprint() {
    let database = Database::migrated().await;
    let store = open(&database, &[1]).await;
    let known = |check: u8| KnownKey { key: KeyId(4_294_967_295), check: [check; 32] };
    assert_eq!(store.know_keys(&[known(1)], START).await.unwrap(), [known(1)]);
    assert_eq!(store.know_keys(&[known(2)], START).await.unwrap(), [known(1)]);
    store.forget_key(known(1).key).await.unwrap();
    assert_eq!(store.know_keys(&[known(2)], START).await.unwrap(), [known(2)]);
}

/// R52: a value that names no root key may need one that must not be forgotten: it is told, and not left out. So is a row
/// of a time that no calendar has, which ends nobody who counts (R48).
#[tokio::test]
async fn what_does_not_read_is_told_where_keys_are_counted() {
    let database = Database::migrated().await;
    let store = open(&database, &[1]).await;
    let shared = StoreUnderTest::sharing(Arc::clone(&store));
    shared.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    shared.store_user(&random, &user("acme", "ann"), &fixtures::user_with_totp(&random)).await;
    assert_eq!(store.key_uses(START).await.unwrap().len(), 1);
    for edit in [
        "UPDATE authenticators SET totp_sealed_key = '\\x01'",
        "UPDATE authenticators SET totp_sealed_key = '\\x0100'",
        "UPDATE authenticators SET totp_sealed_key = '\\x01000000'",
        "UPDATE authenticators SET totp_sealed_key = '\\x0100000001';
        INSERT INTO requests (tenant_id, user_id, caller, request_id, arguments_key, arguments_digest, reply, expire_time)
        VALUES ('acme', 'ann', 'login', gen_random_uuid(), 1, sha256(''), '\\x0100000001', 'infinity')",
    ] {
        run(&mut database.connect().await, edit).await;
        let told = store.key_uses(START).await;
        assert!(matches!(told, Err(StoreError::Corrupt { .. })), "{edit}: {told:?}");
    }
}

/// R64: a number that no column holds is refused, and not taken for none.
#[tokio::test]
async fn a_restore_refuses_a_number_that_it_cannot_keep() {
    let database = Database::migrated().await;
    let store = open(&database, &[1]).await;
    let id = uuid::Uuid::from_u128;
    let before = store.incarnation(id(1)).await.unwrap();
    let finished = store.finish_restore(id(2), u64::MAX).await;
    assert!(matches!(finished, Err(StoreError::Corrupt { .. })), "{finished:?}");
    assert_eq!(store.incarnation(id(3)).await.unwrap(), before);
}

/// R4, R29: whoever writes by hand cannot lower a consumed step, nor make a used code unused.
#[tokio::test]
async fn what_was_used_stays_used() {
    let database = Database::migrated().await;
    let store = StoreUnderTest::sharing(open(&database, &[1]).await);
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    store.store_user(&random, &user("acme", "ann"), &fixtures::user_with_totp(&random)).await;
    let mut by_hand = database.connect().await;
    run(
        &mut by_hand,
        "UPDATE authenticators SET totp_last_step = 100;
        INSERT INTO recovery_sets VALUES ('acme', 'ann', gen_random_uuid(), now(), '{1,1}',
            ARRAY[sha256('a'), sha256('b')], ARRAY[now(), NULL]);
        UPDATE recovery_sets SET used_times[2] = now()",
    )
    .await;
    for edit in [
        "UPDATE authenticators SET totp_last_step = 99",
        "UPDATE recovery_sets SET used_times = ARRAY[NULL, NULL]::timestamptz[]",
        "UPDATE recovery_sets SET used_times[1] = NULL",
    ] {
        let done = by_hand.execute(sqlx::raw_sql(AssertSqlSafe(edit))).await;
        assert!(done.is_err(), "{edit}");
    }
}
