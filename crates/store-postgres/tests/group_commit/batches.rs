//! Many changes are few statements, and each caller is answered right.

use crate::group::{Group, done};
use crate::states::{after_a_code, next_state};
use crate::support;
use countersign_domain::event::EventType;
use countersign_domain::ids::{TenantId, Version};
use countersign_domain::user::UserState;
use countersign_ports::{Commit, EventRecord, UserStore};
use countersign_testkit::SeededRandom;
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::fixtures::{self, tenant, user};
use countersign_testkit::generate::Generator;
use std::collections::HashSet;
use std::sync::Arc;
use uuid::Uuid;

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

/// R13, R16, B46: of many logins by a code that one statement commits, the user's own row, the app, the event and the answer to
/// repeat are what each asked for.
#[tokio::test]
async fn logins_that_are_committed_together_write_what_they_say() {
    let group = Group::of(20).await;
    let suite = StoreUnderTest::sharing(Arc::clone(&group.store));
    let draw = Generator::new(13);
    let mut old: Vec<UserState> = group.users.iter().map(|(_, state)| state.clone()).collect();
    // Twice: what the first one put there is another thing, or gone, after the second one.
    for version in 1..=2 {
        let next: Vec<UserState> =
            old.iter().enumerate().map(|(number, state)| after_a_code(&draw, number, state)).collect();
        let mut changes = Vec::new();
        for ((user, _), (old, next)) in group.users.iter().zip(old.iter().zip(&next)) {
            let mut change = fixtures::change_set(draw.random(), user, Some(Version(version)), old, next);
            let EventRecord { id, time, .. } = change.events[0];
            change.events[0] = EventRecord { id, time, ..draw.event_record(user) };
            change.request = Some(fixtures::request_record(draw.random(), user));
            changes.push(change);
        }
        let answers = group.commit(&changes).await;
        assert!(answers.iter().all(done), "{answers:?}");
        assert!(group.written_together("acme").await >= 5, "they were together");
        let events = suite.settled_events(draw.random(), &tenant("acme")).await;
        for (number, (change, next)) in changes.into_iter().zip(&next).enumerate() {
            let key = change.request.as_ref().map(|request| &request.key);
            let loaded = group.store.load(&group.users[number].0, key).await.unwrap().unwrap();
            assert_eq!(loaded.version, Some(Version(version + 1)), "user {number}");
            assert_eq!(loaded.state, *next, "user {number}");
            assert_eq!(loaded.earlier, change.request, "user {number}");
            assert!(events.contains(&change.events[0]), "user {number}");
        }
        old = next;
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
            // The later event's first: neither its place among the notices nor the user says which event one is about.
            change.notices.push(fixtures::notice_record(&group.random, &second));
            change.notices.push(fixtures::notice_record(&group.random, &change.events[0]));
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
    let notices = notices.flat_map(|(_, change)| &change.notices);
    let notices: HashSet<_> = notices.map(|notice| (notice.id.0, notice.event.uuid())).collect();
    let outbox = sqlx::query_as::<_, (Uuid, Uuid)>("SELECT notice_id, event_id FROM outbox");
    let outbox = outbox.fetch_all(&mut group.database.connect().await).await.unwrap();
    assert_eq!(outbox.len(), notices.len(), "each once");
    assert_eq!(outbox.into_iter().collect::<HashSet<_>>(), notices, "each of its event");
    assert!(group.store.group_stats().commits.batches < 128, "they were together");
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
