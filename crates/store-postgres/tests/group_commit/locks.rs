//! Rows that somebody else holds or moves, and stores that want the same users: nobody is held up who need not be.

use crate::group::{Group, answers, done};
use crate::states::holding;
use crate::support::run;
use countersign_domain::ids::{UserRef, Version};
use countersign_domain::user::UserState;
use countersign_keyring::SealedColumn;
use countersign_ports::{Commit, ResealFrom, Vault};
use countersign_testkit::fixtures;
use std::sync::Arc;

/// R66: a user whose row somebody else has locked holds up nobody who comes at the same time, nor after.
#[tokio::test]
async fn a_locked_user_holds_up_nobody_else() {
    for group in Group::of_both(8).await {
        let mut blocker = group.database.connect().await;
        run(&mut blocker, "BEGIN").await;
        run(&mut blocker, "SELECT FROM users WHERE user_id = 'user-0' FOR UPDATE").await;
        let locked = group.begin(group.login(0, 1));
        let others: Vec<_> = (1..8).map(|number| group.login(number, 1)).collect();
        assert!(group.commit(&others).await.iter().all(done));
        group.waiting_sessions(1).await;
        let later: Vec<_> = (1..8).map(|number| group.login(number, 2)).collect();
        assert!(group.commit(&later).await.iter().all(done));
        assert!(!locked.is_finished());
        run(&mut blocker, "ROLLBACK").await;
        assert!(done(&answers(vec![locked]).await[0]));
        assert_eq!(group.version(0).await, Some(Version(2)));
    }
}

/// R4: an authenticator whose row somebody moves without the lock of its user, as nobody should, is used up all the same.
#[tokio::test]
async fn a_row_that_moved_is_used_all_the_same() {
    for group in Group::of_both(8).await {
        let mut mover = group.database.connect().await;
        run(&mut mover, "BEGIN").await;
        run(&mut mover, "UPDATE authenticators SET display_name = display_name WHERE user_id = 'user-0'")
            .await;
        let logins: Vec<_> = group.logins().into_iter().map(|login| group.begin(login)).collect();
        group.waiting_sessions(1).await;
        run(&mut mover, "COMMIT").await;
        assert!(answers(logins).await.iter().all(done));
        let steps = sqlx::query_scalar::<_, i64>("SELECT totp_last_step FROM authenticators");
        let steps = steps.fetch_all(&mut group.database.connect().await).await.unwrap();
        assert_eq!(steps, [7; 8]);
    }
}

/// R4: the same for a challenge and a remembered client that a change takes away: neither is left to be used again.
#[tokio::test]
async fn rows_that_moved_are_gone_all_the_same() {
    let group = Group::of(8).await;
    let held: Vec<_> = group.users.iter().map(|(_, state)| holding(&group.random, state)).collect();
    let step = |version: u64, from: &[UserState], to: &[UserState]| -> Vec<_> {
        let states = from.iter().zip(to);
        let change = |((user, _), (from, to)): (&(UserRef, _), (&UserState, &UserState))| {
            fixtures::change_set(&group.random, user, Some(Version(version)), from, to)
        };
        group.users.iter().zip(states).map(change).collect()
    };
    let bare: Vec<_> = group.users.iter().map(|(_, state)| state.clone()).collect();
    assert!(group.commit(&step(1, &bare, &held)).await.iter().all(done));
    let mut mover = group.database.connect().await;
    run(&mut mover, "BEGIN").await;
    run(&mut mover, "UPDATE challenges SET purpose = purpose WHERE user_id = 'user-0'").await;
    run(&mut mover, "UPDATE remembered_clients SET epoch = epoch WHERE user_id = 'user-1'").await;
    let changes: Vec<_> = step(2, &held, &bare).into_iter().map(|change| group.begin(change)).collect();
    group.waiting_sessions(1).await;
    run(&mut mover, "COMMIT").await;
    assert!(answers(changes).await.iter().all(done));
    let left = "SELECT (SELECT count(*) FROM challenges) + (SELECT count(*) FROM remembered_clients)";
    let left = sqlx::query_scalar::<_, i64>(left).fetch_one(&mut group.database.connect().await).await;
    assert_eq!(left.unwrap(), 0);
}

/// R52, R66: rows that are being sealed again hold up the logins of their own users alone, also those whose turn has not come.
#[tokio::test]
async fn sealing_again_holds_up_nobody_else() {
    for group in Group::of_both(8).await {
        let mut blocker = group.database.connect().await;
        // The first one waits in the middle.
        run(
            &mut blocker,
            "CREATE FUNCTION wait_for_the_test() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM pg_advisory_xact_lock(1);
                RETURN NEW;
            END
            $$;
            CREATE TRIGGER wait_for_the_test BEFORE UPDATE OF totp_sealed_key ON authenticators
                FOR EACH ROW EXECUTE FUNCTION wait_for_the_test()",
        )
        .await;
        run(&mut blocker, "BEGIN").await;
        run(&mut blocker, "SELECT pg_advisory_xact_lock(1)").await;
        let vault = group.database.store_of_a_newer_key().await;
        let column = SealedColumn::ALL.iter().position(|column| *column == SealedColumn::AuthenticatorKey);
        let from = ResealFrom { column: column.unwrap(), skip: 0 };
        let sealing = tokio::spawn(async move { vault.reseal(from, 4).await });
        group.waiting_sessions(1).await;

        let free = "SELECT user_id FROM users ORDER BY user_id FOR NO KEY UPDATE SKIP LOCKED";
        let mut observer = group.database.connect().await;
        let free = sqlx::query_scalar::<_, String>(free).fetch_all(&mut observer).await.unwrap();
        let (others, held): (Vec<usize>, Vec<usize>) =
            (0..8).partition(|number| free.contains(&format!("user-{number}")));
        assert_eq!((others.len(), held.len()), (4, 4), "whoever is due is held");
        // One whose turn has not come.
        let login = group.begin(group.login(held[3], 1));
        let others: Vec<_> = others.into_iter().map(|number| group.login(number, 1)).collect();
        assert!(group.commit(&others).await.iter().all(done));
        assert!(!login.is_finished());
        run(&mut blocker, "ROLLBACK").await;
        assert_eq!(sealing.await.unwrap().unwrap().resealed, 4);
        // It was decided before, and is decided again.
        let answer = &answers(vec![login]).await[0];
        assert!(matches!(answer, Ok(Commit::Conflict)), "{answer:?}");
    }
}

/// Two stores with two writers each, with the same users in opposite orders: nobody waits for anybody, one of each pair
/// wins, and nothing fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_want_the_same_users_never_block_each_other() {
    let mut group = Group::of(48).await;
    let stores = [Arc::clone(&group.store), Arc::new(group.database.store().await)];
    for version in 1..=12 {
        let mut tasks = Vec::new();
        for (turn, store) in stores.iter().enumerate() {
            group.store = Arc::clone(store);
            let mut changes: Vec<_> = (0..48).map(|number| group.login(number, version)).collect();
            if turn == 1 {
                changes.reverse();
            }
            tasks.extend(changes.into_iter().map(|change| group.begin(change)));
        }
        let answers = answers(tasks).await;
        let wins = answers.iter().filter(|answer| done(answer)).count();
        assert_eq!(wins, 48, "{answers:?}");
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    let waited = sqlx::query_scalar::<_, i64>(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
    );
    assert_eq!(waited.fetch_one(&mut group.database.connect().await).await.unwrap(), 0);
}
