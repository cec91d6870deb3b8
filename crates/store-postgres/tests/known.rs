//! B48: who is known, where the version before writes beside this one, and where nobody has counted.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use countersign_domain::coverage::{Facts, FactsAt};
use countersign_domain::ids::Epoch;
use countersign_domain::user::{DirectoryEntry, UserState};
use countersign_ports::UserQuery;
use countersign_testkit::SeededRandom;
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::fixtures::{self, START, tenant, user};
use support::run;

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

/// R68: whom this version erased is a user again when the version before puts or enrolls them, although it does not say so;
/// and stays counted where it writes of nobody, until users are counted anew.
#[tokio::test]
async fn the_version_before_makes_users_known() {
    let (store, database) = support::fresh().await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    for name in ["enrolled", "put", "nobody"] {
        let erased = UserState { epoch: Epoch(1), ..UserState::default() };
        store.store_user(&random, &user("acme", name), &erased).await;
    }
    assert_eq!(known(&store).await, [""; 0]);

    let mut before = database.connect().await;
    let put = "INSERT INTO directory_users (tenant_id, user_id, entry) VALUES ('acme', 'put', '{}')";
    run(&mut before, put).await;
    assert_eq!(known(&store).await, ["put"]);
    run(&mut before, "UPDATE users SET is_on = true WHERE user_id = 'enrolled'").await;
    assert_eq!(known(&store).await, ["enrolled", "put"]);
    run(
        &mut before,
        "INSERT INTO users (tenant_id, user_id, version, epoch, is_on, consecutive_failures, failure_times, must_enroll)
        VALUES ('acme', 'typo', 1, 1, false, 0, '{}', false)",
    )
    .await;
    assert_eq!(known(&store).await, ["enrolled", "put", "typo"]);
    run(&mut before, "SELECT user_tallies_recount()").await;
    assert_eq!(known(&store).await, ["enrolled", "put"]);
}

/// B48: whoever restores with triggers switched off counts anew, and finds out anew who is known.
#[tokio::test]
async fn a_recount_finds_out_who_is_known() {
    let (store, database) = support::fresh().await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    store.store_user(&random, &user("acme", "ann"), &fixtures::user_with_totp(&random)).await;
    let off = UserState { state_since: Some(START), ..UserState::default() };
    store.store_user(&random, &user("acme", "bob"), &off).await;
    let erased = UserState { epoch: Epoch(1), ..UserState::default() };
    store.store_user(&random, &user("acme", "cat"), &erased).await;
    let mut owner = database.connect().await;
    for is_known in ["true", "false"] {
        run(
            &mut owner,
            format!(
                "SET session_replication_role = replica;
                UPDATE users SET is_known = {is_known};
                RESET session_replication_role;
                SELECT user_tallies_recount()"
            ),
        )
        .await;
        assert_eq!(known(&store).await, ["ann", "bob"]);
    }
}

/// B48: of the rows that were there before, the migration finds out whose are nobody's, and takes them from the counts.
#[tokio::test]
async fn the_migration_finds_out_who_is_known() {
    let (store, database) = support::fresh().await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let erased = UserState { epoch: Epoch(1), ..UserState::default() };
    let put = UserState { directory: Some(DirectoryEntry::default()), ..erased.clone() };
    for (name, state) in [("ann", fixtures::user_with_totp(&random)), ("bob", put), ("cat", erased)] {
        store.store_user(&random, &user("acme", name), &state).await;
    }
    let mut before = database.connect().await;
    run(&mut before, "UPDATE users SET is_known = true").await;
    assert_eq!(known(&store).await, ["ann", "bob", "cat"]);
    run(
        &mut before,
        "DELETE FROM _sqlx_migrations WHERE version BETWEEN 17 AND 19;
        DROP TRIGGER users_tally_known ON users;
        DROP TRIGGER directory_users_known ON directory_users;
        DROP FUNCTION directory_user_is_known(), users_know_anew(), user_is_known(users);
        DROP INDEX authenticators_disabled;
        ALTER TABLE users DROP COLUMN is_known",
    )
    .await;
    countersign_store_postgres::migrate(&database.url()).await.unwrap();
    assert_eq!(known(&store).await, ["ann", "bob"]);
}
