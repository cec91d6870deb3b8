//! The schema is the second line of defence: what the domain never writes, the database does not take (R43).

use super::{folder, intruder, open};
use countersign_ports::StoreError;
use countersign_testkit::SeededRandom;
use countersign_testkit::fixtures::{self, user};
use sqlx::SqliteConnection;

/// A database with one user who has everything, and a connection of an intruder.
async fn prepared() -> (tempfile::TempDir, countersign_testkit::conformance::StoreUnderTest, SqliteConnection)
{
    let (folder, path) = folder();
    let store = open(&path, 1).await;
    store.create_tenant("acme").await;
    let draw = countersign_testkit::generate::Generator::new(1);
    let mut state = draw.state();
    while state.authenticators.is_empty()
        || state.pending.is_empty()
        || state.recovery.as_ref().is_none_or(|set| set.codes.is_empty())
        || state.challenges.is_empty()
        || state.tickets.is_empty()
        || state.clients.is_empty()
        || state.directory.as_ref().is_none_or(|entry| entry.teams.is_empty() || entry.groups.is_empty())
        || state.reset_request.is_none()
        || state.failures.last_wrong.is_none()
    {
        state = draw.state();
    }
    let ann = user("acme", "ann");
    let mut change = fixtures::change_set(
        draw.random(),
        &ann,
        None,
        &countersign_domain::user::UserState::default(),
        &state,
    );
    change.request = Some(fixtures::request_record(draw.random(), &ann));
    change.notices.push(fixtures::notice_record(draw.random(), &change.events[0]));
    store.done(change).await;
    let connection = intruder(&path).await;
    (folder, store, connection)
}

/// Every one of these would leave a row that this service cannot have written.
#[tokio::test]
async fn impossible_rows_are_refused() {
    let (_folder, _store, mut connection) = prepared().await;
    for statement in [
        "UPDATE users SET version = 0",
        "UPDATE users SET epoch = -1",
        "UPDATE users SET must_enroll = 2",
        "UPDATE users SET is_on = 2",
        "UPDATE users SET is_on = NULL",
        "UPDATE users SET is_known = 2",
        "UPDATE users SET consecutive_failures = 4294967296",
        "UPDATE users SET last_wrong_digest = NULL",
        "UPDATE users SET last_wrong_digest = x'00'",
        "UPDATE users SET reset_reason = NULL",
        "UPDATE users SET reset_request_id = NULL",
        "UPDATE users SET failure_times = 'no JSON'",
        "UPDATE users SET version = 'text'",
        "UPDATE users SET first_factor_since = 'text'",
        "UPDATE users SET tenant_id = 'nowhere'",
        "UPDATE authenticators SET kind = 'SMS'",
        "UPDATE authenticators SET totp_sealed_key = NULL",
        "UPDATE authenticators SET totp_digits = NULL",
        "UPDATE authenticators SET totp_digits = 7",
        "UPDATE authenticators SET totp_period = 5",
        "UPDATE authenticators SET totp_algorithm = 'MD5'",
        "UPDATE authenticators SET totp_last_step = NULL",
        "UPDATE authenticators SET user_id = 'nobody'",
        "UPDATE authenticators SET display_name = ''",
        "UPDATE pending_enrollments SET totp_account_label = NULL",
        "UPDATE pending_enrollments SET tries_left = -1",
        "UPDATE recovery_codes SET digest = x'00'",
        "UPDATE recovery_codes SET user_id = 'nobody'",
        "UPDATE challenges SET purpose = 'OTHER'",
        "UPDATE challenges SET first_factor = 'no JSON'",
        "UPDATE tickets SET epoch = -1",
        "UPDATE remembered_clients SET generation = -1",
        "UPDATE team_memberships SET role = 'OWNER'",
        "UPDATE user_groups SET user_id = 'nobody'",
        "UPDATE events SET authenticator_id = x'00', authenticator_kind = NULL",
        "UPDATE outbox SET event_id = zeroblob(16)",
        "UPDATE requests SET arguments_digest = x'00'",
        "UPDATE policies SET revision = 0",
        "INSERT INTO tenants (tenant_id) VALUES ('Upper')",
        "INSERT INTO tenants (tenant_id) VALUES ('0digit')",
        "INSERT INTO tenants (tenant_id) VALUES ('')",
    ] {
        let refused = sqlx::raw_sql(statement).execute(&mut connection).await;
        let refused = refused.expect_err(statement);
        let refused = refused.as_database_error().unwrap_or_else(|| panic!("{statement}: {refused}"));
        // 19 is a constraint of any kind.
        let code = refused.code().unwrap().parse::<i32>().unwrap() & 0xff;
        assert_eq!(code, 19, "{statement}: {refused}");
    }
}

/// What no constraint can see is named when it is read, by entity and problem, and never half-read.
#[tokio::test]
async fn unreadable_rows_are_named_corrupt() {
    for (statement, entity) in [
        ("UPDATE users SET failure_times = '[\"soon\"]'", "user of tenant"),
        ("UPDATE authenticators SET display_name = char(7)", "authenticator"),
        ("UPDATE pending_enrollments SET totp_account_label = 'a:b'", "pending enrollment"),
        ("DELETE FROM recovery_codes WHERE position = 0", "set of recovery codes"),
        ("UPDATE challenges SET client = '[]'", "challenge"),
        ("UPDATE tickets SET issuer = '{}'", "ticket"),
        ("UPDATE directory_users SET entry = '1'", "directory entry of tenant"),
    ] {
        let (_folder, store, mut connection) = prepared().await;
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
        let loaded = store.users.load(&user("acme", "ann"), None).await;
        match loaded {
            Err(StoreError::Corrupt { entity: named, .. }) => assert_eq!(named, entity, "{statement}"),
            other => panic!("{statement}: {other:?}"),
        }
    }
}

/// A corrupt user stops nobody else.
#[tokio::test]
async fn one_corrupt_user_stops_no_other() {
    let (_folder, store, mut connection) = prepared().await;
    sqlx::raw_sql("UPDATE challenges SET client = '[]'").execute(&mut connection).await.unwrap();
    let random = SeededRandom::new(1);
    let (bob, state) = (user("acme", "bob"), fixtures::user_with_totp(&random));
    store.store_user(&random, &bob, &state).await;
    assert_eq!(store.load(&bob).await.state, state);
}

/// Rows go with what they belong to: nothing of a deleted user stays but the log.
#[tokio::test]
async fn rows_go_with_their_user() {
    let (_folder, store, mut connection) = prepared().await;
    sqlx::raw_sql("DELETE FROM users").execute(&mut connection).await.unwrap();
    let left: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM authenticators) + (SELECT count(*) FROM pending_enrollments)
            + (SELECT count(*) FROM recovery_sets) + (SELECT count(*) FROM recovery_codes)
            + (SELECT count(*) FROM challenges) + (SELECT count(*) FROM tickets)
            + (SELECT count(*) FROM remembered_clients) + (SELECT count(*) FROM directory_users)
            + (SELECT count(*) FROM team_memberships) + (SELECT count(*) FROM user_groups)",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(left, 0);
    assert_eq!(store.settled_events(&SeededRandom::new(2), &fixtures::tenant("acme")).await.len(), 2);
}
