//! Commits that meet: exactly one wins where only one may, and nobody else notices.

use super::guards::{used, user_with_codes};
use super::{StoreUnderTest, soon};
use crate::SeededRandom;
use crate::fixtures::{self, START, user};
use countersign_domain::ids::Version;
use countersign_domain::user::UserState;
use countersign_ports::{ChangeSet, Commit, StoreError};
use std::sync::Arc;
use tokio::task::JoinSet;

/// R4, R5: 64 commits at one version make one success, and every other leaves nothing behind; the commits of other
/// users in between all succeed.
pub async fn of_concurrent_commits_at_one_version_exactly_one_wins(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let old = fixtures::user_with_totp(&random);
    store.store_user(&random, &ann, &old).await;

    let mut changes = Vec::new();
    for step in 1..=64 {
        changes.push(fixtures::change_set(&random, &ann, Some(Version(1)), &old, &used(&old, step)));
        if step % 4 == 0 {
            let other = user("acme", &format!("other-{step}"));
            changes.push(fixtures::change_set(&random, &other, None, &UserState::default(), &old));
        }
    }
    let answers = all_at_once(&store, changes.clone()).await;

    let mut winner = None;
    for (change, answer) in changes.iter().zip(answers) {
        let answer = answer.expect("the store answers");
        let event = change.events[0].id;
        assert_eq!(store.is_committed(&tenant, event).await, answer == Commit::Done);
        if change.users[0].user != ann {
            assert_eq!(answer, Commit::Done, "another user's commit");
        } else if answer == Commit::Done {
            assert_eq!(winner.replace(event), None, "a second winner");
        }
    }
    let winner = winner.expect("one winner");
    let position = changes.iter().filter(|change| change.users[0].user == ann);
    let position =
        position.into_iter().position(|change| change.events[0].id == winner).expect("it is there");
    let loaded = store.load(&ann).await;
    assert_eq!(loaded.version, Some(Version(2)));
    assert_eq!(loaded.state, used(&old, position as u64 + 1));
    let events = store.settled_events(&random, &tenant).await;
    assert_eq!(events.len(), 1 + 1 + 1 + 16, "tenant, user, winner and 16 others");
}

/// R29, B28: a recovery code used by 16 at the same moment is used once.
pub async fn of_concurrent_uses_of_one_recovery_code_exactly_one_wins(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let old = user_with_codes(&random);
    store.store_user(&random, &ann, &old).await;
    let mut next = old.clone();
    next.recovery.as_mut().expect("codes").codes[2].used_time = Some(START);
    let change = |_| fixtures::change_set(&random, &ann, Some(Version(1)), &old, &next);
    let answers = all_at_once(&store, (0..16).map(change).collect()).await;
    assert_eq!(wins(answers), 1);
    assert_eq!(store.load(&ann).await.state, next);
}

/// Users do not stand in each other's way: 200 at once all succeed, each with its own state.
pub async fn concurrent_commits_of_different_users_all_win(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let users: Vec<_> = (0..200).map(|number| user("acme", &format!("user-{number}"))).collect();
    let states: Vec<_> = users.iter().map(|_| fixtures::user_with_totp(&random)).collect();
    let changes = users.iter().zip(&states);
    let changes = changes
        .map(|(user, state)| fixtures::change_set(&random, user, None, &UserState::default(), state))
        .collect();
    assert_eq!(wins(all_at_once(&store, changes).await), 200);
    for (user, state) in users.iter().zip(&states) {
        assert_eq!(store.load(user).await.state, *state);
    }
}

/// R66: change sets that name two users in opposite order end, one of each pair as the winner, and none as an error.
pub async fn opposite_pairs_of_users_never_block_each_other_for_good(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let old = fixtures::user_with_totp(&random);
    let mut changes = Vec::new();
    for pair in 0..20 {
        let (one, two) = (user("acme", &format!("one-{pair}")), user("acme", &format!("two-{pair}")));
        store.store_user(&random, &one, &old).await;
        store.store_user(&random, &two, &old).await;
        for (first, second) in [(&one, &two), (&two, &one)] {
            let next = used(&old, 5);
            let mut change = fixtures::change_set(&random, first, Some(Version(1)), &old, &next);
            change.users.push(fixtures::user_change(second, Some(Version(1)), &old, &next));
            changes.push(change);
        }
    }
    assert_eq!(wins(all_at_once(&store, changes).await), 20);
}

/// R17: callers who leave while their commit is under way harm nobody beside them, and what they began is whole or
/// not there.
pub async fn a_caller_who_leaves_undoes_nothing_of_others(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let state = fixtures::user_with_totp(&random);
    let change = |name: String| {
        fixtures::change_set(&random, &user("acme", &name), None, &UserState::default(), &state)
    };
    let leaving: Vec<_> = (0..50).map(|number| change(format!("leaving-{number}"))).collect();
    let staying: Vec<_> = (0..50).map(|number| change(format!("staying-{number}"))).collect();
    let mut left = Vec::new();
    for change in leaving.clone() {
        let users = Arc::clone(&store.users);
        left.push(tokio::spawn(async move { users.commit(change).await }));
    }
    let stayed = tokio::spawn({
        let (store, staying) = (store.clone(), staying.clone());
        async move { all_at_once(&store, staying).await }
    });
    for task in &left {
        tokio::task::yield_now().await;
        task.abort();
    }
    let answers = soon("the commits of those who stay", stayed).await.expect("no commit panics");
    assert_eq!(wins(answers), 50);
    for task in left {
        // Whether it was in time is chance.
        drop(task.await);
    }
    for change in leaving {
        // A store may still be at it, so what is seen first must be seen ever after.
        let event = change.events[0].id;
        let before = store.is_committed(&tenant, event).await;
        let loaded = store.load(&change.users[0].user).await;
        let after = store.is_committed(&tenant, event).await;
        assert!(before <= loaded.version.is_some() && loaded.version.is_some() <= after);
        assert_eq!(loaded.state, if loaded.version.is_some() { state.clone() } else { UserState::default() });
    }
}

/// Commits all change sets from tasks of their own, and gives the answers in the order of the change sets.
pub(super) async fn all_at_once(
    store: &StoreUnderTest,
    changes: Vec<ChangeSet>,
) -> Vec<Result<Commit, StoreError>> {
    let mut tasks = JoinSet::new();
    for (number, change) in changes.into_iter().enumerate() {
        let users = Arc::clone(&store.users);
        tasks.spawn(async move { (number, users.commit(change).await) });
    }
    let mut answers = soon("concurrent commits", tasks.join_all()).await;
    answers.sort_by_key(|(number, _)| *number);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// How many were committed; none may have failed.
pub(super) fn wins(answers: Vec<Result<Commit, StoreError>>) -> usize {
    answers.into_iter().filter(|answer| *answer.as_ref().expect("the store answers") == Commit::Done).count()
}
