//! Counts of text messages: raised by commits, exact over all of them, swept when their day is over.

use super::StoreUnderTest;
use crate::SeededRandom;
use crate::fixtures::{self, START, user};
use countersign_domain::event::EventType;
use countersign_domain::ids::UserRef;
use countersign_domain::sms::budget::{self, SendCharge, SendCounters, SendCounts, SendLimits};
use countersign_ports::{ChangeSet, Commit};
use std::time::Duration;

fn counters(random: &SeededRandom) -> SendCounters {
    SendCounters {
        day: budget::day(START),
        user: random.bytes(),
        number: random.bytes(),
        tenant: random.bytes(),
    }
}

fn sending(random: &SeededRandom, user: &UserRef, counters: SendCounters, limits: SendLimits) -> ChangeSet {
    let mut change = fixtures::event_only(random, user, EventType::LoginChallenged);
    change.send = Some(SendCharge { counters, limits });
    change
}

/// R71: a message beyond any one limit is not committed, nor is any part of its change set; one for another user, number
/// or day is.
pub async fn a_full_count_is_a_conflict_and_leaves_nothing_behind(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let mine = counters(&random);
    let wide = SendLimits { user: 9, number: 9, tenant: 9 };
    store.done(sending(&random, &ann, mine, wide)).await;
    store.done(sending(&random, &ann, mine, wide)).await;
    let two = SendCounts { user: 2, number: 2, tenant: 2 };
    assert_eq!(store.sends.counts(&ann.tenant, &mine).await.expect("an answer"), two);
    for limits in
        [SendLimits { user: 2, ..wide }, SendLimits { number: 2, ..wide }, SendLimits { tenant: 2, ..wide }]
    {
        store.conflicts(sending(&random, &ann, mine, limits)).await;
        assert_eq!(store.sends.counts(&ann.tenant, &mine).await.expect("an answer"), two, "{limits:?}");
    }
    let tomorrow = SendCounters { day: mine.day + 1, ..mine };
    store.done(sending(&random, &ann, tomorrow, SendLimits { user: 1, ..wide })).await;
    let other = SendCounters { user: random.bytes(), ..mine };
    store.done(sending(&random, &ann, other, SendLimits { user: 1, ..wide })).await;
    let seen = store.sends.counts(&ann.tenant, &other).await.expect("an answer");
    assert_eq!(seen, SendCounts { user: 1, number: 3, tenant: 3 });
    store.create_tenant("other").await;
    let bob = user("other", "bob");
    assert_eq!(store.sends.counts(&bob.tenant, &mine).await.expect("an answer"), SendCounts::default());
}

/// R71: of many messages at once exactly as many are committed as the limit allows.
pub async fn counts_are_exact_where_many_send_at_once(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let shared: [u8; 32] = random.bytes();
    let limits = SendLimits { user: 1, number: 1, tenant: 5 };
    let sends: Vec<_> = (0..12)
        .map(|number| {
            let user = user("acme", &format!("user-{number}"));
            let counters = SendCounters { tenant: shared, ..counters(&random) };
            let change = sending(&random, &user, counters, limits);
            let store = store.clone();
            tokio::spawn(async move { store.users.commit(change).await.expect("an answer") })
        })
        .collect();
    let mut done = 0;
    for send in sends {
        done += u32::from(send.await.expect("no panic") == Commit::Done);
    }
    assert_eq!(done, 5);
    let seen = SendCounters { tenant: shared, ..counters(&random) };
    let seen = store.sends.counts(&fixtures::tenant("acme"), &seen).await.expect("an answer");
    assert_eq!(seen.tenant, 5);
}

/// R71: a message that is handed over after all is counted again, below the same limits, in all of its counts or in none.
pub async fn what_was_given_back_is_counted_again(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let mine = counters(&random);
    let limits = SendLimits { user: 2, number: 2, tenant: 1 };
    let charge = SendCharge { counters: mine, limits };
    let charged = async || store.sends.charge(&ann.tenant, &charge).await.expect("an answer");
    let counts = async || store.sends.counts(&ann.tenant, &mine).await.expect("an answer");
    store.done(sending(&random, &ann, mine, limits)).await;
    let one = SendCounts { user: 1, number: 1, tenant: 1 };
    assert_eq!((charged().await, counts().await), (Commit::Conflict, one));
    store.sends.give_back(&ann.tenant, &mine).await.expect("an answer");
    assert_eq!((charged().await, counts().await), (Commit::Done, one));
    assert_eq!((charged().await, counts().await), (Commit::Conflict, one));
    store.conflicts(sending(&random, &ann, mine, limits)).await;
}

/// A message that was not sent makes room again, and never more than was counted. R49: a day that is over is swept.
pub async fn what_was_not_sent_is_given_back(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let mine = counters(&random);
    let limits = SendLimits { user: 1, number: 1, tenant: 1 };
    store.done(sending(&random, &ann, mine, limits)).await;
    store.conflicts(sending(&random, &ann, mine, limits)).await;
    store.sends.give_back(&ann.tenant, &mine).await.expect("an answer");
    store.sends.give_back(&ann.tenant, &mine).await.expect("an answer");
    store.done(sending(&random, &ann, mine, limits)).await;
    store.conflicts(sending(&random, &ann, mine, limits)).await;

    assert_eq!(store.maintenance.sweep(START, 10).await.expect("an answer"), 0);
    let tomorrow = START.plus(Duration::from_hours(24));
    assert_eq!(store.maintenance.sweep(tomorrow, 10).await.expect("an answer"), 3);
    assert_eq!(store.sends.counts(&ann.tenant, &mine).await.expect("an answer"), SendCounts::default());
}
