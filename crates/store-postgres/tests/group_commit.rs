//! R17, R60, R66, R67 and the design's group commit: changes and loads that come together are each answered for
//! themselves. What a store promises besides is the conformance suite's, which runs with group commit as well.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use countersign_domain::event::EventType;
use countersign_domain::ids::{AuthenticatorId, ChallengeId, ClientId, TenantId, UserRef, Version};
use countersign_domain::policy::FirstFactorMethod;
use countersign_domain::user::{
    Challenge, ChallengePurpose, ClientClaims, FirstFactor, RememberedClient, UserState,
};
use countersign_ports::{ChangeSet, Commit, RequestKey, StoreError, UserStore};
use countersign_store_postgres::PostgresStore;
use countersign_testkit::SeededRandom;
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::fixtures::{self, START, tenant, user};
use sqlx::postgres::PgConnection;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use support::{Database, login, run};
use tokio::task::JoinHandle;

/// A store with a tenant and some users who have an authenticator app each, all at version 1.
struct Group {
    database: Database,
    store: Arc<PostgresStore>,
    random: SeededRandom,
    users: Vec<(UserRef, UserState)>,
}

impl Group {
    async fn of(size: usize) -> Self {
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
        Self { database, store, random, users }
    }

    /// The login of one user who is at `version`.
    fn login(&self, number: usize, version: u64) -> ChangeSet {
        let (user, state) = &self.users[number];
        login(&self.random, user, version, state, 7)
    }

    /// One login each, at version 1.
    fn logins(&self) -> Vec<ChangeSet> {
        (0..self.users.len()).map(|number| self.login(number, 1)).collect()
    }

    fn begin(&self, change: ChangeSet) -> JoinHandle<Result<Commit, StoreError>> {
        let store = Arc::clone(&self.store);
        tokio::spawn(async move { store.commit(change).await })
    }

    /// Commits all at the same time; the answers are in their order.
    async fn commit(&self, changes: &[ChangeSet]) -> Vec<Result<Commit, StoreError>> {
        let tasks: Vec<_> = changes.iter().map(|change| self.begin(change.clone())).collect();
        answers(tasks).await
    }

    /// Somebody who keeps all others from a table until told to end.
    async fn blocker(&self, table: &str) -> PgConnection {
        let mut blocker = self.database.connect().await;
        run(&mut blocker, "BEGIN").await;
        run(&mut blocker, format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await;
        blocker
    }

    /// Waits until `count` sessions of the store wait for a lock, and gives their processes.
    async fn waiting_sessions(&self, count: usize) -> Vec<i32> {
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

    async fn is_committed(&self, change: &ChangeSet) -> bool {
        self.store.is_committed(&change.tenant, change.events[0].id).await.unwrap()
    }

    async fn version(&self, number: usize) -> Option<Version> {
        self.store.load(&self.users[number].0, None).await.unwrap().unwrap().version
    }

    /// How often the events of these change sets are in the log; nothing else is there that tells of a login.
    async fn events(&self) -> Vec<uuid::Uuid> {
        let ids = sqlx::query_scalar::<_, uuid::Uuid>(
            "SELECT event_id FROM events WHERE kind LIKE 'LOGIN%' AND trace_id = 'counted'",
        );
        ids.fetch_all(&mut self.database.connect().await).await.unwrap()
    }
}

async fn answers(tasks: Vec<JoinHandle<Result<Commit, StoreError>>>) -> Vec<Result<Commit, StoreError>> {
    let mut answers = Vec::new();
    for task in tasks {
        let answer = tokio::time::timeout(Duration::from_mins(2), task).await;
        answers.push(answer.expect("a commit is answered").expect("no commit panics"));
    }
    answers
}

/// Asks until there is an answer.
async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
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

fn done(answer: &Result<Commit, StoreError>) -> bool {
    matches!(answer, Ok(Commit::Done))
}

/// Twenty logins at once are not twenty statements, and not twenty flushes.
#[tokio::test]
async fn logins_that_come_together_are_committed_together() {
    let group = Group::of(20).await;
    let answers = group.commit(&group.logins()).await;
    assert!(answers.iter().all(done), "{answers:?}");
    let stats = group.store.group_stats().commits;
    assert_eq!((stats.calls, stats.refused), (20, 0));
    assert!(stats.batches <= 4 && stats.largest >= 5, "{stats:?}");
}

/// A version that is not the expected one is a conflict for its caller; its neighbours in the batch are committed.
#[tokio::test]
async fn a_loser_does_not_abort_its_neighbours() {
    let group = Group::of(20).await;
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

/// R4: an authenticator that has seen a later step, or is gone, is a conflict for its caller alone.
#[tokio::test]
async fn a_used_step_is_a_conflict_for_its_caller_alone() {
    let group = Group::of(6).await;
    let mut changes = group.logins();
    run(
        &mut group.database.connect().await,
        "UPDATE authenticators SET totp_last_step = 8 WHERE user_id = 'user-2'",
    )
    .await;
    let gone = AuthenticatorId::at(START, group.random.bytes());
    let countersign_domain::change::Write::UseAuthenticator { id, .. } = &mut changes[4].users[0].writes[0]
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

/// One user twice: the second one follows on the first, in the next batch, whatever it expects.
#[tokio::test]
async fn one_user_twice_is_committed_one_after_the_other() {
    let group = Group::of(2).await;
    let (user, state) = &group.users[0];
    let follows = login(&group.random, user, 2, state, 8);
    let late = login(&group.random, user, 1, state, 9);
    let changes = [group.login(0, 1), group.login(1, 1), follows, late];
    let answers: Vec<_> = group.commit(&changes).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, [Commit::Done, Commit::Done, Commit::Done, Commit::Conflict]);
    assert_eq!(group.version(0).await, Some(Version(3)));
}

/// A value that no column takes fails its own caller; the others are committed, once.
#[tokio::test]
async fn one_bad_row_fails_alone() {
    let group = Group::of(20).await;
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

/// R60: an answer to the same request, committed meanwhile by another node, is a conflict for its caller alone.
#[tokio::test]
async fn an_answered_request_is_a_conflict_for_its_caller_alone() {
    let group = Group::of(6).await;
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

/// R66: a user whose row somebody else has locked holds up nobody who comes at the same time, nor after.
#[tokio::test]
async fn a_locked_user_holds_up_nobody_else() {
    let group = Group::of(8).await;
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

/// R4: an authenticator whose row somebody moves without the lock of its user, as nobody should, is used up all the same.
#[tokio::test]
async fn a_row_that_moved_is_used_all_the_same() {
    let group = Group::of(8).await;
    let mut mover = group.database.connect().await;
    run(&mut mover, "BEGIN").await;
    run(&mut mover, "UPDATE authenticators SET display_name = display_name WHERE user_id = 'user-0'").await;
    let logins: Vec<_> = group.logins().into_iter().map(|login| group.begin(login)).collect();
    group.waiting_sessions(1).await;
    run(&mut mover, "COMMIT").await;
    assert!(answers(logins).await.iter().all(done));
    let steps = sqlx::query_scalar::<_, i64>("SELECT totp_last_step FROM authenticators");
    let steps = steps.fetch_all(&mut group.database.connect().await).await.unwrap();
    assert_eq!(steps, [7; 8]);
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

/// R49: an id whose answer has expired is answered anew, and those who come at the same time are answered too.
#[tokio::test]
async fn an_expired_answer_gives_way_and_holds_up_nobody() {
    let group = Group::of(6).await;
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

/// Two hundred and fifty-six users at once, with challenges, remembered clients, notices and repeated answers among
/// them, and losers: each is answered right, has exactly what it committed, and each event is there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_users_are_each_answered_right() {
    let group = Group::of(256).await;
    let mut changes = Vec::new();
    let mut nexts = Vec::new();
    for (number, (user, state)) in group.users.iter().enumerate() {
        let next = next_state(&group.random, number, state);
        let version = if number % 10 == 9 { 4 } else { 1 };
        let mut change = fixtures::change_set(&group.random, user, Some(Version(version)), state, &next);
        change.events[0].trace_id = "counted".to_owned();
        if number % 3 == 0 {
            let mut second = fixtures::event_record(&group.random, user, EventType::LoginChallenged);
            second.trace_id = "counted".to_owned();
            change.notices.push(fixtures::notice_record(&group.random, &second));
            change.events.push(second);
        }
        if number % 2 == 0 {
            change.request = Some(fixtures::request_record(&group.random, user));
        }
        changes.push(change);
        nexts.push(next);
    }
    let answers = group.commit(&changes).await;
    let mut expected = HashSet::new();
    for (number, answer) in answers.into_iter().enumerate() {
        let lost = number % 10 == 9;
        assert_eq!(answer.unwrap(), if lost { Commit::Conflict } else { Commit::Done }, "user {number}");
        let (user, state) = &group.users[number];
        let key = changes[number].request.as_ref().map(|request| request.key.clone());
        let loaded = group.store.load(user, key.as_ref()).await.unwrap().unwrap();
        assert_eq!(loaded.state, if lost { state.clone() } else { nexts[number].clone() }, "user {number}");
        assert_eq!(loaded.earlier, changes[number].request.clone().filter(|_| !lost), "user {number}");
        if !lost {
            expected.extend(changes[number].events.iter().map(|event| event.id.uuid()));
        }
    }
    let there = group.events().await;
    assert_eq!(there.len(), expected.len(), "each once");
    assert_eq!(there.into_iter().collect::<HashSet<_>>(), expected);
    let notices = changes.iter().enumerate().filter(|(number, _)| number % 10 != 9);
    let notices: usize = notices.map(|(_, change)| change.notices.len()).sum();
    let outbox = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM outbox");
    let outbox = outbox.fetch_one(&mut group.database.connect().await).await.unwrap();
    assert_eq!(usize::try_from(outbox).unwrap(), notices);
    assert!(group.store.group_stats().commits.batches < 128, "they were together");
}

/// A state that a login may leave behind, of one kind or another.
fn next_state(random: &SeededRandom, number: usize, state: &UserState) -> UserState {
    let mut next = state.clone();
    next.failures.recent = (0..number % 4).map(|_| START).collect();
    next.failures.consecutive = u32::try_from(number % 4).unwrap();
    if number % 4 < 2 {
        next.authenticators[0].last_use_time = Some(START);
    }
    if number % 4 == 1 {
        next.challenges.push(challenge(random, &next));
    }
    if number % 4 == 2 {
        next.clients.push(client(random, &next));
    }
    next
}

/// The state with a challenge and a remembered client beside what it has.
fn holding(random: &SeededRandom, state: &UserState) -> UserState {
    let mut next = state.clone();
    next.challenges.push(challenge(random, state));
    next.clients.push(client(random, state));
    next
}

fn challenge(random: &SeededRandom, state: &UserState) -> Challenge {
    Challenge {
        id: ChallengeId::at(START, random.bytes()),
        purpose: ChallengePurpose::Login,
        create_time: START,
        expire_time: START.plus(Duration::from_mins(5)),
        epoch: state.epoch,
        first_factor: FirstFactor {
            method: FirstFactorMethod::Password,
            verify_time: START,
            identity_provider: String::new(),
            amr: Vec::new(),
        },
        client: ClientClaims::default(),
    }
}

fn client(random: &SeededRandom, state: &UserState) -> RememberedClient {
    RememberedClient {
        id: ClientId::at(START, random.bytes()),
        key: countersign_domain::digest::KeyId(1),
        generation: 1,
        rotate_time: START,
        application: "web".to_owned(),
        display_name: "laptop".to_owned(),
        last_ip_address: "192.0.2.1".to_owned(),
        create_time: START,
        last_use_time: START,
        expire_time: START.plus(Duration::from_hours(24)),
        epoch: state.epoch,
    }
}

/// Challenges and remembered clients come, change and go for many users at once, each for its own.
#[tokio::test]
async fn rows_beside_many_users_come_change_and_go() {
    let group = Group::of(12).await;
    let with: Vec<UserState> = (0..12)
        .map(|number| {
            let challenged = next_state(&group.random, 1, &group.users[number].1);
            next_state(&group.random, 2, &challenged)
        })
        .collect();
    let rotated: Vec<UserState> = with
        .iter()
        .map(|state| {
            let mut state = state.clone();
            state.clients[0].generation = 2;
            state.challenges.clear();
            state
        })
        .collect();
    let without: Vec<UserState> = with
        .iter()
        .map(|state| UserState { clients: Vec::new(), challenges: Vec::new(), ..state.clone() })
        .collect();
    let mut old: Vec<UserState> = group.users.iter().map(|(_, state)| state.clone()).collect();
    for (version, next) in (1..).zip([with, rotated, without]) {
        let changes: Vec<_> = group
            .users
            .iter()
            .zip(old.iter().zip(&next))
            .map(|((user, _), (old, next))| {
                fixtures::change_set(&group.random, user, Some(Version(version)), old, next)
            })
            .collect();
        assert!(group.commit(&changes).await.iter().all(done));
        for ((user, _), next) in group.users.iter().zip(&next) {
            assert_eq!(group.store.load(user, None).await.unwrap().unwrap().state, *next);
        }
        old = next;
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

/// R50: a row that somebody edited is found by whoever loads it; those who load beside it notice nothing.
#[tokio::test]
async fn a_corrupt_user_fails_alone_among_loads() {
    let group = Group::of(10).await;
    let attack = "UPDATE authenticators SET totp_sealed_key = '\\x00' WHERE user_id = 'user-4'";
    run(&mut group.database.connect().await, attack).await;
    let load = |user: UserRef| {
        let store = Arc::clone(&group.store);
        tokio::spawn(async move { store.load(&user, None).await })
    };
    let tasks: Vec<_> = group.users.iter().map(|(user, _)| load(user.clone())).collect();
    for (number, task) in tasks.into_iter().enumerate() {
        let loaded = task.await.unwrap();
        match number {
            4 => assert!(matches!(loaded, Err(StoreError::SealBroken { .. })), "{loaded:?}"),
            _ => assert!(loaded.unwrap().is_some(), "user {number}"),
        }
    }
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

/// With group commit switched off nothing is queued.
#[tokio::test]
async fn without_group_commit_nothing_is_queued() {
    let (store, database) = support::fresh_one_by_one().await;
    let acme: TenantId = store.create_tenant("acme").await;
    assert_eq!(acme, tenant("acme"));
    let options = countersign_store_postgres::PostgresOptions { group_commit: false, ..database.options() };
    let store = database.store_with(options).await.unwrap();
    let random = SeededRandom::new(3);
    let change = fixtures::event_only(&random, &user("acme", "ann"), EventType::LoginRefused);
    assert_eq!(store.commit(change).await.unwrap(), Commit::Done);
    assert!(store.load(&user("acme", "ann"), None).await.unwrap().is_some());
    assert_eq!(store.group_stats(), countersign_store_postgres::GroupStats::default());
}
