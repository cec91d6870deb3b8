//! R52, R50: root keys change while the file is in use, and what was used stays used.

use super::{folder, intruder};
use crate::SqliteStore;
use countersign_domain::digest::KeyId;
use countersign_domain::user::UserState;
use countersign_keyring::{Keyring, RootKey, key_id_of};
use countersign_ports::{BrokenRow, KnownKey, Lifeline, Release, ResealFrom, Resealed, StoreError, Vault};
use countersign_testkit::SeededRandom;
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::conformance::sealed::nonces_are_drawn;
use countersign_testkit::fixtures::{self, START, user};
use std::path::Path;
use std::sync::Arc;

/// The store with the root keys of these ids.
async fn open(path: &Path, ids: &[u32]) -> Arc<SqliteStore> {
    let root = |id: &u32| RootKey::from_bytes(SeededRandom::new(u64::from(*id)).bytes()).unwrap();
    let keyring = Keyring::new(ids.iter().map(|id| (KeyId(*id), root(id))).collect()).unwrap();
    // Of each store its own, as the operating system gives it.
    let random = Arc::new(SeededRandom::new(ids.iter().map(|id| u64::from(*id)).sum::<u64>() + 40));
    Arc::new(SqliteStore::open(path, Arc::new(keyring), random).await.unwrap())
}

/// Columns that hold something sealed which is not sealed again, and why.
const LEFT: [&str; 1] = [
    // Gone after minutes.
    "requests.sealed_reply",
];

/// R52: no column that holds something sealed is forgotten by a rotation. Bytes are ids, digests, fingerprints, or sealed.
#[tokio::test]
async fn every_column_of_bytes_is_known() {
    let (_folder, path) = folder();
    let _store = open(&path, &[1]).await;
    let found = sqlx::query_scalar::<_, String>(
        "SELECT tables.name || '.' || columns.name
        FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
        WHERE tables.type = 'table' AND columns.type = 'BLOB' AND tables.name <> '_sqlx_migrations' ORDER BY 1",
    );
    let found = found.fetch_all(&mut intruder(&path).await).await.unwrap();
    let plain = |column: &str| {
        column.ends_with("_id")
            || column.ends_with("digest")
            || column.ends_with("_check")
            || column.ends_with("replaces")
            // Digests of claims and their salts; signatures and entries of the log's seals.
            || column.starts_with("events.client_")
            || column.starts_with("audit_seals.")
            || column.starts_with("audit_exports.")
    };
    let sealed: Vec<_> =
        found.iter().filter(|column| !plain(column) && !LEFT.contains(&column.as_str())).collect();
    assert_eq!(sealed, crate::vault::columns(), "is it sealed? see `vault`");
}

/// R52: rows are sealed again with the newest key, step by step; the old key is not needed any more, and every state is
/// what it was. One row that was edited is named and does not stop the others.
#[tokio::test]
async fn everything_is_sealed_again_with_the_newest_key() {
    let (_folder, path) = folder();
    let random = SeededRandom::new(1);
    let users: Vec<_> = (0..7).map(|number| user("acme", &format!("u{number}"))).collect();
    let state = fixtures::user_with_totp(&random);
    let first = StoreUnderTest::sharing(open(&path, &[1]).await);
    first.create_tenant("acme").await;
    for user in &users {
        first.store_user(&random, user, &state).await;
    }
    drop(first);
    let edit = "UPDATE authenticators SET totp_digits = 8 WHERE user_id = 'u3'";
    sqlx::raw_sql(edit).execute(&mut intruder(&path).await).await.unwrap();

    let both = open(&path, &[1, 2]).await;
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
    drop(both);

    let last = StoreUnderTest::sharing(open(&path, &[2]).await);
    for (number, user) in users.iter().enumerate() {
        match last.users.load(user, None).await {
            Ok(loaded) => assert_eq!(loaded.unwrap().state, state),
            Err(_) => assert_eq!(number, 3),
        }
    }
    let keys =
        sqlx::query_scalar::<_, Vec<u8>>("SELECT totp_sealed_key FROM authenticators WHERE user_id <> 'u3'");
    for sealed in keys.fetch_all(&mut intruder(&path).await).await.unwrap() {
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
    UNION ALL SELECT sealed_reply FROM requests";

async fn sealed(path: &Path) -> Vec<Vec<u8>> {
    sqlx::query_scalar::<_, Vec<u8>>(SEALED).fetch_all(&mut intruder(path).await).await.unwrap()
}

/// R52, R50: each column is sealed again as what it is. Whatever users own is the same after a pass, and where the old key is
/// gone; every value, before and after, is under a nonce of its own.
#[tokio::test]
async fn each_column_is_sealed_again_as_what_it_is() {
    let (_folder, path) = folder();
    let random = SeededRandom::new(1);
    let users =
        ["ann", "bob"].map(|name| (user("acme", name), fixtures::user_with_everything_sealed(&random)));
    let first = StoreUnderTest::sharing(open(&path, &[1]).await);
    first.create_tenant("acme").await;
    for (user, state) in &users {
        let mut change = fixtures::change_set(&random, user, None, &UserState::default(), state);
        change.request = Some(fixtures::request_record(&random, user));
        first.done(change).await;
    }
    drop(first);
    let before = sealed(&path).await;
    assert_eq!(before.len(), 12);
    nonces_are_drawn(&before);

    let both = open(&path, &[1, 2]).await;
    let (mut from, mut done) = (Some(ResealFrom::default()), 0);
    while let Some(step) = from {
        let Resealed { resealed, broken, next } = both.reseal(step, 10).await.unwrap();
        assert_eq!(broken, []);
        (from, done) = (next, done + resealed);
    }
    assert_eq!(done, 10, "all but the answers");
    let after = sealed(&path).await;
    assert_eq!(after.iter().filter(|value| key_id_of(value) == Some(KeyId(2))).count(), 10);
    nonces_are_drawn(&after);
    drop(both);

    for keys in [&[1, 2][..], &[2]] {
        let store = StoreUnderTest::sharing(open(&path, keys).await);
        for (user, state) in &users {
            assert_eq!(store.load(user).await.state, *state, "{keys:?}");
        }
    }
}

/// R52: a key keeps the fingerprint that it came with, until it is forgotten.
#[tokio::test]
async fn a_key_keeps_its_fingerprint() {
    let (_folder, path) = folder();
    let store = open(&path, &[1]).await;
    let known = |check: u8| KnownKey { key: KeyId(4_294_967_295), check: [check; 32] };
    assert_eq!(store.know_keys(&[known(1)], START).await.unwrap(), [known(1)]);
    assert_eq!(store.know_keys(&[known(2)], START).await.unwrap(), [known(1)]);
    store.forget_key(known(1).key).await.unwrap();
    assert_eq!(store.know_keys(&[known(2)], START).await.unwrap(), [known(2)]);
}

/// R52: a value that names no root key may need one that must not be forgotten: it is told, and not left out.
#[tokio::test]
async fn a_value_that_names_no_key_is_told() {
    let (_folder, path) = folder();
    let store = open(&path, &[1]).await;
    let shared = StoreUnderTest::sharing(Arc::clone(&store));
    shared.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    shared.store_user(&random, &user("acme", "ann"), &fixtures::user_with_totp(&random)).await;
    assert_eq!(store.key_uses(START).await.unwrap().len(), 1);
    for value in ["01", "0100", "01000000"] {
        let edit = format!("UPDATE authenticators SET totp_sealed_key = x'{value}'");
        sqlx::raw_sql(sqlx::AssertSqlSafe(edit)).execute(&mut intruder(&path).await).await.unwrap();
        let told = store.key_uses(START).await;
        assert!(matches!(told, Err(StoreError::Corrupt { entity: "count of", .. })), "{value}: {told:?}");
    }
}

/// R64: a number that no column holds is refused, and not taken for none.
#[tokio::test]
async fn a_restore_refuses_a_number_that_it_cannot_keep() {
    let (_folder, path) = folder();
    let store = open(&path, &[1]).await;
    let id = uuid::Uuid::from_u128;
    let before = store.incarnation(id(1)).await.unwrap();
    let finished = store.finish_restore(id(2), u64::MAX).await;
    assert!(matches!(finished, Err(StoreError::Corrupt { .. })), "{finished:?}");
    assert_eq!(store.incarnation(id(3)).await.unwrap(), before);
}

/// R4, R29: whoever writes by hand cannot lower a consumed step, nor make a used code unused.
#[tokio::test]
async fn what_was_used_stays_used() {
    let (_folder, path) = folder();
    let store = StoreUnderTest::sharing(open(&path, &[1]).await);
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    store.store_user(&random, &user("acme", "ann"), &fixtures::user_with_totp(&random)).await;
    let mut by_hand = intruder(&path).await;
    let prepare = "UPDATE authenticators SET totp_last_step = 100;
        INSERT INTO recovery_sets VALUES ('acme', 'ann', zeroblob(16), 1);
        INSERT INTO recovery_codes VALUES ('acme', 'ann', 0, 1, zeroblob(32), 5);
        UPDATE recovery_codes SET digest_key = 2";
    sqlx::raw_sql(prepare).execute(&mut by_hand).await.unwrap();
    for edit in [
        "UPDATE authenticators SET totp_last_step = 99",
        "UPDATE recovery_codes SET used_time = NULL",
        "UPDATE recovery_codes SET used_time = 6",
    ] {
        assert!(sqlx::raw_sql(edit).execute(&mut by_hand).await.is_err(), "{edit}");
    }
}
