//! The log: every commit tells its events, whole, in order, and to every reader (R55).

use super::commits::{all_at_once, wins};
use super::{StoreUnderTest, everything_of, soon};
use crate::SeededRandom;
use crate::fixtures::{self, START, user};
use crate::generate::Generator;
use countersign_domain::event::EventType;
use countersign_domain::ids::{EventId, TenantId};
use countersign_ports::{EventQuery, EventRecord};
use std::collections::HashSet;
use std::time::Duration;

/// R55: events come back field by field, in the order of their commits and within each in the order of the change set,
/// also where no state changed.
pub async fn every_field_of_an_event_comes_back_in_order(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let draw = Generator::new(3_000);
    let ann = user("acme", "ann");
    let created = store.settled_events(draw.random(), &tenant).await;
    assert_eq!(created.len(), 1);
    assert_eq!(created[0].event.kind, EventType::TenantCreated);

    let mut told = Vec::new();
    for _ in 0..40 {
        let mut change = fixtures::event_only(draw.random(), &ann, EventType::LoginAllowed);
        change.events = (0..=draw.random().below(3)).map(|_| draw.event_record(&ann)).collect();
        told.extend(change.events.clone());
        store.done(change).await;
    }
    let read = store.settled_events(draw.random(), &tenant).await;
    assert_eq!(read[2..], told, "after the tenant's event and the first marker");
}

/// R55: every filter shows what it names and nothing else, and pages of any size show each event once.
pub async fn filters_and_pages_show_each_event_once(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let kinds = [EventType::LoginAllowed, EventType::LoginRefused, EventType::UserLocked];
    for minute in 0..30_usize {
        let subject = user("acme", ["ann", "bob"][minute % 2]);
        let mut change = fixtures::event_only(&random, &subject, kinds[minute % 3]);
        change.events[0].time = START.plus(Duration::from_mins(minute as u64));
        store.done(change).await;
    }
    let all = store.settled_events(&random, &tenant).await;
    let minute = |number: u64| START.plus(Duration::from_mins(number));
    let everything = everything_of(&tenant);
    let ann = user("acme", "ann").user;
    let queries = [
        everything.clone(),
        EventQuery { user: Some(ann.clone()), ..everything.clone() },
        EventQuery { kinds: vec![EventType::UserLocked], ..everything.clone() },
        EventQuery { kinds: vec![EventType::LoginRefused, EventType::UserLocked], ..everything.clone() },
        EventQuery { start_time: Some(minute(3)), end_time: Some(minute(17)), ..everything.clone() },
        EventQuery {
            user: Some(ann),
            kinds: vec![EventType::LoginAllowed],
            start_time: Some(minute(1)),
            end_time: Some(minute(25)),
            ..everything.clone()
        },
        EventQuery { user: Some(user("acme", "nobody").user), ..everything },
    ];
    for query in queries {
        let wanted: Vec<_> =
            all.iter().filter(|record| matches(&query, record)).map(|record| record.id).collect();
        for limit in [1, 2, 7, 1_000] {
            let paged = pages(&store, EventQuery { limit, ..query.clone() }).await;
            // The marker of the reading above is there too; it is nobody's of these.
            let paged: Vec<_> =
                paged.into_iter().filter(|id| all.iter().any(|record| record.id == *id)).collect();
            assert_eq!(paged, wanted, "{query:?} in pages of {limit}");
        }
    }
}

/// R60: events are found by the time of their making, to the millisecond, of that tenant and those types alone.
pub async fn events_are_found_by_the_time_of_their_making(store: StoreUnderTest) {
    let (tenant, other) = (store.create_tenant("acme").await, store.create_tenant("beta").await);
    let random = SeededRandom::new(2);
    let after = |millis| START.plus(Duration::from_mins(1)).plus(Duration::from_millis(millis));
    let mut made = Vec::new();
    for (millis, kind, of) in [
        (0, EventType::UserLocked, "acme"),
        (5, EventType::LoginAllowed, "acme"),
        (5, EventType::UserLocked, "acme"),
        (5, EventType::UserLocked, "beta"),
        (9, EventType::LoginRefused, "acme"),
        (10, EventType::UserLocked, "acme"),
    ] {
        let mut change = fixtures::event_only(&random, &user(of, "ann"), kind);
        change.events[0].time = after(millis);
        change.events[0].id = EventId::at(after(millis), random.bytes());
        made.push(change.events[0].id);
        store.done(change).await;
    }
    let found = async |of: &TenantId, kinds: &[EventType], (start, end): (u64, u64), limit| {
        let found = store.events.made_between(of, kinds, (after(start), after(end)), limit).await.unwrap();
        found.into_iter().map(|stored| stored.record.id).collect::<Vec<_>>()
    };
    let locked = [EventType::UserLocked];
    assert_eq!(found(&tenant, &locked, (0, 11), 10).await, [made[0], made[2], made[5]]);
    assert_eq!(found(&tenant, &locked, (0, 10), 10).await, [made[0], made[2]]);
    assert_eq!(found(&tenant, &locked, (1, 5), 10).await, []);
    assert_eq!(found(&tenant, &locked, (0, 11), 1).await, [made[0]]);
    assert_eq!(found(&other, &locked, (0, 11), 10).await, [made[3]]);
    let two = [EventType::LoginRefused, EventType::LoginAllowed];
    assert_eq!(found(&tenant, &two, (5, 10), 10).await, [made[1], made[4]]);
}

/// Nobody ever skips an event: a reader who resumes from the last position while 200 commits come in concurrently
/// reads each of them once, in the order that a later reader finds.
pub async fn a_reader_behind_concurrent_writers_misses_nothing(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let changes: Vec<_> =
        (0..200).map(|_| fixtures::event_only(&random, &ann, EventType::LoginAllowed)).collect();
    let told: HashSet<EventId> = changes.iter().map(|change| change.events[0].id).collect();

    let reader = tokio::spawn({
        let (store, told) = (store.clone(), told.clone());
        let mut query = EventQuery { limit: 3, ..everything_of(&tenant) };
        async move {
            let mut read = Vec::new();
            while read.iter().filter(|id| told.contains(id)).count() < told.len() {
                let page = store.events.events(&query).await.expect("the store answers");
                query.after = page.last().map(|stored| stored.position).or(query.after);
                read.extend(page.into_iter().map(|stored| stored.record.id));
                tokio::task::yield_now().await;
            }
            read
        }
    });
    assert_eq!(wins(all_at_once(&store, changes).await), 200);
    let read = soon("a reader of all events", reader).await.expect("the reader does not panic");
    let later: Vec<_> =
        store.settled_events(&random, &tenant).await.into_iter().map(|record| record.id).collect();
    assert_eq!(read, later);
}

/// R60: an event that is there proves that its change set committed; one that is not, that it did not.
pub async fn an_event_proves_its_commit(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let mut change = fixtures::event_only(&random, &user("acme", "ann"), EventType::LoginAllowed);
    change.events.push(fixtures::event_record(&random, &user("acme", "ann"), EventType::UserLocked));
    let ids: Vec<_> = change.events.iter().map(|event| event.id).collect();
    for id in &ids {
        assert!(!store.is_committed(&tenant, *id).await);
    }
    store.done(change).await;
    for id in &ids {
        assert!(store.is_committed(&tenant, *id).await);
    }
    assert!(!store.is_committed(&fixtures::tenant("nowhere"), ids[0]).await);
}

/// All ids that the query shows, page by page.
async fn pages(store: &StoreUnderTest, mut query: EventQuery) -> Vec<EventId> {
    let mut ids = Vec::new();
    loop {
        let page = store.events.events(&query).await.expect("the store answers");
        assert!(page.len() <= query.limit as usize);
        let Some(last) = page.last() else { return ids };
        query.after = Some(last.position);
        ids.extend(page.iter().map(|stored| stored.record.id));
    }
}

/// The filters of a query in the words of this suite.
fn matches(query: &EventQuery, record: &EventRecord) -> bool {
    query.user.as_ref().is_none_or(|user| record.user.as_ref() == Some(user))
        && (query.kinds.is_empty() || query.kinds.contains(&record.event.kind))
        && query.start_time.is_none_or(|start| start <= record.time)
        && query.end_time.is_none_or(|end| record.time < end)
}
