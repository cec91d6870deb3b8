//! A service whose role owns nothing (R43, R56): what it is refused, and that a statement which names the wrong tenant, or
//! none, sees nobody else's rows. That it can do its work is the conformance suite's.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use countersign_domain::coverage::{Facts, FactsAt};
use countersign_domain::event::EventType;
use countersign_domain::ids::Version;
use countersign_domain::sms::budget::{self, SendCharge, SendCounters, SendCounts, SendLimits};
use countersign_ports::{ResetRequestQuery, UserQuery};
use countersign_testkit::SeededRandom;
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::fixtures::{self, START};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row};
use std::str::FromStr;
use std::sync::Arc;
use support::{Database, SERVICE, run};

/// Two tenants with a user of the same id and an event each, and a session of the service's role that shows nobody's rows.
async fn two_tenants() -> (StoreUnderTest, Arc<Database>, PgConnection) {
    let (database, options) = support::as_service().await;
    let session = PgConnectOptions::from_str(options.url.expose()).unwrap().connect().await.unwrap();
    let store = StoreUnderTest::new(database.store_with(options).await.unwrap()).keeping(database.clone());
    let random = SeededRandom::new(1);
    for tenant in ["acme", "other"] {
        store.create_tenant(tenant).await;
        store
            .done(fixtures::event_only(&random, &fixtures::user(tenant, "ann"), EventType::LoginAllowed))
            .await;
        let sql = format!(
            "INSERT INTO users (tenant_id, user_id, version, epoch, is_on, consecutive_failures, failure_times, must_enroll)
            VALUES ('{tenant}', 'ann', 1, 1, false, 0, '{{}}', false)"
        );
        run(&mut database.connect().await, sql).await;
    }
    (store, database, session)
}

async fn code_of(session: &mut PgConnection, sql: &str) -> Option<String> {
    let done = session.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await;
    let error = done.err()?;
    Some(
        error.as_database_error().and_then(sqlx::error::DatabaseError::code).expect("a refusal").into_owned(),
    )
}

async fn count(session: &mut PgConnection, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(session).await.unwrap()
}

/// R56: the role that serves can neither edit the log or its seals, nor change the schema, nor give itself a right.
#[tokio::test]
async fn the_service_can_neither_edit_the_log_nor_change_the_schema() {
    const INSUFFICIENT_PRIVILEGE: &str = "42501";
    let (_store, _database, mut session) = two_tenants().await;
    run(&mut session, "SET countersign.tenants = '*'").await;
    for refused in [
        "UPDATE events SET kind = 'LOGIN_REFUSED'",
        "UPDATE events SET event_time = now(), client = '{}'",
        "DELETE FROM events",
        "TRUNCATE events",
        "DELETE FROM events_default",
        "SELECT * FROM events_first",
        "DROP TABLE events_default",
        "SELECT events_drop_before('infinity')",
        "UPDATE audit_seals SET number = number",
        "DELETE FROM audit_seals",
        "DELETE FROM tenants",
        "INSERT INTO event_floors VALUES ('acme', 1, 1)",
        "UPDATE event_floors SET number = 1",
        "UPDATE root_keys SET key_check = key_check",
        "DELETE FROM incarnation",
        "DELETE FROM _sqlx_migrations",
        "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "DROP POLICY of_shown_tenants ON users",
        "CREATE OR REPLACE FUNCTION tenant_is_shown(tenant text) RETURNS boolean LANGUAGE sql RETURN true",
        "GRANT ALL ON events TO countersign_service WITH GRANT OPTION",
        "SET session_replication_role = replica",
        "SET ROLE postgres",
    ] {
        let code = code_of(&mut session, refused).await;
        // A right that nobody has to give is not given, with a warning: what matters is what it has afterwards.
        if refused.starts_with("GRANT") {
            continue;
        }
        assert_eq!(code.as_deref(), Some(INSUFFICIENT_PRIVILEGE), "{refused}");
    }
    assert_eq!(code_of(&mut session, "DELETE FROM events").await.as_deref(), Some(INSUFFICIENT_PRIVILEGE));
}

/// R43: a session shows the rows of the tenants that it names, and as long as it names none, nobody's. A row of another
/// tenant can neither be written nor moved there.
#[tokio::test]
async fn a_session_shows_the_rows_of_the_tenants_that_it_names() {
    const BREAKS_POLICY: &str = "42501";
    let (_store, _database, mut session) = two_tenants().await;
    for (setting, users) in [
        (None, 0),
        (Some(""), 0),
        (Some(",acme,"), 1),
        (Some(",acm,"), 0),
        (Some(",acme,other,"), 2),
        (Some("*"), 2),
    ] {
        if let Some(setting) = setting {
            run(&mut session, format!("SET countersign.tenants = '{setting}'")).await;
        }
        for table in ["users", "policies", "tenants"] {
            assert_eq!(count(&mut session, table).await, users, "{table} for {setting:?}");
        }
        assert!(count(&mut session, "events").await >= users, "events for {setting:?}");
    }
    run(&mut session, "SET countersign.tenants = ',acme,'").await;
    let changed =
        session.execute("UPDATE users SET must_enroll = true WHERE tenant_id = 'other'").await.unwrap();
    assert_eq!(changed.rows_affected(), 0);
    for refused in [
        "UPDATE users SET tenant_id = 'other', user_id = 'bob'",
        "INSERT INTO users (tenant_id, user_id, version, epoch, is_on, consecutive_failures, failure_times, must_enroll)
        VALUES ('other', 'bob', 1, 1, false, 0, '{}', false)",
        "INSERT INTO tenants (tenant_id, delete_time) VALUES ('third', now())",
    ] {
        assert_eq!(code_of(&mut session, refused).await.as_deref(), Some(BREAKS_POLICY), "{refused}");
    }
}

/// R43: the statement that loads many users shows itself the tenants that were asked for, and no other, also on a session
/// that serves all. Here it has lost the tenant of its look-up, as by a slip.
#[tokio::test]
async fn a_load_that_forgot_the_tenant_finds_nobody_elses_user() {
    let (_store, database, mut session) = two_tenants().await;
    let only = "DELETE FROM users WHERE tenant_id = 'acme'";
    run(&mut database.connect().await, only).await;
    run(&mut session, "SET countersign.tenants = '*'").await;
    let sound = include_str!("../src/load/many.sql");
    let slip = sound.replace("users.tenant_id = asked.tenant_id AND", "");
    assert_ne!(sound, slip);
    let asked = "ARRAY[ROW(0, 'acme', 'ann', NULL, NULL, NULL, NULL)::asked_user]";
    let slip = slip.replace("$1::asked_user[]", asked).replace("$2", "$1");
    for (statement, shown, found) in [(&slip, ",acme,", false), (&slip, ",acme,other,", true)] {
        let row =
            sqlx::query(AssertSqlSafe(statement.clone())).bind(shown).fetch_one(&mut session).await.unwrap();
        assert_eq!(row.get::<Option<i64>, _>("version?").is_some(), found, "{shown}");
    }
    assert_eq!(count(&mut session, "tenants").await, 2, "the session is as it was");
}

/// R43: a call about one tenant shows its session that tenant alone. Here the barrier knows no session that serves all.
#[tokio::test]
async fn calls_about_one_tenant_need_no_other() {
    let (store, database, _session) = two_tenants().await;
    let random = SeededRandom::new(2);
    let tenant = fixtures::tenant("acme");
    let ann = fixtures::user("acme", "ann");
    let (user, number, whole) = (random.bytes(), random.bytes(), random.bytes());
    let counters = SendCounters { day: budget::day(START), user, number, tenant: whole };
    let limits = SendLimits { user: 9, number: 9, tenant: 9 };
    let mut sends = fixtures::event_only(&random, &ann, EventType::LoginChallenged);
    sends.send = Some(SendCharge { counters, limits });
    store.done(sends).await;
    let mut owner = database.connect().await;
    let asks = "UPDATE users SET reset_request_id = gen_random_uuid(), reset_reason = '', reset_create_time = '2026-01-16'";
    run(&mut owner, asks).await;
    let barrier = "CREATE OR REPLACE FUNCTION tenant_is_shown(tenant text) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
        RETURN strpos(current_setting('countersign.tenants', true), ',' || tenant || ',') > 0";
    run(&mut owner, barrier).await;

    let requests =
        ResetRequestQuery { tenant: tenant.clone(), teams: None, made_after: START, after: None, limit: 10 };
    assert_eq!(store.queries.reset_requests(&requests).await.unwrap().len(), 1);
    let one = SendCounts { user: 1, number: 1, tenant: 1 };
    assert_eq!(store.sends.counts(&tenant, &counters).await.unwrap(), one);
    store.sends.give_back(&tenant, &counters).await.unwrap();
    assert_eq!(store.sends.counts(&tenant, &counters).await.unwrap(), SendCounts::default());
    let at = FactsAt { groups: Vec::new(), grace_cutoff: START };
    let users = UserQuery {
        tenant: tenant.clone(),
        at: at.clone(),
        facts: Facts::all().collect(),
        team: None,
        locked_at: None,
        after: None,
        limit: 10,
    };
    assert_eq!(store.queries.list(&users).await.unwrap(), std::slice::from_ref(&ann.user));
    let counted = store.queries.count(&tenant, &at, None).await.unwrap();
    assert_eq!(counted.iter().map(|(_, count)| count).sum::<u64>(), 1);
    assert_eq!(store.queries.with_keys_alone(&tenant).await.unwrap(), 0);
    assert!(store.policies.policy(&tenant, None).await.unwrap().is_some());
    assert_eq!(store.load(&ann).await.version, Some(Version(1)));
}

/// R43: every table of tenants has the barrier, also one that a later migration adds.
#[tokio::test]
async fn every_table_of_tenants_has_the_barrier() {
    let database = Database::migrated().await;
    let without = sqlx::query_scalar::<_, String>(
        "SELECT relname::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
            AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'tenant_id')
            AND NOT (relrowsecurity AND EXISTS (
                SELECT FROM pg_policies WHERE tablename = relname AND policyname = 'of_shown_tenants'
                    AND cmd = 'ALL' AND qual = 'tenant_is_shown(tenant_id)'
            ))",
    );
    let without = without.fetch_all(&mut database.connect().await).await.unwrap();
    assert!(without.is_empty(), "a migration must enable row-level security on {without:?}");
}

/// A role that the barriers would not bind is refused, and told why.
#[tokio::test]
async fn a_role_that_is_too_strong_is_refused() {
    let (database, _) = support::as_service().await;
    let refusal = async |role: &str| {
        let refused = countersign_store_postgres::grant(&database.url(), role).await.unwrap_err();
        std::error::Error::source(&refused).expect("a cause").to_string()
    };
    assert!(refusal("postgres").await.contains("superuser"));
    assert!(refusal("nobody-at-all").await.contains("does not exist"));
    let mut owner = database.connect().await;
    run(&mut owner, format!("ALTER TABLE users OWNER TO {SERVICE}")).await;
    assert!(refusal(SERVICE).await.contains("owns the tables"));
}
