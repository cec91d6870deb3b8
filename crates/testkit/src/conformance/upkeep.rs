//! What keeps a store small and trustworthy.

use super::StoreUnderTest;
use crate::SeededRandom;
use crate::fixtures::{self, START, user};
use crate::generate::Generator;
use countersign_domain::event::EventType;
use std::time::Duration;

/// R61: a store that answers and is durable says so.
pub async fn a_sound_store_passes_its_check(store: StoreUnderTest) {
    store.maintenance.check().await.expect("a sound store");
}

/// R49: a sweep deletes expired answers, at most so many, counts them, and touches no answer that lives, no user, no
/// event and no notice.
pub async fn a_sweep_takes_expired_answers_and_nothing_else(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let draw = Generator::new(5_000);
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let state = draw.state();
    store.store_user(&random, &ann, &state).await;
    let mut keys = Vec::new();
    for minutes in [10, 11, 12, 60] {
        let mut change = fixtures::event_only(&random, &ann, EventType::LoginAllowed);
        let mut record = fixtures::request_record(&random, &ann);
        record.expire_time = START.plus(Duration::from_mins(minutes));
        keys.push(record.key.clone());
        change.request = Some(record);
        change.notices.push(fixtures::notice_record(&random, &change.events[0]));
        store.done(change).await;
    }
    let events = store.settled_events(&random, &tenant).await;

    let later = START.plus(Duration::from_mins(30));
    let mut swept = Vec::new();
    for _ in 0..3 {
        swept.push(store.maintenance.sweep(later, 2).await.expect("the store answers"));
    }
    assert_eq!(swept, [2, 1, 0]);
    for (index, key) in keys.iter().enumerate() {
        let loaded = store.users.load(&ann, Some(key)).await.expect("an answer").expect("the tenant exists");
        assert_eq!(loaded.earlier.is_some(), index == 3);
        assert_eq!(loaded.state, state);
    }
    let after = store.settled_events(&random, &tenant).await;
    assert_eq!(after[..events.len()], events);
    let leased = store.outbox.lease(later, later.plus(Duration::from_mins(1)), 10).await;
    assert_eq!(leased.expect("the store answers").len(), 1);
}
