//! Positions of events: nobody who reads on ever skips one, however transactions interleave.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use countersign_domain::event::EventType;
use countersign_domain::ids::EventId;
use countersign_ports::{EventPosition, EventQuery, StoredEvent};
use countersign_testkit::SeededRandom;
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::fixtures::{self, START, tenant, user};
use sqlx::postgres::PgConnection;
use std::time::Duration;
use support::{Database, run};

async fn read(store: &StoreUnderTest, after: Option<EventPosition>) -> Vec<StoredEvent> {
    let query = EventQuery {
        tenant: tenant("acme"),
        user: None,
        kinds: vec![EventType::LoginAllowed],
        start_time: None,
        end_time: None,
        after,
        limit: 100,
    };
    store.events.events(&query).await.unwrap()
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
    store.create_tenant("acme").await;
    let random = SeededRandom::new(3);
    let ann = user("acme", "ann");
    let first = fixtures::event_only(&random, &ann, EventType::LoginAllowed);
    store.done(first.clone()).await;
    let position = read_until(&store, None, 1).await[0].position;

    let mut slow = database.connect().await;
    let slow_event = EventId::at(START, random.bytes());
    run(&mut slow, "BEGIN").await;
    write(&mut slow, slow_event).await;
    let quick = fixtures::event_only(&random, &ann, EventType::LoginAllowed);
    store.done(quick.clone()).await;
    assert!(store.users.is_committed(&quick.tenant, quick.events[0].id).await.unwrap());
    assert_eq!(read(&store, Some(position)).await, [], "shown past an open transaction");

    run(&mut slow, "COMMIT").await;
    let events = read_until(&store, Some(position), 2).await;
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

/// A transaction in another database of the same server cannot write an event of ours, and holds up nobody.
#[tokio::test]
async fn a_neighbours_transaction_holds_up_nobody() {
    let (store, _database) = support::fresh().await;
    store.create_tenant("acme").await;
    let neighbour = Database::empty().await;
    let mut slow = neighbour.connect().await;
    run(&mut slow, "BEGIN").await;
    run(&mut slow, "SELECT pg_current_xact_id()").await;
    let random = SeededRandom::new(3);
    store.done(fixtures::event_only(&random, &user("acme", "ann"), EventType::LoginAllowed)).await;
    assert_eq!(read_until(&store, None, 1).await.len(), 1);
    run(&mut slow, "COMMIT").await;
}
