//! How far back the log goes.

use super::{StoreUnderTest, everything_of};
use crate::SeededRandom;
use crate::fixtures::{self, START, user};
use countersign_domain::event::EventType;
use countersign_domain::ids::TenantId;
use countersign_domain::time::Timestamp;
use countersign_ports::{EventPosition, EventQuery, StoredEvent};
use std::time::Duration;

/// More than a month is long.
const MONTHS: Duration = Duration::from_hours(24 * 80);

/// R49: events older than the bound are dropped, younger ones never; the floor is the last one that is gone, for each
/// tenant by itself, so that a reader who has seen it has missed nothing.
pub async fn old_events_are_dropped_and_the_floor_says_up_to_where(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let other = store.create_tenant("other").await;
    assert_eq!(store.events.floor(&tenant).await.expect("the store answers"), None);
    let random = SeededRandom::new(1);
    // The first are older than a month that is over by then, the last are not.
    for number in 0..6 {
        tell(&store, &random, START.plus(Duration::from_secs(number))).await;
    }
    let late = Timestamp::from_unix_micros(FAR.unix_micros() + 5);
    let last = tell(&store, &random, late).await;
    let before = store.read_until(&everything_of(&tenant), last).await;

    assert_eq!(head(&store, &tenant).await, before.last().map(|last| last.position));

    // The months that are dropped are over; what is left over lies in one that is not.
    prepare(&store).await;
    let kept = drop_all(&store, START).await;
    assert_eq!(kept, 0, "nothing is older than the first");
    assert_eq!(read(&store, &everything_of(&tenant)).await, before);
    drop_all(&store, FAR).await;
    let held = read(&store, &everything_of(&tenant)).await;
    assert_eq!(held, before[7..], "younger ones stay, older ones go");
    assert_eq!(head(&store, &tenant).await, Some(held[0].position));
    assert_eq!(head(&store, &other).await, None, "nothing is held of it");
    let floor = store.events.floor(&tenant).await.expect("the store answers");
    assert_eq!(floor, Some(before[6].position));
    let floor = store.events.floor(&other).await.expect("the store answers");
    assert!(floor.is_some(), "its creation is gone");
    assert_eq!(drop_all(&store, FAR).await, 0);
}

/// R57: an event is held as long as a notice of it is on its way, and what was told after it with it; a dead letter goes
/// with its event.
pub async fn an_event_whose_notice_is_on_its_way_is_held(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let mut change = fixtures::event_only(&random, &user("acme", "ann"), EventType::MemberReset);
    let notice = fixtures::notice_record(&random, &change.events[0]);
    change.notices.push(notice.clone());
    let id = change.events[0].id;
    store.done(change).await;
    prepare(&store).await;
    drop_all(&store, FAR).await;
    assert!(store.is_committed(&tenant, id).await);
    let leased = store.outbox.lease(FAR, FAR.plus(Duration::from_mins(1)), 10).await;
    assert_eq!(leased.expect("the store answers").len(), 1);
    store.outbox.failed(&notice, None, "refused").await.expect("the store answers");
    drop_all(&store, FAR).await;
    assert!(!store.is_committed(&tenant, id).await);
    let leased = store.outbox.lease(FAR.plus(MONTHS), FAR.plus(2 * MONTHS), 10).await;
    assert_eq!(leased.expect("the store answers"), []);
}

/// Positions never start over: a reader who has seen what was dropped goes on with what comes next.
pub async fn positions_go_on_after_everything_was_dropped(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let last = tell(&store, &random, START).await;
    let before = store.read_until(&everything_of(&tenant), last).await;
    prepare(&store).await;
    drop_all(&store, FAR).await;
    assert_eq!(read(&store, &everything_of(&tenant)).await, []);
    let next = tell(&store, &random, FAR).await;
    let after = EventQuery { after: before.last().map(|stored| stored.position), ..everything_of(&tenant) };
    let read = store.read_until(&after, next).await;
    assert_eq!(read.iter().map(|stored| stored.record.id).collect::<Vec<_>>(), [next]);
    assert!(store.events.floor(&tenant).await.expect("the store answers") < Some(read[0].position));
}

/// 2200-01-01T00:00:00Z: every month of a store made today is over by then, and the next begins.
const FAR: Timestamp = Timestamp::from_unix_seconds(7_258_118_400);

async fn prepare(store: &StoreUnderTest) {
    store.maintenance.prepare_events(FAR).await.expect("the store answers");
    store.maintenance.prepare_events(FAR).await.expect("the store answers again");
}

/// Drops until nothing is left to drop; gives how many pieces.
async fn drop_all(store: &StoreUnderTest, before: Timestamp) -> u64 {
    let mut dropped = 0;
    loop {
        match store.maintenance.drop_events(before).await.expect("the store answers") {
            0 => return dropped,
            pieces => dropped += pieces,
        }
    }
}

/// How far the log of the tenant goes.
async fn head(store: &StoreUnderTest, tenant: &TenantId) -> Option<EventPosition> {
    store.events.head(tenant).await.expect("the store answers")
}

async fn tell(
    store: &StoreUnderTest,
    random: &SeededRandom,
    time: Timestamp,
) -> countersign_domain::ids::EventId {
    let mut change = fixtures::event_only(random, &user("acme", "ann"), EventType::LoginAllowed);
    change.events[0].time = time;
    let id = change.events[0].id;
    store.done(change).await;
    id
}

/// What is committed has been read before, so that a store shows it.
async fn read(store: &StoreUnderTest, query: &EventQuery) -> Vec<StoredEvent> {
    store.events.events(query).await.expect("the store answers")
}
