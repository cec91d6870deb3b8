//! What the outbox makes of a row that this service cannot have written.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use countersign_domain::event::EventType;
use countersign_domain::time::Timestamp;
use countersign_ports::{MAX_UNREADABLE_LEASES, MIN_UNREADABLE_AGE};
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::fixtures::{self, START, user};
use countersign_testkit::{LoggedErrors, SeededRandom};
use sqlx::Executor;
use sqlx::postgres::PgConnection;
use std::sync::Arc;
use std::time::Duration;
use support::run;

/// So many minutes after the notices were committed.
fn at(minutes: u32) -> Timestamp {
    Timestamp::from_unix_micros(START.unix_micros() + i64::from(minutes) * 60_000_000)
}

fn minutes(span: Duration) -> u32 {
    u32::try_from(span.as_secs() / 60).unwrap()
}

/// A notice to each of these users of acme.
async fn tell(store: &StoreUnderTest, users: &[&str]) {
    let random = SeededRandom::new(1);
    for name in users {
        let mut change = fixtures::event_only(&random, &user("acme", name), EventType::MemberReset);
        change.notices.push(fixtures::notice_record(&random, &change.events[0]));
        store.done(change).await;
    }
}

async fn dead_letters(connection: &mut PgConnection) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE due_time IS NULL");
    count.fetch_one(connection).await.unwrap()
}

/// R57, R68: a notice that cannot be read holds up nobody but its user, and is a dead letter in the end: not before a newer
/// version, which may be able to read it, had days to come.
#[tokio::test]
async fn an_unreadable_notice_holds_up_no_other_user() {
    let (store, database) = support::fresh().await;
    store.create_tenant("acme").await;
    tell(&store, &["ann", "bob"]).await;
    let mut connection = database.connect().await;
    run(&mut connection, "UPDATE outbox SET user_id = '' WHERE user_id = 'ann'").await;

    let leased = store.outbox.lease(at(0), at(1), 10).await.unwrap();
    assert_eq!(leased.iter().map(|entry| entry.notice.user.as_str()).collect::<Vec<_>>(), ["bob"]);
    store.outbox.delivered(&[leased[0].notice.id]).await.unwrap();
    for lease in 1..MAX_UNREADABLE_LEASES {
        assert_eq!(dead_letters(&mut connection).await, 0, "after {lease}");
        assert_eq!(store.outbox.lease(at(lease), at(lease + 1), 10).await.unwrap(), []);
    }
    let days = minutes(MIN_UNREADABLE_AGE);
    for (now, dead) in [(days - 2, 0), (days, 1)] {
        assert_eq!(store.outbox.lease(at(now), at(now + 1), 10).await.unwrap(), []);
        assert_eq!(dead_letters(&mut connection).await, dead, "after {now} minutes");
    }
}

/// R57, R68: that a notice cannot be read is an alarm once, also of one that was leased before, when it could.
#[tokio::test]
async fn an_unreadable_notice_is_an_alarm_once() {
    let (store, database) = support::fresh().await;
    store.create_tenant("acme").await;
    tell(&store, &["ann"]).await;
    let mut connection = database.connect().await;
    let notice = store.outbox.lease(at(0), at(1), 10).await.unwrap().remove(0).notice;
    store.outbox.failed(&notice, Some(at(1)), "refused").await.unwrap();
    run(&mut connection, "UPDATE outbox SET user_id = ''").await;
    let errors = LoggedErrors::count_from_here();
    for now in [1, 2] {
        assert_eq!(store.outbox.lease(at(now), at(now + 1), 10).await.unwrap(), []);
        assert_eq!(errors.count(), 1, "after {now} minutes");
    }
}

/// R49, R57: a notice of a time to come that cannot be read is given up, and swept as one of the time when it was.
#[tokio::test]
async fn an_unreadable_notice_of_a_time_to_come_is_swept() {
    let (store, database) = support::fresh().await;
    store.create_tenant("acme").await;
    tell(&store, &["ann"]).await;
    let mut connection = database.connect().await;
    run(&mut connection, "UPDATE outbox SET user_id = '', create_time = '2100-01-01 00:00:00Z'").await;
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

/// R57: a notice that is put off takes its user's later ones along, so that no lease before its time goes through them.
#[tokio::test]
async fn later_notices_are_put_off_with_the_first() {
    let (store, database) = support::fresh().await;
    store.create_tenant("acme").await;
    tell(&store, &["ann", "ann", "ann", "bob"]).await;
    let mut connection = database.connect().await;
    let leased = store.outbox.lease(at(0), at(1), 10).await.unwrap();
    let first = leased.iter().find(|entry| entry.notice.user.as_str() == "ann").unwrap();
    store.outbox.failed(&first.notice, Some(at(50)), "refused").await.unwrap();
    let dues = "SELECT user_id, (extract(epoch FROM min(due_time)) * 1000000)::bigint, count(*) FROM outbox GROUP BY user_id ORDER BY user_id";
    let dues = sqlx::query_as::<_, (String, i64, i64)>(dues).fetch_all(&mut connection).await.unwrap();
    let of = |name: &str, due: Timestamp, notices| (name.to_owned(), due.unix_micros(), notices);
    assert_eq!(dues, [of("ann", at(50), 3), of("bob", at(1), 1)]);
}

/// R57, R66: a notice is put off also where the server ends that because somebody holds a later one and waits for this one.
#[tokio::test]
async fn putting_off_survives_a_deadlock() {
    let (store, database) = support::fresh().await;
    store.create_tenant("acme").await;
    tell(&store, &["ann", "ann"]).await;
    let first = store.outbox.lease(at(0), at(1), 10).await.unwrap().remove(0).notice;
    let mut other = database.connect().await;
    run(&mut other, "BEGIN").await;
    // So that it is not the one that is ended; if it is, there is nothing to survive.
    run(&mut other, "SET LOCAL deadlock_timeout = '10s'").await;
    run(&mut other, "SELECT FROM outbox WHERE attempts = 0 FOR UPDATE").await;
    let outbox = Arc::clone(&store.outbox);
    let putting_off = tokio::spawn(async move { outbox.failed(&first, Some(at(50)), "refused").await });
    let mut observer = database.connect().await;
    loop {
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        if sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut observer).await.unwrap() > 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    let _ = other.execute("SELECT FROM outbox WHERE attempts = 1 FOR UPDATE").await;
    run(&mut other, "ROLLBACK").await;
    putting_off.await.unwrap().unwrap();
    assert_eq!(store.outbox.lease(at(49), at(51), 10).await.unwrap(), []);
}

/// R48, R57: a notice with a time that no calendar has is a dead letter in the end as well, which is listed like any
/// other; nobody panics, and other users are told meanwhile.
#[tokio::test]
async fn a_notice_of_no_calendar_holds_up_no_other_user() {
    for column in ["create_time", "event_time"] {
        for time in ["infinity", "-infinity", "10000-01-01 00:00:00Z"] {
            let (store, database) = support::fresh().await;
            store.create_tenant("acme").await;
            tell(&store, &["ann", "bob"]).await;
            let mut connection = database.connect().await;
            run(&mut connection, "ALTER TABLE outbox DROP CONSTRAINT outbox_times").await;
            run(&mut connection, format!("UPDATE outbox SET {column} = '{time}' WHERE user_id = 'ann'"))
                .await;

            let leased = store.outbox.lease(at(0), at(1), 10).await.unwrap();
            assert_eq!(leased.iter().map(|entry| entry.notice.user.as_str()).collect::<Vec<_>>(), ["bob"]);
            store.outbox.delivered(&[leased[0].notice.id]).await.unwrap();
            for lease in 1..MAX_UNREADABLE_LEASES {
                assert_eq!(store.outbox.lease(at(lease), at(lease + 1), 10).await.unwrap(), []);
            }
            // One without a time has no age either.
            let letters = store.dead_letters.dead_letters(None, 10).await.unwrap();
            assert_eq!(letters.len(), usize::from(column == "create_time"), "{column} {time}");
            let days = minutes(MIN_UNREADABLE_AGE);
            assert_eq!(store.outbox.lease(at(days), at(days + 1), 10).await.unwrap(), []);
            let letters = store.dead_letters.dead_letters(None, 10).await.unwrap();
            assert_eq!(letters.len(), 1, "{column} {time}");
            assert!(letters[0].attempts >= MAX_UNREADABLE_LEASES);
        }
    }
}

/// R48: the schema takes no such time, neither into the outbox nor into the log.
#[tokio::test]
async fn the_schema_takes_times_of_the_calendar_only() {
    let (store, database) = support::fresh().await;
    store.create_tenant("acme").await;
    tell(&store, &["ann"]).await;
    let mut connection = database.connect().await;
    for time in ["infinity", "-infinity", "10000-01-01 00:00:00Z"] {
        let changes = ["create_time", "event_time", "due_time"]
            .map(|column| format!("UPDATE outbox SET {column} = '{time}'"))
            .into_iter()
            .chain([format!(
                "INSERT INTO events (tenant_id, event_id, event_time, kind, details, actor, caller, client, policy_revision,
                    trace_id)
                SELECT tenant_id, gen_random_uuid(), '{time}', kind, details, actor, caller, client, policy_revision,
                    trace_id
                FROM events LIMIT 1"
            )]);
        for change in changes {
            let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(change.clone())).execute(&mut connection).await;
            let code = refused
                .unwrap_err()
                .as_database_error()
                .and_then(|error| error.code().map(|it| it.to_string()));
            assert_eq!(code.as_deref(), Some("23514"), "{change}");
        }
    }
}
