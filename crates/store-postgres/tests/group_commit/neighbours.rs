//! What one change lacks is told to its caller alone; those in the same batch are committed.

use crate::group::{Group, done};
use crate::support::{login, run};
use countersign_domain::event::EventType;
use countersign_domain::ids::{AuthenticatorId, Version};
use countersign_ports::{ChangeSet, Commit, StoreError, UserStore};
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::fixtures::{self, START, user};

/// A version that is not the expected one is a conflict for its caller; its neighbours in the batch are committed.
#[tokio::test]
async fn a_loser_does_not_abort_its_neighbours() {
    for group in Group::of_both(20).await {
        let stale = |number: usize| number % 5 == 2;
        let changes: Vec<_> =
            (0..20).map(|number| group.login(number, if stale(number) { 3 } else { 1 })).collect();
        let answers = group.commit(&changes).await;
        for (number, answer) in answers.into_iter().enumerate() {
            let expected = if stale(number) { Commit::Conflict } else { Commit::Done };
            assert_eq!(answer.unwrap(), expected, "user {number}");
            assert_eq!(group.is_committed(&changes[number]).await, expected == Commit::Done);
            assert_eq!(group.version(number).await, Some(Version(if stale(number) { 1 } else { 2 })));
        }
        assert!(group.store.group_stats().commits.largest >= 5, "they were together");
    }
}

/// R4: an authenticator that has seen a later step, or is gone, is a conflict for its caller alone.
#[tokio::test]
async fn a_used_step_is_a_conflict_for_its_caller_alone() {
    for group in Group::of_both(6).await {
        let mut changes = group.logins();
        run(
            &mut group.database.connect().await,
            "UPDATE authenticators SET totp_last_step = 8 WHERE user_id = 'user-2'",
        )
        .await;
        let gone = AuthenticatorId::at(START, group.random.bytes());
        let countersign_domain::change::Write::UseAuthenticator { id, .. } =
            &mut changes[4].users[0].writes[0]
        else {
            panic!("a login uses an authenticator");
        };
        *id = gone;
        let answers = group.commit(&changes).await;
        for (number, answer) in answers.into_iter().enumerate() {
            let lost = number == 2 || number == 4;
            assert_eq!(answer.unwrap(), if lost { Commit::Conflict } else { Commit::Done }, "user {number}");
            assert_eq!(group.is_committed(&changes[number]).await, !lost);
        }
    }
}

/// One user twice: the second one follows on the first, in the next batch, whatever it expects.
#[tokio::test]
async fn one_user_twice_is_committed_one_after_the_other() {
    for group in Group::of_both(2).await {
        let (user, state) = &group.users[0];
        let follows = login(&group.random, user, 2, state, 8);
        let late = login(&group.random, user, 1, state, 9);
        let changes = [group.login(0, 1), group.login(1, 1), follows, late];
        let answers: Vec<_> = group.commit(&changes).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, [Commit::Done, Commit::Done, Commit::Done, Commit::Conflict]);
        assert_eq!(group.version(0).await, Some(Version(3)));
    }
}

/// A value that no column takes fails its own caller; the others are committed, once.
#[tokio::test]
async fn one_bad_row_fails_alone() {
    for group in Group::of_both(20).await {
        let mut changes = group.logins();
        // PostgreSQL has no text with U+0000 in it, and says so in the middle of the statement.
        changes[13].events[0].trace_id = "\0".to_owned();
        // No column holds a time after the year 9999: known before anything is sent.
        changes[7].events[0].time = countersign_domain::time::Timestamp::from_unix_micros(i64::MAX);
        let answers = group.commit(&changes).await;
        for (number, answer) in answers.iter().enumerate() {
            if number == 13 || number == 7 {
                assert!(matches!(answer, Err(StoreError::Corrupt { .. })), "user {number}: {answer:?}");
            } else {
                assert!(done(answer), "user {number}: {answer:?}");
            }
            let version = if done(answer) { 2 } else { 1 };
            assert_eq!(group.version(number).await, Some(Version(version)), "user {number}");
        }
    }
}

/// R60: an answer to the same request, committed meanwhile by another node, is a conflict for its caller alone.
#[tokio::test]
async fn an_answered_request_is_a_conflict_for_its_caller_alone() {
    for group in Group::of_both(6).await {
        let mut changes = group.logins();
        for (change, (user, _)) in changes.iter_mut().zip(&group.users) {
            change.request = Some(fixtures::request_record(&group.random, user));
        }
        let telling = fixtures::event_only(&group.random, &group.users[5].0, EventType::LoginRefused);
        changes[5] = ChangeSet { request: changes[5].request.take(), ..telling };
        let other = group.database.store().await;
        for number in [3, 5] {
            let told = fixtures::event_only(&group.random, &group.users[number].0, EventType::LoginRefused);
            let answered = ChangeSet { request: changes[number].request.clone(), ..told };
            assert_eq!(other.commit(answered).await.unwrap(), Commit::Done);
        }
        let answers = group.commit(&changes).await;
        for (number, answer) in answers.into_iter().enumerate() {
            let lost = number == 3 || number == 5;
            assert_eq!(answer.unwrap(), if lost { Commit::Conflict } else { Commit::Done }, "user {number}");
            assert_eq!(group.is_committed(&changes[number]).await, !lost);
        }
    }
}

/// A change that changes no user needs its tenant, and lacks it alone.
#[tokio::test]
async fn a_missing_tenant_is_told_to_its_caller_alone() {
    let group = Group::of(4).await;
    let mut changes = group.logins();
    let nobody = user("gone", "ann");
    changes.push(fixtures::event_only(&group.random, &nobody, EventType::LoginRefused));
    changes.push(fixtures::event_only(&group.random, &group.users[0].0, EventType::LoginRefused));
    let answers = group.commit(&changes).await;
    for (number, answer) in answers.iter().enumerate() {
        match number {
            4 => assert!(matches!(answer, Err(StoreError::TenantMissing)), "{answer:?}"),
            _ => assert!(done(answer), "{number}: {answer:?}"),
        }
    }
}

/// R36, R55: what a deleted tenant owned stays until it is swept, and is changed by nobody: neither at its version nor at
/// another one. Those who log in beside it notice nothing.
#[tokio::test]
async fn a_user_of_a_deleted_tenant_is_refused_alone() {
    for mut group in Group::of_both(6).await {
        let suite = StoreUnderTest::new(group.database.store().await);
        suite.create_tenant("ended").await;
        for name in ["ann", "bob"] {
            let (user, state) = (user("ended", name), fixtures::user_with_totp(&group.random));
            suite.store_user(&group.random, &user, &state).await;
            group.users.push((user, state));
        }
        let end = "UPDATE tenants SET policy_revision = NULL, delete_time = now() WHERE tenant_id = 'ended'";
        run(&mut group.database.connect().await, end).await;
        let mut changes = group.logins();
        changes[7] = group.login(7, 2);
        let answers = group.commit(&changes).await;
        for (number, answer) in answers.iter().enumerate() {
            match number {
                6 | 7 => assert!(matches!(answer, Err(StoreError::TenantMissing)), "{answer:?}"),
                _ => assert!(done(answer), "{number}: {answer:?}"),
            }
            assert_eq!(group.is_committed(&changes[number]).await, number < 6);
        }
        let versions = "SELECT version FROM users WHERE tenant_id = 'ended'";
        let versions = sqlx::query_scalar::<_, i64>(versions);
        assert_eq!(versions.fetch_all(&mut group.database.connect().await).await.unwrap(), [1, 1]);
    }
}

/// R49: an id whose answer has expired is answered anew, and those who come at the same time are answered too.
#[tokio::test]
async fn an_expired_answer_gives_way_and_holds_up_nobody() {
    for group in Group::of_both(6).await {
        let mut earlier = group.logins();
        for (change, (user, _)) in earlier.iter_mut().zip(&group.users) {
            change.request = Some(fixtures::request_record(&group.random, user));
        }
        assert!(group.commit(&earlier).await.iter().all(done));
        let mut database = group.database.connect().await;
        // Expired for whoever decides now: the changes are decided at `START`.
        run(
            &mut database,
            "UPDATE requests SET expire_time = '2001-01-01' WHERE user_id IN ('user-2', 'user-4')",
        )
        .await;
        let again = |number: usize| {
            let mut change = group.login(number, 2);
            change.request = match number {
                2 | 4 => earlier[number].request.clone(),
                _ => Some(fixtures::request_record(&group.random, &group.users[number].0)),
            };
            change
        };
        let changes: Vec<_> = (0..6).map(again).collect();
        assert!(group.commit(&changes).await.iter().all(done));
        let current =
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM requests WHERE expire_time > '2001-01-01'");
        assert_eq!(current.fetch_one(&mut database).await.unwrap(), 10);
    }
}
