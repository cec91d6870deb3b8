//! Looks at the log that go through much, and who does not wait for them.

use super::{folder, intruder, keyring, open};
use crate::SqliteStore;
use countersign_domain::event::EventType;
use countersign_ports::{EventQuery, UserStore};
use countersign_testkit::SeededRandom;
use countersign_testkit::fixtures::{self, START, tenant, user};
use sqlx::{AssertSqlSafe, Executor};
use std::sync::Arc;
use std::time::Duration;

/// R49: one event of a type behind very many others is found, by looks that each go through some of them and say how far they
/// came; what is asked for without a filter, or of a user, needs no second look.
#[tokio::test]
async fn a_filter_that_matches_little_gets_on() {
    let (_folder, path) = folder();
    let store = open(&path, 1).await;
    store.create_tenant("acme").await;
    // One writer: the next event of the service has the next number.
    let others = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 210000)
        INSERT INTO events (
            tenant_id, transaction_id, number, event_id, event_time, user_id, kind, details, actor, caller, client,
            policy_revision, trace_id
        ) SELECT 'acme', last, n, randomblob(16), $START, 'others', 'LOGIN_REFUSED', '[]', 'job:many', 'loopback',
            '{\"ip_address\":\"\",\"user_agent\":\"\",\"application\":\"\",\"language_code\":\"\"}', 1, ''
        FROM numbers, (SELECT max(transaction_id) AS last FROM events)";
    let others = others.replace("$START", &START.unix_micros().to_string());
    intruder(&path).await.execute(AssertSqlSafe(others)).await.unwrap();
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let mut change = fixtures::event_only(&random, &ann, EventType::LoginAllowed);
    change.events[0].time = START.plus(Duration::from_hours(1));
    let id = change.events[0].id;
    store.done(change).await;

    let all = EventQuery {
        tenant: tenant("acme"),
        user: None,
        kinds: Vec::new(),
        start_time: None,
        end_time: None,
        after: None,
        limit: 100,
    };
    let of_a_kind = EventQuery { kinds: vec![EventType::LoginAllowed], ..all.clone() };
    let of_a_time = EventQuery { start_time: Some(START.plus(Duration::from_hours(1))), ..all.clone() };
    for query in [of_a_kind, of_a_time] {
        let mut behind = query.clone();
        let mut looks = Vec::new();
        let found = loop {
            let look = store.events.look(&behind).await.unwrap();
            looks.push(look.stopped_at);
            match look.stopped_at {
                Some(position) => {
                    assert!(behind.after < Some(position), "it gets on");
                    assert_eq!(look.events, [], "all of them are others");
                    behind.after = Some(position);
                }
                None => break look.events,
            }
        };
        assert_eq!(found.iter().map(|stored| stored.record.id).collect::<Vec<_>>(), [id]);
        assert!(looks.len() >= 2, "{looks:?}");
        // Asked for as a whole, as by a job, it is one answer.
        assert_eq!(store.events.events(&query).await.unwrap(), found);
        // A user's own are found by an index.
        let of_ann = EventQuery { user: Some(ann.user.clone()), ..query };
        assert_eq!(store.events.look(&of_ann).await.unwrap(), found.into());
    }
    let first = store.events.look(&all).await.unwrap();
    assert_eq!((first.events.len(), first.stopped_at), (100, None));
}

/// R66: while others have every connection that reads, a login's load has its own.
#[tokio::test]
async fn loads_do_not_wait_for_readers() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(&path, keyring(1), Arc::new(SeededRandom::new(99))).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..store.reads.options().get_max_connections() {
        held.push(store.reader().await.unwrap());
    }
    assert_eq!(store.load(&user("acme", "ann"), None).await.unwrap(), None);
    drop(held);
}
