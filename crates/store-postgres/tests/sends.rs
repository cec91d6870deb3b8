//! R71: counts of text messages, where something fails in the middle.

mod support;

use countersign_domain::event::EventType;
use countersign_domain::sms::budget::{self, SendCharge, SendCounters, SendCounts, SendLimits};
use countersign_testkit::SeededRandom;
use countersign_testkit::fixtures::{self, START, user};
use std::time::Duration;
use support::run;

/// R71: a text message is given back to all of its counts or to none.
#[tokio::test]
async fn a_message_is_given_back_whole() {
    let (store, database) = support::fresh().await;
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let counters = SendCounters {
        day: budget::day(START),
        user: random.bytes(),
        number: random.bytes(),
        tenant: random.bytes(),
    };
    let mut change = fixtures::event_only(&random, &user("acme", "ann"), EventType::LoginChallenged);
    change.send = Some(SendCharge { counters, limits: SendLimits { user: 9, number: 9, tenant: 9 } });
    store.done(change).await;

    // Somebody holds the count of the tenant, which is the last one.
    let mut blocker = database.connect().await;
    run(&mut blocker, "BEGIN").await;
    let held = sqlx::query("SELECT FROM text_message_counts WHERE counter_digest = $1 FOR UPDATE");
    held.bind(counters.tenant.as_slice()).execute(&mut blocker).await.unwrap();
    let sends = store.sends.clone();
    let giving = tokio::spawn(async move { sends.give_back(&tenant, &counters).await });
    let mut observer = database.connect().await;
    let ended = async {
        loop {
            let end = sqlx::query_scalar::<_, bool>(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'",
            );
            if end.fetch_optional(&mut observer).await.unwrap().is_some() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(2), ended).await.expect("it waits for the count");
    assert!(giving.await.unwrap().is_err());
    run(&mut blocker, "ROLLBACK").await;
    let one = SendCounts { user: 1, number: 1, tenant: 1 };
    assert_eq!(store.sends.counts(&fixtures::tenant("acme"), &counters).await.unwrap(), one);
}
