//! R60, R63, R66: what is told of a commit that met trouble, and what it left behind.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use countersign_domain::ids::{UserRef, Version};
use countersign_domain::user::UserState;
use countersign_ports::{ChangeSet, Commit, StoreError, UserStore};
use countersign_store_postgres::{PostgresOptions, PostgresStore};
use countersign_testkit::SeededRandom;
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::fixtures::{self, user};
use sqlx::postgres::PgConnection;
use std::sync::Arc;
use std::time::Duration;
use support::{Database, login, run};
use tokio::task::JoinHandle;

/// What a store waits that is to give up. Opening it must take less, also on a machine that is busy.
const SHORT: Duration = Duration::from_secs(2);

/// A store with Ann of acme in it, whose row somebody else has locked.
struct Blocked {
    database: Arc<Database>,
    store: Arc<PostgresStore>,
    blocker: PgConnection,
    ann: UserRef,
    state: UserState,
    random: SeededRandom,
}

impl Blocked {
    async fn new(options: impl FnOnce(PostgresOptions) -> PostgresOptions) -> Self {
        let (store, database) = support::fresh().await;
        store.create_tenant("acme").await;
        let (random, ann) = (SeededRandom::new(9), user("acme", "ann"));
        let state = fixtures::user_with_totp(&random);
        store.store_user(&random, &ann, &state).await;
        let store = Arc::new(database.store_with(options(database.options())).await.unwrap());
        let mut blocker = database.connect().await;
        run(&mut blocker, "BEGIN").await;
        run(&mut blocker, "SELECT FROM users WHERE tenant_id = 'acme' AND user_id = 'ann' FOR UPDATE").await;
        Self { database, store, blocker, ann, state, random }
    }

    /// The change that goes as one statement.
    fn hot(&self) -> ChangeSet {
        login(&self.random, &self.ann, 1, &self.state, 7)
    }

    /// The same with a notice, which takes a transaction.
    fn with_notice(&self) -> ChangeSet {
        let mut change = self.hot();
        change.notices = vec![fixtures::notice_record(&self.random, &change.events[0])];
        change
    }

    fn commit(&self, change: &ChangeSet) -> JoinHandle<Result<Commit, StoreError>> {
        let (store, change) = (self.store.clone(), change.clone());
        tokio::spawn(async move { store.commit(change).await })
    }

    /// Waits until the store's session waits for the lock, and gives its process.
    async fn waiting_session(&mut self) -> i32 {
        let waiting = async {
            let mut observer = self.database.connect().await;
            loop {
                let pid = sqlx::query_scalar::<_, i32>(
                    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
                );
                if let Some(pid) = pid.fetch_optional(&mut observer).await.unwrap() {
                    return pid;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_mins(2), waiting).await.expect("the commit waits for the lock")
    }

    async fn kill_waiting_session(&mut self) {
        let pid = self.waiting_session().await;
        run(&mut self.database.connect().await, format!("SELECT pg_terminate_backend({pid})")).await;
    }

    /// That nothing of `change` is there, once the blocker is gone, as a store sees it that has patience.
    async fn nothing_was_committed(mut self, change: &ChangeSet) {
        run(&mut self.blocker, "ROLLBACK").await;
        let patient = self.database.store().await;
        let committed = patient.is_committed(&change.tenant, change.events[0].id).await;
        assert!(!committed.unwrap());
        let loaded = patient.load(&self.ann, None).await.unwrap().unwrap();
        assert_eq!((loaded.version, loaded.state), (Some(Version(1)), self.state));
    }
}

/// R60: a session that ends while a transaction is under way has committed nothing, because COMMIT was never sent.
#[tokio::test]
async fn a_session_lost_before_commit_is_unavailable() {
    let mut blocked = Blocked::new(|options| options).await;
    let change = blocked.with_notice();
    let commit = blocked.commit(&change);
    blocked.kill_waiting_session().await;
    let answer = commit.await.unwrap();
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    blocked.nothing_was_committed(&change).await;
}

/// R60: where the statement is the transaction, a session that ends leaves the outcome open, and the event tells it.
#[tokio::test]
async fn a_session_lost_in_the_single_statement_leaves_the_outcome_open() {
    let mut blocked = Blocked::new(|options| options).await;
    let change = blocked.hot();
    let commit = blocked.commit(&change);
    blocked.kill_waiting_session().await;
    let answer = commit.await.unwrap();
    assert!(matches!(answer, Err(StoreError::OutcomeUnknown(_))), "{answer:?}");
    blocked.nothing_was_committed(&change).await;
}

/// R66: a statement that takes too long is given up by the server, and nothing of it is committed.
#[tokio::test]
async fn a_slow_statement_is_given_up() {
    for notice in [false, true] {
        let blocked = Blocked::new(|options| PostgresOptions { statement_timeout: SHORT, ..options }).await;
        let change = if notice { blocked.with_notice() } else { blocked.hot() };
        let answer = blocked.commit(&change).await.unwrap();
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
        blocked.nothing_was_committed(&change).await;
    }
}

/// R66: a server that says nothing is not waited for for ever; its session is closed, so that the statement that may
/// still run there never meets another call.
#[tokio::test]
async fn a_silent_server_is_given_up() {
    let blocked = Blocked::new(|options| PostgresOptions { answer_timeout: SHORT, ..options }).await;
    let change = blocked.hot();
    let answer = blocked.commit(&change).await.unwrap();
    assert!(matches!(answer, Err(StoreError::OutcomeUnknown(_))), "{answer:?}");
}

/// R66: where every connection is in use, a call is refused in time instead of waiting for ever.
#[tokio::test]
async fn a_full_pool_refuses_in_time() {
    let one = |options| PostgresOptions {
        max_connections: 1,
        group_commit: false,
        acquire_timeout: SHORT,
        ..options
    };
    let mut blocked = Blocked::new(one).await;
    let change = blocked.hot();
    let commit = blocked.commit(&change);
    blocked.waiting_session().await;
    let refused = blocked.store.load(&blocked.ann, None).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    run(&mut blocked.blocker, "ROLLBACK").await;
    assert_eq!(commit.await.unwrap().unwrap(), Commit::Done);
    assert!(blocked.store.load(&blocked.ann, None).await.unwrap().is_some(), "the connection serves again");
}

/// R17: a caller who leaves while the commit waits leaves no lock and no half of it behind. With group commit it goes on;
/// see there.
#[tokio::test]
async fn a_caller_who_leaves_frees_the_row() {
    let one_by_one = |options| PostgresOptions { group_commit: false, ..options };
    let mut blocked = Blocked::new(one_by_one).await;
    let change = blocked.with_notice();
    let commit = blocked.commit(&change);
    blocked.waiting_session().await;
    commit.abort();
    assert!(commit.await.unwrap_err().is_cancelled());
    run(&mut blocked.blocker, "ROLLBACK").await;
    let again = login(&blocked.random, &blocked.ann, 1, &blocked.state, 8);
    assert_eq!(blocked.store.commit(again).await.unwrap(), Commit::Done);
}

/// A transaction that the server chose as a deadlock's victim is tried again, and the caller sees only that it is done.
#[tokio::test]
async fn a_deadlock_is_tried_again() {
    let mut blocked = Blocked::new(|options| options).await;
    let other = user("acme", "bob");
    let store = StoreUnderTest::new(blocked.database.store().await);
    store.store_user(&blocked.random, &other, &UserState::default()).await;
    // The blocker holds the later of two users and will want the earlier one: the order that commits never take.
    run(&mut blocked.blocker, "ROLLBACK").await;
    run(&mut blocked.blocker, "BEGIN").await;
    run(&mut blocked.blocker, "SET LOCAL deadlock_timeout = '60s'").await;
    run(&mut blocked.blocker, "SELECT FROM users WHERE tenant_id = 'acme' AND user_id = 'bob' FOR UPDATE")
        .await;
    let mut change = blocked.hot();
    let bob = fixtures::user_change(&other, Some(Version(1)), &UserState::default(), &UserState::default());
    change.users.push(bob);
    let commit = blocked.commit(&change);
    blocked.waiting_session().await;
    run(&mut blocked.blocker, "SELECT FROM users WHERE tenant_id = 'acme' AND user_id = 'ann' FOR UPDATE")
        .await;
    run(&mut blocked.blocker, "COMMIT").await;
    assert_eq!(commit.await.unwrap().unwrap(), Commit::Done);
    let loaded = blocked.store.load(&blocked.ann, None).await.unwrap().unwrap();
    assert_eq!(loaded.version, Some(Version(2)), "once, not twice");
}

/// R60: an answer that another commit gave between this statement's look and its insert undoes the whole statement.
#[tokio::test]
async fn an_answer_given_meanwhile_undoes_the_login() {
    let mut blocked = Blocked::new(|options| options).await;
    run(&mut blocked.blocker, "ROLLBACK").await;
    let mut change = blocked.hot();
    let request = fixtures::request_record(&blocked.random, &blocked.ann);
    // An answer of somebody else under the same key, not committed yet: the look does not see it, the insert waits.
    run(&mut blocked.blocker, "BEGIN").await;
    let key = &request.key;
    let insert = format!(
        "INSERT INTO requests VALUES ('acme', 'ann', '{}', '{}', 1, sha256(''), '', '2100-01-01')",
        key.caller, key.id
    );
    run(&mut blocked.blocker, insert).await;
    change.request = Some(request);
    let commit = blocked.commit(&change);
    blocked.waiting_session().await;
    run(&mut blocked.blocker, "COMMIT").await;
    assert_eq!(commit.await.unwrap().unwrap(), Commit::Conflict);
    run(&mut blocked.blocker, "BEGIN").await;
    blocked.nothing_was_committed(&change).await;
}
