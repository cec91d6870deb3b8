//! Idempotency: an answer is kept for its request, and only one commit gives it (R60, ruling 8).

use super::StoreUnderTest;
use super::commits::{all_at_once, wins};
use crate::SeededRandom;
use crate::fixtures::{self, START, user};
use countersign_domain::event::EventType;
use countersign_domain::ids::{CallerId, RequestId, UserRef};
use countersign_domain::secret::SecretBytes;
use countersign_domain::time::Timestamp;
use countersign_ports::{ChangeSet, RequestKey, RequestRecord};
use std::time::Duration;

/// R43, R60, ruling 8: caller, tenant, user and id all matter, and the record comes back whole, also for a user who
/// is not stored.
pub async fn an_answer_is_found_under_its_own_key_only(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    store.create_tenant("other").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let record = fixtures::request_record(&random, &ann);
    store.done(answering(&random, &ann, START, record.clone())).await;
    assert_eq!(earlier(&store, &record.key).await, Some(record.clone()));
    assert_eq!(store.load(&ann).await.earlier, None);

    let key = record.key;
    let others = [
        RequestKey { caller: CallerId::parse("spiffe://example/settings").unwrap(), ..key.clone() },
        RequestKey { user: user("acme", "bob"), ..key.clone() },
        RequestKey { user: user("other", "ann"), ..key.clone() },
        RequestKey { id: RequestId::at(START, random.bytes()), ..key },
    ];
    for other in others {
        assert_eq!(earlier(&store, &other).await, None, "{other:?}");
    }
}

/// R60: a second commit for a request that has its answer conflicts, and the answer stays the first one's.
pub async fn a_request_is_answered_once_while_its_record_lives(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let record = fixtures::request_record(&random, &ann);
    store.done(answering(&random, &ann, START, record.clone())).await;

    let mut again = record.clone();
    again.reply = SecretBytes::new(b"another answer".to_vec());
    let last_moment = Timestamp::from_unix_micros(record.expire_time.unix_micros() - 1);
    for time in [START, last_moment] {
        store.conflicts(answering(&random, &ann, time, again.clone())).await;
        let mut change = fixtures::change_set(
            &random,
            &ann,
            None,
            &store.load(&ann).await.state,
            &fixtures::user_with_totp(&random),
        );
        change.request = Some(again.clone());
        store.conflicts(change).await;
    }
    assert_eq!(store.load(&ann).await.version, None, "the state stood or fell with the answer");
    assert_eq!(earlier(&store, &record.key).await, Some(record));
}

/// An expired record is shown until it is swept or replaced, because the time to judge by is the caller's.
pub async fn an_expired_record_is_still_shown_and_then_replaced(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let record = fixtures::request_record(&random, &ann);
    store.done(answering(&random, &ann, START, record.clone())).await;

    let later = record.expire_time;
    let next = RequestRecord {
        reply: SecretBytes::new(b"another answer".to_vec()),
        expire_time: later.plus(Duration::from_mins(10)),
        ..record.clone()
    };
    store.done(answering(&random, &ann, later, next.clone())).await;
    assert_eq!(earlier(&store, &record.key).await, Some(next.clone()));
    store.conflicts(answering(&random, &ann, later, record)).await;
    assert_eq!(earlier(&store, &next.key).await, Some(next));
}

/// R60: of 16 commits of one request at the same moment one gives the answer, though no version guards them.
pub async fn of_concurrent_commits_of_one_request_exactly_one_wins(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let key = fixtures::request_record(&random, &ann).key;
    let changes = (0..16).map(|_| {
        let record = RequestRecord { key: key.clone(), ..fixtures::request_record(&random, &ann) };
        answering(&random, &ann, START, record)
    });
    let changes: Vec<_> = changes.collect();
    assert_eq!(wins(all_at_once(&store, changes.clone()).await), 1);
    let mut kept = Vec::new();
    for change in changes {
        if store.is_committed(&ann.tenant, change.events[0].id).await {
            kept.push(change.request);
        }
    }
    assert_eq!(kept, [earlier(&store, &key).await], "the answer is the winner's");
}

async fn earlier(store: &StoreUnderTest, key: &RequestKey) -> Option<RequestRecord> {
    let loaded = store.users.load(&key.user, Some(key)).await.expect("the store answers");
    loaded.expect("the tenant exists").earlier
}

/// A change set that changes nobody, decided at `time`, with that answer.
fn answering(random: &SeededRandom, user: &UserRef, time: Timestamp, record: RequestRecord) -> ChangeSet {
    let mut change = fixtures::event_only(random, user, EventType::LoginChallenged);
    change.events[0].time = time;
    change.events[0].request_id = Some(record.key.id);
    change.request = Some(record);
    change
}
