//! Notices leave at least once and in order per user (R57).

use super::{StoreUnderTest, soon};
use crate::SeededRandom;
use crate::fixtures::{self, START, user};
use countersign_domain::event::EventType;
use countersign_domain::ids::UserRef;
use countersign_domain::time::Timestamp;
use countersign_ports::{ChangeSet, NoticeRecord, OutboxEntry};
use std::collections::HashSet;
use std::sync::Arc;
use tokio::task::JoinSet;

/// R55, R57: a committed notice is leased whole and with the event that it tells of; two about one event both leave, and so does one
/// about another event of the same change. Of two of one time either may be the first.
pub async fn a_notice_is_leased_with_its_event(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let mut change = told(&random, &user("acme", "ann"), 0);
    change.events.insert(0, fixtures::event_record(&random, &user("acme", "ann"), EventType::LoginAllowed));
    change.events[1].event = change.events[1].event.clone().with("reason", "lost \"phone\"");
    let mut old_address = fixtures::notice_record(&random, &change.events[1]);
    "old@example.com".clone_into(&mut old_address.email);
    old_address.language_code = String::new();
    old_address.create_time = at(1);
    change.notices.push(old_address);
    change.notices.push(fixtures::notice_record(&random, &change.events[0]));
    let entry = |notice: &NoticeRecord| {
        let event =
            change.events.iter().find(|event| event.id == notice.event).expect("an event of the change");
        OutboxEntry { notice: notice.clone(), event: event.clone(), attempts: 0 }
    };
    let mut due: Vec<_> = change.notices.iter().map(entry).collect();
    store.done(change).await;

    assert_eq!(lease(&store, at(-1), at(60), 10).await, [], "not due yet");
    while !due.is_empty() {
        let leased = lease(&store, at(5), at(60), 10).await;
        let [entry] = leased.as_slice() else { panic!("{leased:?}") };
        let oldest = due.iter().map(|entry| entry.notice.create_time).min();
        assert_eq!(Some(entry.notice.create_time), oldest);
        let place =
            due.iter().position(|committed| committed == entry).expect("as it was committed, and once");
        due.swap_remove(place);
        store.outbox.delivered(&[entry.notice.id]).await.expect("the store answers");
    }
    assert_eq!(lease(&store, at(5), at(60), 10).await, []);
}

/// R57: who holds a lease holds it alone until it ends; then the notice goes to the next one, as another try.
pub async fn a_lease_holds_until_it_ends(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let notice = tell(&store, &random, "ann", 0).await;
    for attempts in 0..3 {
        let now = 60 * i64::from(attempts);
        let leased = lease(&store, at(now), at(now + 60), 10).await;
        assert_eq!(leased.len(), 1);
        assert_eq!(leased[0].notice, notice);
        assert_eq!(leased[0].attempts, attempts);
        assert_eq!(lease(&store, at(now + 59), at(now + 500), 10).await, []);
    }
}

/// R57: one at a time per user, the oldest first, whatever the order of the commits; other users do not wait, and the
/// limit is kept.
pub async fn notices_of_a_user_leave_in_order(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let second = tell(&store, &random, "ann", 2).await;
    let first = tell(&store, &random, "ann", 1).await;
    let third = tell(&store, &random, "ann", 3).await;
    let other = tell(&store, &random, "bob", 9).await;

    let leased = lease(&store, at(10), at(60), 10).await;
    let ids: HashSet<_> = leased.iter().map(|entry| entry.notice.id).collect();
    assert_eq!(ids, HashSet::from([first.id, other.id]), "the oldest of each");
    for (done, next) in [(&first, &second), (&second, &third)] {
        assert_eq!(lease(&store, at(10), at(60), 10).await, []);
        store.outbox.delivered(&[done.id]).await.expect("the store answers");
        assert_eq!(only(lease(&store, at(10), at(60), 10).await), *next);
    }
    // Both leases are over, so both are due, and one is asked for.
    assert_eq!(lease(&store, at(60), at(90), 1).await.len(), 1);
    assert_eq!(lease(&store, at(60), at(90), 10).await.len(), 1);
    store.outbox.delivered(&[third.id, other.id]).await.expect("the store answers");
    assert_eq!(lease(&store, at(1_000), at(1_060), 10).await, []);
}

/// R57: a failed notice is tried again at its time, not before, and its user's later ones wait for it.
pub async fn a_failed_notice_waits_and_holds_up_the_later_ones(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let first = tell(&store, &random, "ann", 0).await;
    let second = tell(&store, &random, "ann", 1).await;
    assert_eq!(only(lease(&store, at(5), at(60), 10).await), first);
    store.outbox.failed(&first, Some(at(300)), "refused").await.expect("the store answers");
    assert_eq!(lease(&store, at(299), at(400), 10).await, []);
    let again = lease(&store, at(300), at(400), 10).await;
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].notice.clone(), again[0].attempts), (first.clone(), 1));
    store.outbox.delivered(&[first.id]).await.expect("the store answers");
    // A second word about a notice that is gone changes nothing.
    store.outbox.delivered(&[first.id]).await.expect("the store answers");
    store.outbox.failed(&first, Some(at(0)), "refused").await.expect("the store answers");
    assert_eq!(only(lease(&store, at(300), at(400), 10).await), second);
}

/// R57: while the relay is down, all of a user's notices wait for the oldest; then they leave in their order, each at once
/// after the one before.
pub async fn notices_wait_together_and_leave_in_order(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let mut waiting = Vec::new();
    for seconds in [0, 1, 1] {
        waiting.push(tell(&store, &random, "ann", seconds).await);
    }
    waiting.sort_by_key(|notice| (notice.create_time, notice.id.0));
    for (now, retry) in [(5, 100), (100, 300)] {
        let first = only(lease(&store, at(now), at(now + 60), 10).await);
        assert_eq!(first, waiting[0]);
        store.outbox.failed(&first, Some(at(retry)), "refused").await.expect("the store answers");
        assert_eq!(lease(&store, at(retry - 1), at(retry + 60), 10).await, []);
    }
    for notice in waiting {
        assert_eq!(only(lease(&store, at(300), at(360), 10).await), notice);
        store.outbox.delivered(&[notice.id]).await.expect("the store answers");
    }
    assert_eq!(lease(&store, at(1_000), at(1_060), 10).await, []);

    // An older one that came while it was tried waits for nobody.
    let first = tell(&store, &random, "bob", 1).await;
    assert_eq!(only(lease(&store, at(5), at(60), 10).await), first);
    let older = tell(&store, &random, "bob", 0).await;
    store.outbox.failed(&first, Some(at(100)), "refused").await.expect("the store answers");
    assert_eq!(only(lease(&store, at(5), at(60), 10).await), older);
}

/// R57: a notice that is given up is never leased again and lets the later ones pass.
pub async fn a_dead_letter_holds_nobody_up(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let first = tell(&store, &random, "ann", 0).await;
    let second = tell(&store, &random, "ann", 1).await;
    assert_eq!(only(lease(&store, at(5), at(60), 10).await), first);
    store.outbox.failed(&first, None, "refused").await.expect("the store answers");
    assert_eq!(only(lease(&store, at(5), at(60), 10).await), second);
    store.outbox.delivered(&[second.id]).await.expect("the store answers");
    assert_eq!(lease(&store, at(1_000_000), at(1_000_060), 10).await, []);
}

/// R57: eight dispatchers at the same moment get every notice once between them.
pub async fn concurrent_leases_share_no_notice(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let mut waiting = HashSet::new();
    for number in 0..40 {
        waiting.insert(tell(&store, &random, &format!("user-{number}"), 0).await.id);
    }
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let outbox = Arc::clone(&store.outbox);
        tasks.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let leased = outbox.lease(at(5), at(60), 3).await.expect("the store answers");
                if leased.is_empty() {
                    return mine;
                }
                mine.extend(leased.into_iter().map(|entry| entry.notice.id));
            }
        });
    }
    let mut leased: Vec<_> = soon("concurrent leases", tasks.join_all()).await.concat();
    // A store may skip what another one is just looking at; then it is still there.
    leased.extend(lease(&store, at(5), at(60), 100).await.into_iter().map(|entry| entry.notice.id));
    assert_eq!(leased.len(), 40);
    assert_eq!(leased.into_iter().collect::<HashSet<_>>(), waiting);
}

/// R43: users of two tenants with one id do not wait for each other.
pub async fn queues_of_two_tenants_are_apart(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    store.create_tenant("other").await;
    let random = SeededRandom::new(1);
    let mut waiting = HashSet::new();
    for tenant in ["acme", "other"] {
        let change = told(&random, &user(tenant, "ann"), 0);
        waiting.insert(change.notices[0].id);
        store.done(change).await;
    }
    let leased = lease(&store, at(5), at(60), 10).await;
    assert!(leased.iter().any(|entry| entry.event.tenant == fixtures::tenant("other")));
    assert_eq!(leased.into_iter().map(|entry| entry.notice.id).collect::<HashSet<_>>(), waiting);
}

/// So many seconds after [`START`].
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_micros(START.unix_micros() + seconds * 1_000_000)
}

/// A change set with one notice, decided so many seconds after [`START`].
fn told(random: &SeededRandom, user: &UserRef, seconds: i64) -> ChangeSet {
    let mut change = fixtures::event_only(random, user, EventType::MemberReset);
    change.events[0].time = at(seconds);
    change.notices.push(fixtures::notice_record(random, &change.events[0]));
    change
}

pub(super) async fn tell(
    store: &StoreUnderTest,
    random: &SeededRandom,
    name: &str,
    seconds: i64,
) -> NoticeRecord {
    let change = told(random, &user("acme", name), seconds);
    let notice = change.notices[0].clone();
    store.done(change).await;
    notice
}

pub(super) async fn lease(
    store: &StoreUnderTest,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Vec<OutboxEntry> {
    store.outbox.lease(now, until, limit).await.expect("the store answers")
}

/// The one notice that is leased.
pub(super) fn only(entries: Vec<OutboxEntry>) -> NoticeRecord {
    assert_eq!(entries.len(), 1);
    entries.into_iter().map(|entry| entry.notice).next().expect("just counted")
}
