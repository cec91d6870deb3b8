//! Callers, sessions and stores that go in the middle, and a queue that is full.

use crate::group::{Group, answers, done, eventually};
use crate::support::run;
use countersign_domain::event::EventType;
use countersign_ports::{StoreError, UserStore};
use countersign_testkit::fixtures;
use std::sync::Arc;

/// R17: what callers who leave have handed over is committed all the same, before what comes after.
#[tokio::test]
async fn callers_who_leave_take_nothing_back() {
    let group = Group::of(12).await;
    let changes = group.logins();
    let mut blocker = group.blocker("users").await;
    let tasks: Vec<_> = changes.iter().map(|change| group.begin(change.clone())).collect();
    group.waiting_sessions(1).await;
    for task in &tasks {
        task.abort();
    }
    for task in tasks {
        assert!(task.await.unwrap_err().is_cancelled());
    }
    run(&mut blocker, "ROLLBACK").await;
    // The next change of each user waits until the one before it is through, so that this needs no waiting.
    let next: Vec<_> = (0..12).map(|number| group.login(number, 2)).collect();
    assert!(group.commit(&next).await.iter().all(done));
    for change in &changes {
        assert!(group.is_committed(change).await);
    }
}

/// R60: a session that ends in mid-batch leaves the outcome open for all in it, nothing of it is there, and the next
/// batch works.
#[tokio::test]
async fn a_session_lost_in_mid_batch_leaves_every_outcome_open() {
    let group = Group::of(10).await;
    let changes = group.logins();
    let mut blocker = group.blocker("users").await;
    let tasks: Vec<_> = changes.iter().map(|change| group.begin(change.clone())).collect();
    let lost = tokio::spawn(answers(tasks));
    let mut observer = group.database.connect().await;
    while !lost.is_finished() {
        // A lone first one may have gone ahead of the others, so whoever waits is ended until all are answered.
        run(
            &mut observer,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .await;
        tokio::task::yield_now().await;
    }
    for answer in lost.await.unwrap() {
        assert!(matches!(answer, Err(StoreError::OutcomeUnknown(_))), "{answer:?}");
    }
    run(&mut blocker, "ROLLBACK").await;
    for change in &changes {
        assert!(!group.is_committed(change).await);
    }
    assert!(group.commit(&changes).await.iter().all(done));
}

/// R66: as many as the queue holds wait; whoever comes then is refused at once, and nobody else is harmed.
#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let group = Group::of(1).await;
    let ann = &group.users[0].0;
    let mut blocker = group.blocker("events").await;
    let changes: Vec<_> =
        (0..6_000).map(|_| fixtures::event_only(&group.random, ann, EventType::LoginRefused)).collect();
    let mut tasks: Vec<_> = changes.iter().map(|change| group.begin(change.clone())).collect();
    // While nothing can be committed, whoever has an answer was refused.
    let last = answers(vec![tasks.pop().unwrap()]).await.remove(0);
    assert!(matches!(last, Err(StoreError::Unavailable(_))), "{last:?}");
    run(&mut blocker, "ROLLBACK").await;
    let answers = answers(tasks).await;
    let refused = answers.iter().filter(|answer| matches!(answer, Err(StoreError::Unavailable(_)))).count();
    assert_eq!(answers.iter().filter(|answer| done(answer)).count() + refused, answers.len());
    assert!((4_096..=4_096 + 2 * 512).contains(&(answers.len() - refused)), "{refused} were refused");
    assert_eq!(group.store.group_stats().commits.refused, refused as u64 + 1);
    for (change, answer) in changes.iter().zip(&answers).step_by(97) {
        assert_eq!(group.is_committed(change).await, done(answer));
    }
}

/// R67: a store that is dropped commits what it was handed.
#[tokio::test]
async fn a_dropped_store_commits_what_it_was_handed() {
    let group = Group::of(10).await;
    let changes = group.logins();
    let mut blocker = group.blocker("users").await;
    let tasks: Vec<_> = changes.iter().map(|change| group.begin(change.clone())).collect();
    group.waiting_sessions(1).await;
    for task in tasks {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    let Group { database, store, .. } = group;
    drop(Arc::try_unwrap(store).expect("nobody else has the store"));
    run(&mut blocker, "ROLLBACK").await;
    let other = database.store().await;
    for change in &changes {
        eventually("the change is committed", async || {
            other.is_committed(&change.tenant, change.events[0].id).await.unwrap().then_some(())
        })
        .await;
    }
}
