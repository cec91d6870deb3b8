//! Positions of events: nobody who reads on ever skips one, however transactions interleave.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use countersign_domain::event::EventType;
use countersign_domain::ids::EventId;
use countersign_domain::secret::SecretString;
use countersign_ports::{EventPosition, EventQuery, StoredEvent};
use countersign_store_postgres::PostgresOptions;
use countersign_testkit::SeededRandom;
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::fixtures::{self, START, tenant, user};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use std::str::FromStr;
use std::time::Duration;
use support::{Database, run};

/// Of the logins behind that place, the first hundred.
fn logins(after: Option<EventPosition>) -> EventQuery {
    let kinds = vec![EventType::LoginAllowed];
    EventQuery {
        tenant: tenant("acme"),
        user: None,
        kinds,
        start_time: None,
        end_time: None,
        after,
        limit: 100,
    }
}

async fn read(store: &StoreUnderTest, after: Option<EventPosition>) -> Vec<StoredEvent> {
    store.events.events(&logins(after)).await.unwrap()
}

/// R49: one of a user's events behind very many others is found, by looks that each go through some of them and say how far
/// they came; what is asked for without a filter needs no second look.
#[tokio::test]
async fn a_filter_that_matches_little_gets_on() {
    let (store, database) = support::fresh().await;
    store.create_tenant("acme").await;
    let mut connection = database.connect().await;
    let others = "INSERT INTO events (
            tenant_id, event_id, event_time, user_id, kind, details, actor, caller, client, policy_revision, trace_id
        ) SELECT 'acme', gen_random_uuid(), now(), 'others', 'LOGIN_REFUSED', '[]', 'job:many', 'loopback',
            '{\"ip_address\":\"\",\"user_agent\":\"\",\"application\":\"\",\"language_code\":\"\"}', 1, ''
        FROM generate_series(1, 250000)";
    run(&mut connection, others.to_owned()).await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let change = fixtures::event_only(&random, &ann, EventType::LoginAllowed);
    let id = change.events[0].id;
    store.done(change).await;
    read_until(&store, None, 1).await;

    let mut query = EventQuery { user: Some(ann.user), kinds: Vec::new(), ..logins(None) };
    let mut looks = Vec::new();
    let found = loop {
        let look = store.events.look(&query).await.unwrap();
        looks.push(look.stopped_at);
        match look.stopped_at {
            Some(position) => {
                assert!(query.after < Some(position), "it gets on");
                assert_eq!(look.events, [], "all of them are others");
                query.after = Some(position);
            }
            None => break look.events,
        }
    };
    assert_eq!(found.iter().map(|stored| stored.record.id).collect::<Vec<_>>(), [id]);
    assert!(looks.len() >= 2, "{looks:?}");
    // Asked for as a whole, as by a job, it is one answer.
    assert_eq!(store.events.events(&EventQuery { after: None, ..query.clone() }).await.unwrap(), found);
    // The others are of another month, which is not gone through.
    let that_day = EventQuery {
        start_time: Some(START),
        end_time: Some(START.plus(Duration::from_hours(24))),
        after: None,
        ..query.clone()
    };
    assert_eq!(store.events.look(&that_day).await.unwrap(), found.into());
    let all = EventQuery { kinds: Vec::new(), ..logins(None) };
    let first = store.events.look(&all).await.unwrap();
    assert_eq!((first.events.len(), first.stopped_at), (100, None));
}

/// Reads until there are `count` events: a store may show one a moment after its commit.
async fn read_until(store: &StoreUnderTest, after: Option<EventPosition>, count: usize) -> Vec<StoredEvent> {
    let reading = async {
        loop {
            let events = read(store, after).await;
            if events.len() >= count {
                return events;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(2), reading).await.expect("the events come")
}

/// Writes an event in the transaction that is open on `connection`.
async fn write(connection: &mut PgConnection, id: EventId) {
    let sql = format!(
        "INSERT INTO events (
            tenant_id, event_id, event_time, kind, details, actor, caller, client, policy_revision, trace_id
        ) VALUES ('acme', '{id}', now(), 'LOGIN_ALLOWED', '[]', 'job:slow', 'loopback',
            '{{\"ip_address\":\"\",\"user_agent\":\"\",\"application\":\"\",\"language_code\":\"\"}}', 1, '')"
    );
    run(connection, sql).await;
}

/// R56: while an older transaction is open, a younger one's event is not shown; when the older one ends, a reader who
/// resumes gets both, in order. So does one whose reading began with an earlier event.
#[tokio::test]
async fn a_reader_never_skips_a_slow_transaction() {
    let (store, database) = support::fresh().await;
    let slow = database.connect().await;
    reads_on_behind(&store, slow).await;
}

/// R56: the same where another role has the slow transaction, of which a role without `pg_read_all_stats` sees little: here the
/// service reads.
#[tokio::test]
async fn a_reader_never_skips_a_slow_transaction_of_another_role() {
    let (database, options) = support::as_service().await;
    let slow = support::another_role(&database).await.connect().await.unwrap();
    let store = StoreUnderTest::new(database.store_with(options).await.unwrap()).keeping(database);
    reads_on_behind(&store, slow).await;
}

/// R56: and where the other one reads, and the service is slow.
#[tokio::test]
async fn a_reader_of_another_role_never_skips_a_slow_transaction() {
    let (database, options) = support::as_service().await;
    let slow = PgConnectOptions::from_str(options.url.expose()).unwrap().connect().await.unwrap();
    let url = SecretString::new(support::another_role(&database).await.to_url_lossy().to_string());
    let options = PostgresOptions { url, ..options };
    let store = StoreUnderTest::new(database.store_with(options).await.unwrap()).keeping(database);
    reads_on_behind(&store, slow).await;
}

/// Nobody who reads from this store skips what is written on `slow`.
async fn reads_on_behind(store: &StoreUnderTest, mut slow: PgConnection) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(3);
    let ann = user("acme", "ann");
    let first = fixtures::event_only(&random, &ann, EventType::LoginAllowed);
    store.done(first.clone()).await;
    let position = read_until(store, None, 1).await[0].position;

    let slow_event = EventId::at(START, random.bytes());
    run(&mut slow, "SET countersign.tenants = '*'").await;
    run(&mut slow, "BEGIN").await;
    write(&mut slow, slow_event).await;
    let quick = fixtures::event_only(&random, &ann, EventType::LoginAllowed);
    store.done(quick.clone()).await;
    assert!(store.users.is_committed(&quick.tenant, quick.events[0].id).await.unwrap());
    assert_eq!(read(store, Some(position)).await, [], "shown past an open transaction");
    let head = store.events.head(&tenant("acme")).await.unwrap();
    assert_eq!(head, Some(position), "the head is past an open transaction");
    let logged = store.audit.logged_events(&tenant("acme"), Some(position), 10).await.unwrap();
    assert_eq!(logged, [], "sealed past an open transaction");

    run(&mut slow, "COMMIT").await;
    let events = read_until(store, Some(position), 2).await;
    let ids: Vec<_> = events.iter().map(|event| event.record.id).collect();
    assert_eq!(ids, [slow_event, quick.events[0].id]);
    assert!(events.is_sorted_by(|one, next| one.position < next.position));
}

/// R56: the horizon holds for an open transaction that has not written its event yet, too.
#[tokio::test]
async fn a_transaction_that_may_still_write_holds_up_the_reader() {
    let (store, database) = support::fresh().await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(3);
    let ann = user("acme", "ann");
    let mut slow = database.connect().await;
    run(&mut slow, "BEGIN").await;
    run(&mut slow, "SELECT pg_current_xact_id()").await;
    store.done(fixtures::event_only(&random, &ann, EventType::LoginAllowed)).await;
    assert_eq!(read(&store, None).await, []);

    let slow_event = EventId::at(START, random.bytes());
    write(&mut slow, slow_event).await;
    run(&mut slow, "COMMIT").await;
    let events = read_until(&store, None, 2).await;
    assert_eq!(events[0].record.id, slow_event, "the older transaction stands first, though it wrote last");
}

/// A transaction that is undone holds up nobody once it is over.
#[tokio::test]
async fn an_undone_transaction_leaves_no_gap_to_wait_for() {
    let (store, database) = support::fresh().await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(3);
    let mut slow = database.connect().await;
    run(&mut slow, "BEGIN").await;
    write(&mut slow, EventId::at(START, random.bytes())).await;
    store.done(fixtures::event_only(&random, &user("acme", "ann"), EventType::LoginAllowed)).await;
    assert_eq!(read(&store, None).await, []);
    run(&mut slow, "ROLLBACK").await;
    assert_eq!(read_until(&store, None, 1).await.len(), 1);
}

/// A transaction in another database of the same server cannot write an event of ours, and holds up nobody; also where the
/// role that reads may see little of other roles' sessions.
#[tokio::test]
async fn a_neighbours_transaction_holds_up_nobody() {
    for (store, _database) in [support::fresh().await, support::fresh_as_service().await] {
        reads_beside_a_neighbour(&store).await;
    }
}

async fn reads_beside_a_neighbour(store: &StoreUnderTest) {
    store.create_tenant("acme").await;
    let neighbour = Database::empty().await;
    let mut slow = neighbour.connect().await;
    run(&mut slow, "BEGIN").await;
    run(&mut slow, "SELECT pg_current_xact_id()").await;
    let random = SeededRandom::new(3);
    store.done(fixtures::event_only(&random, &user("acme", "ann"), EventType::LoginAllowed)).await;
    assert_eq!(read_until(store, None, 1).await.len(), 1);
    run(&mut slow, "COMMIT").await;
}
