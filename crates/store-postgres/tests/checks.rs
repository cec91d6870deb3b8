//! The second line of defence behind the domain: what no row may hold is refused also where a trigger looks, and not a
//! constraint of the table (ADR 22).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::{SeededRandom, fixtures};
use sqlx::postgres::{PgConnection, PgDatabaseError};
use std::sync::Arc;
use support::Database;

/// A user with an authenticator app.
async fn one_user() -> (StoreUnderTest, Arc<Database>, PgConnection) {
    let (store, database) = support::fresh().await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let state = fixtures::user_with_totp(&random);
    store.store_user(&random, &fixtures::user("acme", "ann"), &state).await;
    let connection = database.connect().await;
    (store, database, connection)
}

/// Which rule the statement breaks, if it breaks one.
async fn broken(connection: &mut PgConnection, statement: &str) -> Option<String> {
    let done = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(connection).await;
    let error = match done {
        Ok(done) => {
            assert_eq!(done.rows_affected(), 1, "{statement}");
            return None;
        }
        Err(error) => error,
    };
    let error = error.as_database_error().unwrap().downcast_ref::<PgDatabaseError>();
    assert_eq!(error.code(), "23514", "{statement}: {error}");
    error.constraint().map(str::to_owned)
}

const A_CODE_SENT: &str = "sms_send_id = gen_random_uuid(), sms_send_key = 1, sms_send_challenge_id = gen_random_uuid(), \
    sms_send_time = now(), sms_send_expire_time = now()";
const NO_APP: &str = "totp_sealed_key = NULL, totp_algorithm = NULL, totp_digits = NULL, totp_period = NULL, \
    totp_last_step = NULL";

/// An authenticator has what its kind has, and nothing else.
#[tokio::test]
async fn an_authenticator_is_of_one_kind() {
    let (_store, _database, mut connection) = one_user().await;
    let telephone = format!("kind = 'SMS', sms_sealed_number = '\\x01', {NO_APP}");
    let key = format!(
        "kind = 'SECURITY_KEY', key_sealed = '\\x01', key_sign_count = 0, key_backed_up = false, {NO_APP}"
    );
    for (set, rule) in [
        ("kind = 'PIGEON'".to_owned(), "authenticators_kind"),
        ("totp_sealed_key = NULL".to_owned(), "authenticators_totp"),
        ("totp_digits = NULL".to_owned(), "authenticators_totp"),
        (format!("kind = 'SMS', {NO_APP}"), "authenticators_sms"),
        ("totp_algorithm = 'MD5'".to_owned(), "authenticators_totp_parameters"),
        ("totp_digits = 7".to_owned(), "authenticators_totp_parameters"),
        ("totp_period = 14".to_owned(), "authenticators_totp_parameters"),
        ("totp_period = 121".to_owned(), "authenticators_totp_parameters"),
        ("sms_sealed_number = '\\x01'".to_owned(), "authenticators_sms"),
        (A_CODE_SENT.to_owned(), "authenticators_sms_send"),
        ("sms_send_used_time = now()".to_owned(), "authenticators_sms_send"),
        (format!("{telephone}, {A_CODE_SENT}, sms_send_time = NULL"), "authenticators_sms_send"),
        (format!("{telephone}, {A_CODE_SENT}, sms_send_key = -1"), "authenticators_sms_send"),
        ("key_sealed = '\\x01'".to_owned(), "authenticators_key"),
        (format!("{key}, key_backed_up = NULL"), "authenticators_key"),
        (format!("{key}, key_sign_count = 4294967296"), "authenticators_key_sign_count"),
        ("totp_last_step = -1".to_owned(), "authenticators_last_step"),
        ("totp_last_step = NULL".to_owned(), "authenticators_last_step"),
        ("consecutive_failures = -1".to_owned(), "authenticators_failures"),
    ] {
        let set = each_column_once(&set);
        let statement = format!("UPDATE authenticators SET {set}");
        assert_eq!(broken(&mut connection, &statement).await.as_deref(), Some(rule), "{statement}");
    }
    for set in [
        format!("{telephone}, {A_CODE_SENT}"),
        format!("{telephone}, {A_CODE_SENT}, sms_send_used_time = now()"),
        key,
    ] {
        assert_eq!(broken(&mut connection, &format!("UPDATE authenticators SET {set}")).await, None, "{set}");
        let back = "UPDATE authenticators SET kind = 'TOTP', totp_sealed_key = '\\x01', totp_algorithm = 'SHA1', \
            totp_digits = 6, totp_period = 30, totp_last_step = 0, sms_sealed_number = NULL, sms_send_id = NULL, \
            sms_send_key = NULL, sms_send_challenge_id = NULL, sms_send_time = NULL, sms_send_expire_time = NULL, \
            sms_send_used_time = NULL, key_sealed = NULL, key_sign_count = NULL, key_backed_up = NULL";
        assert_eq!(broken(&mut connection, back).await, None);
    }
    let inserted = "INSERT INTO authenticators (tenant_id, user_id, authenticator_id, display_name, display_name_key, named, \
        create_time, consecutive_failures, kind) VALUES ('acme', 'ann', gen_random_uuid(), 'a', 'a', true, now(), 0, 'TOTP')";
    assert_eq!(broken(&mut connection, inserted).await.as_deref(), Some("authenticators_totp"));
}

/// PostgreSQL takes one assignment a column: the last of each.
fn each_column_once(set: &str) -> String {
    let mut columns: Vec<(&str, &str)> = Vec::new();
    for assignment in set.split(", ") {
        let (column, value) = assignment.trim().split_once(" = ").unwrap();
        columns.retain(|(known, _)| *known != column);
        columns.push((column, value));
    }
    columns.iter().map(|(column, value)| format!("{column} = {value}")).collect::<Vec<_>>().join(", ")
}

/// The id of a user is of 1 to 128 bytes, when it comes and when it changes.
#[tokio::test]
async fn the_id_of_a_user_is_bounded() {
    let (_store, _database, mut connection) = one_user().await;
    for (id, rule) in [
        (String::new(), Some("users_id_length")),
        ("ü".repeat(65), Some("users_id_length")),
        ("ü".repeat(64), None),
    ] {
        let statement = format!(
            "INSERT INTO users (tenant_id, user_id, version, epoch, is_on, consecutive_failures, failure_times, must_enroll)
            VALUES ('acme', '{id}', 1, 0, false, 0, '{{}}', false)"
        );
        assert_eq!(broken(&mut connection, &statement).await.as_deref(), rule, "{id}");
    }
    let long = "UPDATE users SET user_id = repeat('a', 129) WHERE user_id <> 'ann'";
    assert_eq!(broken(&mut connection, long).await.as_deref(), Some("users_id_length"));
}
