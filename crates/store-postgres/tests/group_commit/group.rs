//! Users of one store who do things at the same time. No rule is tested here.

use crate::support::{Database, login, run};
use countersign_domain::ids::{UserRef, Version};
use countersign_domain::user::UserState;
use countersign_ports::{ChangeSet, Commit, StoreError, UserStore};
use countersign_store_postgres::PostgresStore;
use countersign_testkit::SeededRandom;
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::fixtures::{self, user};
use sqlx::postgres::PgConnection;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// A store with a tenant and some users who have an authenticator app each, all at version 1.
pub(crate) struct Group {
    pub(crate) database: Database,
    pub(crate) store: Arc<PostgresStore>,
    pub(crate) random: SeededRandom,
    pub(crate) users: Vec<(UserRef, UserState)>,
    /// Whether each login sends a notice. Then it is more than a login by a code, and its batch has another statement.
    sends_notices: bool,
}

impl Group {
    /// Two of a kind, so that both statements are tried.
    pub(crate) async fn of_both(size: usize) -> [Self; 2] {
        [Self::of(size).await, Self { sends_notices: true, ..Self::of(size).await }]
    }

    pub(crate) async fn of(size: usize) -> Self {
        let database = Database::migrated().await;
        let store = Arc::new(database.store().await);
        let suite = StoreUnderTest::new(database.store().await);
        suite.create_tenant("acme").await;
        let random = SeededRandom::new(9);
        let mut users = Vec::new();
        for number in 0..size {
            let (user, state) = (user("acme", &format!("user-{number}")), fixtures::user_with_totp(&random));
            suite.store_user(&random, &user, &state).await;
            users.push((user, state));
        }
        Self { database, store, random, users, sends_notices: false }
    }

    /// The login of one user who is at `version`.
    pub(crate) fn login(&self, number: usize, version: u64) -> ChangeSet {
        let (user, state) = &self.users[number];
        let mut change = login(&self.random, user, version, state, 7);
        if self.sends_notices {
            change.notices.push(fixtures::notice_record(&self.random, &change.events[0]));
        }
        change
    }

    /// One login each, at version 1.
    pub(crate) fn logins(&self) -> Vec<ChangeSet> {
        (0..self.users.len()).map(|number| self.login(number, 1)).collect()
    }

    pub(crate) fn begin(&self, change: ChangeSet) -> JoinHandle<Result<Commit, StoreError>> {
        let store = Arc::clone(&self.store);
        tokio::spawn(async move { store.commit(change).await })
    }

    /// Commits all at the same time; the answers are in their order.
    pub(crate) async fn commit(&self, changes: &[ChangeSet]) -> Vec<Result<Commit, StoreError>> {
        let tasks: Vec<_> = changes.iter().map(|change| self.begin(change.clone())).collect();
        answers(tasks).await
    }

    /// Somebody who keeps all others from a table until told to end.
    pub(crate) async fn blocker(&self, table: &str) -> PgConnection {
        let mut blocker = self.database.connect().await;
        run(&mut blocker, "BEGIN").await;
        run(&mut blocker, format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await;
        blocker
    }

    /// Waits until `count` sessions of the store wait for a lock, and gives their processes.
    pub(crate) async fn waiting_sessions(&self, count: usize) -> Vec<i32> {
        let mut observer = self.database.connect().await;
        eventually("sessions wait for the lock", async || {
            let pids = sqlx::query_scalar::<_, i32>(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
            );
            let pids = pids.fetch_all(&mut observer).await.unwrap();
            (pids.len() >= count).then_some(pids)
        })
        .await
    }

    pub(crate) async fn is_committed(&self, change: &ChangeSet) -> bool {
        self.store.is_committed(&change.tenant, change.events[0].id).await.unwrap()
    }

    pub(crate) async fn version(&self, number: usize) -> Option<Version> {
        self.store.load(&self.users[number].0, None).await.unwrap().unwrap().version
    }

    /// The most users of the tenant whose rows one transaction wrote: a batch that was refused, and whose changes were then
    /// committed alone, shows in no counter.
    pub(crate) async fn written_together(&self, tenant: &str) -> i64 {
        let most = sqlx::query_scalar::<_, i64>(
            "SELECT max(count(*)) OVER () FROM users WHERE tenant_id = $1 GROUP BY xmin::text LIMIT 1",
        );
        most.bind(tenant).fetch_one(&mut self.database.connect().await).await.unwrap()
    }

    /// How often the events of these change sets are in the log; nothing else is there that tells of a login.
    pub(crate) async fn events(&self) -> Vec<uuid::Uuid> {
        let ids = sqlx::query_scalar::<_, uuid::Uuid>(
            "SELECT event_id FROM events WHERE kind LIKE 'LOGIN%' AND trace_id = 'counted'",
        );
        ids.fetch_all(&mut self.database.connect().await).await.unwrap()
    }
}

pub(crate) async fn answers(
    tasks: Vec<JoinHandle<Result<Commit, StoreError>>>,
) -> Vec<Result<Commit, StoreError>> {
    let mut answers = Vec::new();
    for task in tasks {
        let answer = tokio::time::timeout(Duration::from_mins(2), task).await;
        answers.push(answer.expect("a commit is answered").expect("no commit panics"));
    }
    answers
}

/// Asks until there is an answer.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(2), asking).await.unwrap_or_else(|_| panic!("{what}"))
}

pub(crate) fn done(answer: &Result<Commit, StoreError>) -> bool {
    matches!(answer, Ok(Commit::Done))
}
