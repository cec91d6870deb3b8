//! The file: opened again, opened twice, refused.

use super::{folder, intruder, keyring, open};
use crate::SqliteStore;
use countersign_domain::user::UserState;
use countersign_ports::{Commit, StoreError};
use countersign_testkit::SeededRandom;
use countersign_testkit::fixtures::{self, user};
use countersign_testkit::generate::Generator;
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinSet;

/// R61: what was acknowledged is there when the file is opened again, all of it.
#[tokio::test]
async fn a_store_that_is_opened_again_knows_everything() {
    let (_folder, path) = folder();
    let draw = Generator::new(1);
    let ann = user("acme", "ann");
    let state = draw.state();
    let store = open(&path, 1).await;
    store.create_tenant("acme").await;
    store.store_user(draw.random(), &ann, &state).await;
    let events = store.settled_events(draw.random(), &ann.tenant).await;
    drop(store);

    let store = open(&path, 1).await;
    assert_eq!(store.load(&ann).await.state, state);
    // The marker of the first reading stands behind them.
    let again = store.settled_events(draw.random(), &ann.tenant).await;
    assert_eq!(again[..events.len()], events);
    // Positions go on where they were: nothing new stands before something old.
    assert_eq!(again.len(), events.len() + 1);
}

/// R68: eight processes that open a new file at the same moment all find its schema, and one tenant is created once.
#[tokio::test(flavor = "multi_thread")]
async fn stores_that_open_at_once_agree() {
    let (_folder, path) = folder();
    let mut opening = JoinSet::new();
    for _ in 0..8 {
        let path = path.clone();
        opening.spawn(async move { open(&path, 1).await });
    }
    let stores = opening.join_all().await;
    let mut creating = JoinSet::new();
    for (seed, store) in (0..).zip(stores) {
        let record =
            fixtures::tenant_record(&fixtures::tenant("acme"), countersign_domain::policy::Preset::ALL[0]);
        let change = fixtures::policy_change(&SeededRandom::new(seed), &record);
        creating.spawn(async move {
            store.policies.put_policy(record, change, countersign_ports::Tell::Nobody).await.unwrap()
        });
    }
    let answers = creating.join_all().await;
    assert_eq!(answers.iter().filter(|answer| **answer == Commit::Done).count(), 1);
}

/// R4, R5: the guards hold between two processes on one file as they do within one.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_file_commit_one_version_once() {
    let (_folder, path) = folder();
    let (one, two) = (open(&path, 1).await, open(&path, 1).await);
    one.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let mut tasks = JoinSet::new();
    for number in 0..32 {
        let change = fixtures::change_set(
            &random,
            &ann,
            None,
            &UserState::default(),
            &fixtures::user_with_totp(&random),
        );
        let users = Arc::clone(if number % 2 == 0 { &one.users } else { &two.users });
        tasks.spawn(async move { users.commit(change).await.unwrap() });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| **answer == Commit::Done).count(), 1);
    assert_eq!(one.load(&ann).await, two.load(&ann).await);
}

/// R63: a path where no database can be is a failure with a cause, not a panic.
#[tokio::test]
async fn a_path_that_cannot_be_opened_is_unavailable() {
    let (folder, _) = folder();
    let not_a_database = folder.path().join("text");
    std::fs::write(&not_a_database, [7; 8_192]).unwrap();
    for path in [folder.path(), Path::new("/nowhere/at/all.db"), &not_a_database] {
        let opened = SqliteStore::open(path, keyring(1), Arc::new(SeededRandom::new(1))).await;
        assert!(matches!(opened, Err(StoreError::Unavailable(_))), "{}", path.display());
    }
}

/// R51: the file and its log are readable by their owner alone.
#[cfg(unix)]
#[tokio::test]
async fn the_files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, path) = folder();
    let store = open(&path, 1).await;
    store.create_tenant("acme").await;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

/// R63: a database that fails under a running store refuses, and the store serves again when it is back.
#[tokio::test]
async fn a_store_outlives_a_failure_of_its_database() {
    let (_folder, path) = folder();
    let store = open(&path, 1).await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let mut change =
        fixtures::change_set(&random, &ann, None, &UserState::default(), &fixtures::user_with_totp(&random));
    sqlx::raw_sql("ALTER TABLE events RENAME TO elsewhere")
        .execute(&mut intruder(&path).await)
        .await
        .unwrap();
    let refused = store.users.commit(change.clone()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    sqlx::raw_sql("ALTER TABLE elsewhere RENAME TO events")
        .execute(&mut intruder(&path).await)
        .await
        .unwrap();
    assert_eq!(store.load(&ann).await.version, None, "nothing of the refused commit is there");
    change.events[0].trace_id = "again".to_owned();
    store.done(change).await;
}
