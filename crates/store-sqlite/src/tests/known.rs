//! B48: who is known, where the version before was there before this one or writes beside it.

use super::{folder, intruder, open};
use countersign_domain::coverage::{Facts, FactsAt};
use countersign_domain::ids::Epoch;
use countersign_domain::user::UserState;
use countersign_ports::UserQuery;
use countersign_testkit::SeededRandom;
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::fixtures::{START, tenant, user};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor};

/// The last migration of the version before.
const BEFORE: i64 = 12;

/// Whom the list names, after seeing that as many are counted.
async fn known(store: &StoreUnderTest) -> Vec<String> {
    let query = UserQuery {
        tenant: tenant("acme"),
        at: FactsAt { groups: Vec::new(), grace_cutoff: START },
        facts: Facts::all().collect(),
        team: None,
        locked_at: None,
        after: None,
        limit: 100,
    };
    let listed = store.queries.list(&query).await.unwrap();
    let counts = store.queries.count(&query.tenant, &query.at, None).await.unwrap();
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), listed.len() as u64);
    listed.iter().map(|user| user.as_str().to_owned()).collect()
}

/// B48: of the rows that were there before, the migration finds out whose are nobody's, and takes them from the counts.
#[tokio::test]
async fn the_migration_finds_out_who_is_known() {
    let (_folder, path) = folder();
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut before = options.connect().await.unwrap();
    sqlx::migrate!().run_direct(Some(BEFORE), &mut before, false).await.unwrap();
    let rows = "INSERT INTO tenants (tenant_id) VALUES ('acme');
        INSERT INTO users (
            tenant_id, user_id, version, epoch, is_on, state_since, consecutive_failures, failure_times,
            grace_started, must_enroll
        ) VALUES
            ('acme', 'erased', 1, 1, 0, NULL, 0, '[]', NULL, 0),
            ('acme', 'grace', 1, 0, 0, NULL, 0, '[]', 5, 0),
            ('acme', 'must', 1, 0, 0, NULL, 0, '[]', NULL, 1),
            ('acme', 'on', 1, 0, 1, 5, 0, '[]', NULL, 0),
            ('acme', 'put', 1, 1, 0, NULL, 0, '[]', NULL, 0),
            ('acme', 'was-on', 1, 0, 0, 5, 0, '[]', NULL, 0);
        INSERT INTO directory_users (tenant_id, user_id, entry) VALUES ('acme', 'put', '{}')";
    before.execute(rows).await.unwrap();
    drop(before);
    let store = open(&path, 1).await;
    assert_eq!(known(&store).await, ["grace", "must", "on", "put", "was-on"]);
}

/// R68: whom this version erased is a user again when the version before puts or enrolls them, or begins their grace period,
/// although it does not say so.
#[tokio::test]
async fn the_version_before_makes_users_known() {
    let (_folder, path) = folder();
    let store = open(&path, 1).await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    for name in ["enrolled", "grace", "must", "nobody", "put"] {
        let erased = UserState { epoch: Epoch(1), ..UserState::default() };
        store.store_user(&random, &user("acme", name), &erased).await;
    }
    assert_eq!(known(&store).await, [""; 0]);

    let mut before = intruder(&path).await;
    let mut expected = Vec::new();
    for (name, write) in [
        ("enrolled", "UPDATE users SET is_on = 1, state_since = 5 WHERE user_id = 'enrolled'"),
        ("grace", "UPDATE users SET grace_started = 5 WHERE user_id = 'grace'"),
        ("must", "UPDATE users SET must_enroll = 1 WHERE user_id = 'must'"),
        ("put", "INSERT INTO directory_users (tenant_id, user_id, entry) VALUES ('acme', 'put', '{}')"),
    ] {
        before.execute(write).await.unwrap();
        expected.push(name);
        assert_eq!(known(&store).await, expected);
    }
    before.execute("UPDATE users SET epoch = 2, version = 2 WHERE user_id = 'nobody'").await.unwrap();
    assert_eq!(known(&store).await, expected, "an erasure makes nobody known");
}
