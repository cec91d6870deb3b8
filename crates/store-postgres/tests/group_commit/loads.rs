//! Loads that come together: each caller gets its own user, or its own trouble.

use crate::group::Group;
use crate::support::run;
use countersign_domain::ids::{UserRef, Version};
use countersign_domain::user::UserState;
use countersign_ports::{Commit, Loaded, RequestKey, StoreError, UserStore};
use countersign_store_postgres::PostgresOptions;
use countersign_testkit::fixtures::{self, user};
use sqlx::Executor;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Loads that come together share statements, and each caller gets its own user: stored or not, of this tenant or that,
/// with the answer to its own request.
#[tokio::test]
async fn loads_that_come_together_are_each_answered_right() {
    let group = Group::of(30).await;
    let mut answered = group.login(3, 1);
    let request = fixtures::request_record(&group.random, &group.users[3].0);
    answered.request = Some(request.clone());
    assert_eq!(group.store.commit(answered).await.unwrap(), Commit::Done);
    let before = group.store.group_stats().loads;

    let load = |user: UserRef, key: Option<RequestKey>| {
        let store = Arc::clone(&group.store);
        tokio::spawn(async move { store.load(&user, key.as_ref()).await.unwrap() })
    };
    let stored: Vec<_> = group.users.iter().map(|(user, _)| load(user.clone(), None)).collect();
    let asked = load(group.users[3].0.clone(), Some(request.key.clone()));
    let twice = load(group.users[5].0.clone(), Some(request.key.clone()));
    let never_stored = load(user("acme", "nobody"), None);
    let no_tenant = load(user("gone", "user-1"), None);

    for (number, task) in stored.into_iter().enumerate() {
        let loaded = task.await.unwrap().unwrap();
        let (_, state) = &group.users[number];
        assert_eq!(loaded.version, Some(Version(if number == 3 { 2 } else { 1 })));
        assert_eq!(loaded.state.authenticators[0].id, state.authenticators[0].id, "user {number}");
        assert_eq!(loaded.earlier, None);
    }
    assert_eq!(asked.await.unwrap().unwrap().earlier, Some(request.clone()));
    assert_eq!(twice.await.unwrap().unwrap().earlier, Some(request), "whoever asks by its key gets it");
    let nobody = never_stored.await.unwrap().unwrap();
    assert_eq!((nobody.version, nobody.state), (None, UserState::default()));
    assert_eq!(no_tenant.await.unwrap(), None);
    let after = group.store.group_stats().loads;
    assert_eq!(after.calls - before.calls, 34);
    assert!(after.batches - before.batches <= 8, "{after:?}");
}

/// Loads all users of the group at the same time, each in a task of its own; in their order.
async fn load_together(group: &Group) -> Vec<Result<Option<Loaded>, StoreError>> {
    let load = |user: UserRef| {
        let store = Arc::clone(&group.store);
        tokio::spawn(async move { store.load(&user, None).await })
    };
    let tasks: Vec<_> = group.users.iter().map(|(user, _)| load(user.clone())).collect();
    futures::future::join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

/// R50: a row that somebody edited is found by whoever loads it; those who load beside it notice nothing.
#[tokio::test]
async fn a_corrupt_user_fails_alone_among_loads() {
    let group = Group::of(10).await;
    let attack = "UPDATE authenticators SET totp_sealed_key = '\\x00' WHERE user_id = 'user-4'";
    run(&mut group.database.connect().await, attack).await;
    for (number, loaded) in load_together(&group).await.into_iter().enumerate() {
        match number {
            4 => assert!(matches!(loaded, Err(StoreError::SealBroken { .. })), "{loaded:?}"),
            _ => assert!(loaded.unwrap().is_some(), "user {number}"),
        }
    }
}

/// R48, R50: a time that no calendar has makes the library panic that reads it. It is of its user alone, too.
#[tokio::test]
async fn a_time_beyond_all_calendars_fails_alone_among_loads() {
    let group = Group::of(10).await;
    let edit = "UPDATE users SET locked_until = 'infinity' WHERE user_id = 'user-4'";
    run(&mut group.database.connect().await, edit).await;
    for (number, loaded) in load_together(&group).await.into_iter().enumerate() {
        match number {
            4 => assert!(matches!(loaded, Err(StoreError::Corrupt { .. })), "{loaded:?}"),
            _ => assert!(loaded.unwrap().is_some(), "user {number}"),
        }
    }
    // Who is loaded alone as well.
    let options = PostgresOptions { group_commit: false, ..group.database.options() };
    let store = group.database.store_with(options).await.unwrap();
    let loaded = store.load(&group.users[4].0, None).await;
    assert!(matches!(loaded, Err(StoreError::Corrupt { .. })), "{loaded:?}");
    assert!(store.load(&group.users[3].0, None).await.unwrap().is_some());
}

/// R63: loads whose session ends are refused, and the next ones work.
#[tokio::test]
async fn loads_whose_session_ends_are_refused() {
    let group = Group::of(6).await;
    let mut blocker = group.blocker("users").await;
    let load = |user: UserRef| {
        let store = Arc::clone(&group.store);
        tokio::spawn(async move { store.load(&user, None).await })
    };
    let tasks: Vec<_> = group.users.iter().map(|(user, _)| load(user.clone())).collect();
    let mut observer = group.database.connect().await;
    while !tasks.iter().all(JoinHandle::is_finished) {
        run(
            &mut observer,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .await;
        tokio::task::yield_now().await;
    }
    for task in tasks {
        let loaded = task.await.unwrap();
        assert!(matches!(loaded, Err(StoreError::Unavailable(_))), "{loaded:?}");
    }
    run(&mut blocker, "ROLLBACK").await;
    assert_eq!(group.version(0).await, Some(Version(1)));
}

/// R66: loads that the server ends because they and a migration wait for each other are done once more, shared or not.
#[tokio::test]
async fn loads_survive_a_deadlock() {
    for (size, shared) in [(1, true), (6, true), (1, false)] {
        let group = Group::of(size).await;
        let options = PostgresOptions { group_commit: shared, ..group.database.options() };
        let store = Arc::new(group.database.store_with(options).await.unwrap());
        let mut migration = group.database.connect().await;
        run(&mut migration, "BEGIN").await;
        // So that a load is the one that is ended; if it is not, it has nothing to survive.
        run(&mut migration, "SET LOCAL deadlock_timeout = '10s'").await;
        run(&mut migration, "LOCK TABLE authenticators IN ACCESS EXCLUSIVE MODE").await;
        let load = |user: UserRef| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.load(&user, None).await })
        };
        let tasks: Vec<_> = group.users.iter().map(|(user, _)| load(user.clone())).collect();
        group.waiting_sessions(1).await;
        let _ = migration.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE").await;
        run(&mut migration, "ROLLBACK").await;
        for task in tasks {
            assert!(task.await.unwrap().unwrap().is_some(), "among {size}, shared: {shared}");
        }
    }
}
