//! What the outbox makes of a row that this service cannot have written.

use super::{folder, intruder, open};
use countersign_domain::event::EventType;
use countersign_domain::time::Timestamp;
use countersign_ports::{MAX_UNREADABLE_LEASES, MIN_UNREADABLE_AGE};
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::fixtures::{self, START, user};
use countersign_testkit::{LoggedErrors, SeededRandom};
use sqlx::SqliteConnection;
use std::time::Duration;

/// So many minutes after the notices were committed.
fn at(minutes: u32) -> Timestamp {
    Timestamp::from_unix_micros(START.unix_micros() + i64::from(minutes) * 60_000_000)
}

/// A notice to ann of acme.
async fn tell_ann(store: &StoreUnderTest) {
    let random = SeededRandom::new(1);
    let mut change = fixtures::event_only(&random, &user("acme", "ann"), EventType::MemberReset);
    change.notices.push(fixtures::notice_record(&random, &change.events[0]));
    store.done(change).await;
}

async fn dead_letters(connection: &mut SqliteConnection) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE due_time IS NULL");
    count.fetch_one(connection).await.unwrap()
}

/// R57, R68: a notice that cannot be read holds up nobody but its user, and is a dead letter in the end: not before a newer
/// version, which may be able to read it, had days to come.
#[tokio::test]
async fn an_unreadable_notice_holds_up_no_other_user() {
    let (_folder, path) = folder();
    let store = open(&path, 1).await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    for name in ["ann", "bob"] {
        let mut change = fixtures::event_only(&random, &user("acme", name), EventType::MemberReset);
        change.notices.push(fixtures::notice_record(&random, &change.events[0]));
        store.done(change).await;
    }
    let mut connection = intruder(&path).await;
    let broken = sqlx::query("UPDATE outbox SET user_id = '' WHERE user_id = 'ann'");
    assert_eq!(broken.execute(&mut connection).await.unwrap().rows_affected(), 1);

    let leased = store.outbox.lease(at(0), at(1), 10).await.unwrap();
    assert_eq!(leased.iter().map(|entry| entry.notice.user.as_str()).collect::<Vec<_>>(), ["bob"]);
    store.outbox.delivered(&[leased[0].notice.id]).await.unwrap();
    for lease in 1..MAX_UNREADABLE_LEASES {
        assert_eq!(dead_letters(&mut connection).await, 0, "after {lease}");
        assert_eq!(store.outbox.lease(at(lease), at(lease + 1), 10).await.unwrap(), []);
    }
    let days = u32::try_from(MIN_UNREADABLE_AGE.as_secs() / 60).unwrap();
    for (now, dead) in [(days - 2, 0), (days, 1)] {
        assert_eq!(store.outbox.lease(at(now), at(now + 1), 10).await.unwrap(), []);
        assert_eq!(dead_letters(&mut connection).await, dead, "after {now} minutes");
    }
}

/// R57, R68: that a notice cannot be read is an alarm once, also of one that was leased before, when it could; and once again
/// where it could be read meanwhile.
#[tokio::test]
async fn an_unreadable_notice_is_an_alarm_once() {
    let (_folder, path) = folder();
    let store = open(&path, 1).await;
    store.create_tenant("acme").await;
    tell_ann(&store).await;
    let mut connection = intruder(&path).await;
    let notice = store.outbox.lease(at(0), at(1), 10).await.unwrap().remove(0).notice;
    store.outbox.failed(&notice, Some(at(1)), "refused").await.unwrap();
    let errors = LoggedErrors::count_from_here();
    for (now, user, alarms) in [(1, "", 1), (2, "", 1), (3, "ann", 1), (4, "", 2), (5, "", 2)] {
        let changed = sqlx::query("UPDATE outbox SET user_id = ?").bind(user);
        changed.execute(&mut connection).await.unwrap();
        let leased = store.outbox.lease(at(now), at(now + 1), 10).await.unwrap();
        assert_eq!(leased.is_empty(), user.is_empty());
        assert_eq!(errors.count(), alarms, "after {now} minutes");
    }
}

/// R57, R68: an unreadable notice that was given up and is tried again is an alarm again when it is met.
#[tokio::test]
async fn an_unreadable_notice_that_is_tried_again_is_an_alarm_again() {
    let (_folder, path) = folder();
    let store = open(&path, 1).await;
    store.create_tenant("acme").await;
    tell_ann(&store).await;
    let mut connection = intruder(&path).await;
    sqlx::raw_sql("UPDATE outbox SET user_id = ''").execute(&mut connection).await.unwrap();
    let errors = LoggedErrors::count_from_here();
    let last = u32::try_from(MIN_UNREADABLE_AGE.as_secs() / 60).unwrap();
    for now in (0..MAX_UNREADABLE_LEASES).chain([last]) {
        assert_eq!(store.outbox.lease(at(now), at(now + 1), 10).await.unwrap(), []);
    }
    assert_eq!((dead_letters(&mut connection).await, errors.count()), (1, 2));
    let again = sqlx::query("UPDATE outbox SET attempts = 0, due_time = ?").bind(at(last).unix_micros());
    again.execute(&mut connection).await.unwrap();
    assert_eq!(store.outbox.lease(at(last), at(last + 1), 10).await.unwrap(), []);
    assert_eq!((dead_letters(&mut connection).await, errors.count()), (0, 3));
}

/// R49, R57: a notice of a time to come that cannot be read is given up, and swept as one of the time when it was.
#[tokio::test]
async fn an_unreadable_notice_of_a_time_to_come_is_swept() {
    let (_folder, path) = folder();
    let store = open(&path, 1).await;
    store.create_tenant("acme").await;
    tell_ann(&store).await;
    let mut connection = intruder(&path).await;
    let to_come = "UPDATE outbox SET user_id = '', create_time = 4102444800000000";
    sqlx::raw_sql(to_come).execute(&mut connection).await.unwrap();
    for lease in 0..MAX_UNREADABLE_LEASES {
        assert_eq!(dead_letters(&mut connection).await, 0, "after {lease}");
        assert_eq!(store.outbox.lease(at(lease), at(lease + 1), 10).await.unwrap(), []);
    }
    assert_eq!(dead_letters(&mut connection).await, 1);
    let given_up = at(MAX_UNREADABLE_LEASES - 1);
    for (before, swept) in [(given_up, 0), (given_up.plus(Duration::from_millis(1)), 1)] {
        assert_eq!(store.dead_letters.sweep_dead_letters(before, 10).await.unwrap(), swept);
    }
    assert_eq!(dead_letters(&mut connection).await, 0);
}

/// R57, R66: what comes for a user whose notice is put off waits with it, so that leases pass it over once.
#[tokio::test]
async fn what_comes_behind_a_notice_put_off_waits_with_it() {
    let (_folder, path) = folder();
    let store = open(&path, 1).await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let tell = async || {
        let mut change = fixtures::event_only(&random, &user("acme", "ann"), EventType::MemberReset);
        change.notices.push(fixtures::notice_record(&random, &change.events[0]));
        store.done(change).await;
    };
    tell().await;
    let first = store.outbox.lease(at(0), at(1), 10).await.unwrap().remove(0).notice;
    store.outbox.failed(&first, Some(at(50)), "refused").await.unwrap();
    tell().await;
    let mut connection = intruder(&path).await;
    let due = "SELECT min(due_time) FROM outbox";
    for expected in [START, at(50)] {
        let due: i64 = sqlx::query_scalar(due).fetch_one(&mut connection).await.unwrap();
        assert_eq!(due, expected.unix_micros());
        assert_eq!(store.outbox.lease(at(2), at(3), 10).await.unwrap(), []);
    }
    assert_eq!(store.outbox.lease(at(50), at(51), 10).await.unwrap()[0].notice.id, first.id);
}

/// R57: a notice that is put off takes its user's later ones along, so that no lease before its time goes through them.
#[tokio::test]
async fn later_notices_are_put_off_with_the_first() {
    let (_folder, path) = folder();
    let store = open(&path, 1).await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    for name in ["ann", "ann", "ann", "bob"] {
        let mut change = fixtures::event_only(&random, &user("acme", name), EventType::MemberReset);
        change.notices.push(fixtures::notice_record(&random, &change.events[0]));
        store.done(change).await;
    }
    let mut connection = intruder(&path).await;
    let leased = store.outbox.lease(at(0), at(1), 10).await.unwrap();
    let first = leased.iter().find(|entry| entry.notice.user.as_str() == "ann").unwrap();
    store.outbox.failed(&first.notice, Some(at(50)), "refused").await.unwrap();
    let dues = "SELECT user_id, min(due_time), count(*) FROM outbox GROUP BY user_id ORDER BY user_id";
    let dues = sqlx::query_as::<_, (String, i64, i64)>(dues).fetch_all(&mut connection).await.unwrap();
    let of = |name: &str, due: Timestamp, notices| (name.to_owned(), due.unix_micros(), notices);
    assert_eq!(dues, [of("ann", at(50), 3), of("bob", at(1), 1)]);
}
