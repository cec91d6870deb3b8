//! P9: lists and counts stay short when tenants grow. The statements are those of the store, as `.sqlx` holds them, and
//! planned under the settings of its sessions; nothing is timed. What they answer is the conformance suite's.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use countersign_domain::coverage::{Facts, FactsAt};
use countersign_domain::ids::{TeamId, UserId};
use countersign_domain::user::UserState;
use countersign_ports::{UserQueries, UserQuery};
use countersign_store_postgres::PostgresStore;
use countersign_testkit::SeededRandom;
use countersign_testkit::fixtures::{self, START, tenant, user};
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgConnection;
use std::path::Path;
use std::time::Duration;
use support::{Database, run};

/// 100,000 users, and 20,000 of another tenant with the same ids, teams and groups. One in ten is off, one in 5,000 must
/// enroll; teams are of twenty; everybody is in a group and one in ten in another.
const POPULATE: &str = "
    SET session_replication_role = replica;
    INSERT INTO tenants (tenant_id, policy_revision) VALUES ('acme', 1), ('other', 1);
    INSERT INTO users (
        tenant_id, user_id, version, epoch, is_on, state_since, consecutive_failures, locked_until, failure_times,
        grace_started, must_enroll, reset_request_id, reset_reason, reset_create_time
    )
    SELECT tenant_id, 'user-' || lpad(i::text, 6, '0'), 1, 1, i % 10 <> 0, '2026-01-01', 0,
        CASE WHEN i % 1000 = 7 THEN timestamptz '2026-01-16' END, '{}',
        CASE WHEN i % 4 = 0 THEN timestamptz '2026-01-15 08:00:00Z' - i % 60 * interval '1 day' END, i % 5000 = 0,
        CASE WHEN i % 1000 = 3 THEN gen_random_uuid() END, CASE WHEN i % 1000 = 3 THEN 'lost' END,
        CASE WHEN i % 1000 = 3 THEN timestamptz '2026-01-14' END
    FROM (VALUES ('acme', 100000), ('other', 20000)) AS tenants (tenant_id, size), generate_series(1, size) AS i;
    INSERT INTO team_memberships (tenant_id, user_id, team_id, role)
    SELECT tenant_id, user_id, 'team-' || right(user_id, 6)::int / 20, 'MEMBER' FROM users;
    INSERT INTO user_groups (tenant_id, user_id, group_name) SELECT tenant_id, user_id, 'all' FROM users;
    INSERT INTO user_groups (tenant_id, user_id, group_name)
    SELECT tenant_id, user_id, 'pilot' FROM users WHERE right(user_id, 1) = '5';
    INSERT INTO authenticators (
        tenant_id, user_id, authenticator_id, display_name, display_name_key, named, create_time, consecutive_failures,
        disabled_since, kind, totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_last_step
    )
    SELECT tenant_id, user_id, gen_random_uuid(), 'app', 'app', true, '2026-01-01', 0,
        CASE WHEN right(user_id, 3) = '009' THEN timestamptz '2026-01-14' END, 'TOTP', '\\x01', 'SHA1', 6, 30, 0
    FROM users WHERE right(user_id, 1) = '9';
    RESET session_replication_role;
    -- No trigger has counted them.
    SELECT user_tallies_recount();
";

/// Every checked statement of the store, and how many arguments it takes.
fn statements() -> impl Iterator<Item = (String, usize)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    std::fs::read_dir(folder).unwrap().map(|file| {
        let file: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        let arguments = file["describe"]["parameters"]["Left"].as_array().unwrap().len();
        (file["query"].as_str().unwrap().to_owned(), arguments)
    })
}

/// The only one of the store's statements that has all these marks in it, parted by ` … `.
fn statement(marks: &str) -> String {
    let fits = |(text, _): &(String, usize)| {
        text.starts_with("SELECT") && marks.split(" … ").all(|mark| text.contains(mark))
    };
    let [(one, _)] = <[_; 1]>::try_from(statements().filter(fits).collect::<Vec<_>>())
        .expect("one statement has the marks");
    one
}

/// Runs the statement with these arguments on a plan that fits any, and gives the plan and the pages that were touched.
async fn explain(connection: &mut PgConnection, mark: &str, arguments: &str) -> (String, u64) {
    explain_text(connection, &statement(mark), arguments).await
}

async fn explain_text(connection: &mut PgConnection, text: &str, arguments: &str) -> (String, u64) {
    run(connection, format!("PREPARE explained AS {text}")).await;
    let explain = format!(
        "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE explained ({arguments})"
    );
    let lines = sqlx::raw_sql(sqlx::AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
    run(connection, "DEALLOCATE explained").await;
    let lines: Vec<String> = lines.iter().map(|line| line.get(0)).collect();
    // The first line about buffers is the topmost node's and sums up the others'.
    let buffers = lines.iter().find(|line| line.contains("Buffers: shared")).expect("pages are counted");
    let pages = buffers.split([' ', '=']).filter_map(|word| word.parse::<u64>().ok()).sum();
    (lines.join("\n"), pages)
}

/// The plan touches at most so many pages, by these indexes, and reads no table from end to end.
async fn check(connection: &mut PgConnection, mark: &str, arguments: &str, indexes: &[&str], most: u64) {
    let (plan, pages) = explain(connection, mark, arguments).await;
    assert!(!plan.contains("Seq Scan"), "{plan}");
    for index in indexes {
        assert!(plan.contains(&format!("using {index} ")), "{index} is not used: {plan}");
    }
    assert!(pages <= most, "{pages} pages are more than {most}: {plan}");
}

/// P9, B48: a page of a list is found by an index, whichever way the list is narrowed, and costs what it shows; counting
/// reads tallies, and of users only those who are asked for by group or team.
#[tokio::test]
async fn pages_and_counts_of_many_users_are_short() {
    const ALL: &str = "'{0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23}'";
    const AT: &str = "'2025-12-15 08:00:00Z'";
    const PAIRS: &str = "'{f,f,t,t}', '{f,t,f,t}'";
    let database = Database::migrated().await;
    let connection = &mut database.connect().await;
    run(connection, POPULATE).await;
    run(connection, "VACUUM ANALYZE").await;
    // As in the store's sessions; that sequential scans are off there must not be needed.
    run(connection, "SET plan_cache_mode = force_generic_plan; SET jit = off").await;

    for sequential in ["on", "off"] {
        run(connection, format!("SET enable_seqscan = {sequential}")).await;
        let facts = &["users_by_facts"];
        let page = format!("'acme', {ALL}, '{{}}', {AT}, 'user-050000', 200, {PAIRS}");
        check(connection, "unnest($7", &page, facts, 100).await;
        let must_enroll = format!("'acme', '{{6,7,8}}', '{{}}', {AT}, '', 200, '{{f}}', '{{t}}'");
        check(connection, "unnest($7", &must_enroll, facts, 100).await;
        let in_groups =
            format!("'acme', '{{0,3}}', '{{pilot,none}}', {AT}, 'user-050000', 200, '{{f}}', '{{f}}'");
        check(connection, "unnest($7", &in_groups, facts, 2_000).await;

        let team = &["team_memberships_by_team", "users_pkey"];
        let page = format!("'acme', {ALL}, '{{all}}', {AT}, '', 200, 'team-7', NULL");
        check(connection, "FROM team_memberships AS m JOIN", &page, team, 300).await;

        // The first page and one from the middle, of everybody and of a team of whom one in fifty has asked.
        let requests = &["users_by_reset_request"];
        for (after, teams) in
            [("2026-01-13", "NULL"), ("2026-01-14", "NULL"), ("2026-01-13", "'{team-50,team-9}'")]
        {
            let page = format!("'acme', '{after}', '7fffffff-0000-4000-8000-000000000000', {teams}, 50");
            check(connection, "u.reset_create_time, u.reset_request_id) >", &page, requests, 700).await;
        }

        let page = format!("'acme', {ALL}, '{{}}', {AT}, 'user-050000', 10, '2026-01-15'");
        check(connection, "locked_until > $7", &page, &["users_by_lock"], 100).await;
        let page = format!("'acme', {ALL}, '{{}}', {AT}, 'user-050000', 10");
        check(connection, "SELECT DISTINCT u.user_id", &page, &["authenticators_disabled"], 200).await;
    }
    // Counts of the tenant read no user but those whose grace period began in the cutoff's minute. Sequential scans are
    // off from here on, as in the store's sessions: tallies fit one page here, which nobody would look up by a key.
    let (day, minute) = ("'2025-12-15 00:00:00Z'", AT);
    let counted = format!("'acme', {AT}, {day}, {minute}");
    let tallies = &["user_tallies_pkey", "users_by_grace"];
    check(
        connection,
        "FROM user_tallies … FROM user_tally_changes WHERE tenant_id = $1) AS",
        &counted,
        tallies,
        60,
    )
    .await;
    let in_groups = format!("{counted}, '{{pilot}}'");
    let counted = &["user_tallies_pkey", "user_groups_by_group"];
    check(connection, "FROM user_tallies … FROM user_groups", &in_groups, counted, 2_000).await;
    let members = &["team_memberships_by_team", "users_pkey"];
    let teams = format!("'acme', '{{pilot}}', {AT}, '{{team-7,team-8,none}}'");
    check(connection, "SELECT DISTINCT user_id FROM team_memberships", &teams, members, 500).await;
    answers_are_exact(&database.store().await).await;
}

/// R49: a look for what no index leads to goes through a window of its own months, by the index over places, and touches no
/// other month.
#[tokio::test]
async fn looks_at_the_log_stay_in_their_months() {
    let database = Database::migrated().await;
    let connection = &mut database.connect().await;
    // Three months that nothing else is in.
    run(
        connection,
        "SELECT events_make_partitions('2100-01-01', 2);
        INSERT INTO events (
            tenant_id, event_id, event_time, user_id, kind, details, actor, caller, client, policy_revision, trace_id
        ) SELECT 'acme', gen_random_uuid(), month, 'others', 'LOGIN_REFUSED', '[]', 'job:many', 'loopback', '{}', 1, ''
        FROM (VALUES (timestamptz '2100-01-15'), ('2100-02-15'), ('2100-03-15')) AS months (month), generate_series(1, 20000)",
    )
    .await;
    run(connection, "VACUUM ANALYZE").await;
    run(connection, "SET plan_cache_mode = force_generic_plan; SET jit = off; SET enable_seqscan = off")
        .await;
    let place = "-1, -1, 9223372036854775807, 9223372036854775807";
    let looks = [
        (
            "FROM events … OFFSET $8::bigint - 1",
            format!("'acme', {place}, '2100-02-01 00:00:00Z', '2100-03-01 00:00:00Z', 10000"),
        ),
        (
            "FROM events … kind = ANY ($7) … LIMIT $10",
            format!(
                "'acme', {place}, 'ann', '{{LOGIN_ALLOWED}}', '2100-02-01 00:00:00Z', '2100-02-28 00:00:00Z', 100"
            ),
        ),
    ];
    for (mark, arguments) in looks {
        check(connection, mark, &arguments, &[], 2_000).await;
        let (plan, _) = explain(connection, mark, &arguments).await;
        assert!(plan.contains("Index Scan using events_2100_02"), "{plan}");
        assert!(!plan.contains("events_2100_01"), "{plan}");
        assert!(plan.contains("Subplans Removed"), "{plan}");
        assert!(!plan.contains("->  Sort"), "{plan}");
    }
}

/// R57: whatever queues a notice has it fall due together with the user's others of that minute, so that a lease passes
/// over them in one step.
#[test]
fn notices_fall_due_by_the_minute() {
    let queueing: Vec<_> = statements().filter(|(text, _)| text.contains("INSERT INTO outbox")).collect();
    assert_eq!(queueing.len(), 3);
    for (text, _) in queueing {
        assert!(text.contains("date_trunc('minute', "), "{text}");
    }
}

/// R57: a lease goes through users and not through notices: tens of thousands of one user cost others nothing.
#[tokio::test]
async fn many_notices_of_one_user_hold_up_no_lease() {
    let database = Database::migrated().await;
    let connection = &mut database.connect().await;
    // The oldest of ann's is tried again at noon. Two in three were put off with another one before, the others came in the
    // last twenty minutes before bob's.
    run(
        connection,
        "INSERT INTO outbox (
            tenant_id, notice_id, user_id, event_id, event_time, email, language_code, create_time, due_time
        ) SELECT 'acme', gen_random_uuid(), 'ann', gen_random_uuid(), made, '', '', made, CASE
            WHEN number = 0 THEN '2026-01-15 12:00:00Z'
            WHEN number <= 20000 THEN '2026-01-15 09:00:00Z'
            ELSE date_trunc('minute', made)
        END
        FROM generate_series(0, 30000) AS number
        CROSS JOIN LATERAL (SELECT timestamptz '2026-01-15 08:00:00Z' + number * interval '120 ms' AS made) AS times
        UNION ALL
        SELECT 'acme', gen_random_uuid(), 'bob', gen_random_uuid(), made, '', '', made, made
        FROM (VALUES (timestamptz '2026-01-15 09:30:00Z')) AS times (made)",
    )
    .await;
    run(connection, "VACUUM ANALYZE").await;
    run(connection, "SET plan_cache_mode = force_generic_plan; SET jit = off; SET enable_seqscan = off")
        .await;
    let (lease, _) = statements().find(|(text, _)| text.contains("FOR UPDATE OF head SKIP LOCKED")).unwrap();
    for (now, whose) in [("10:00", "bob"), ("12:00", "ann")] {
        let arguments = format!("'2026-01-15 {now}:00Z', '2026-01-15 13:00:00Z', 16");
        let (plan, pages) = explain_text(connection, &lease, &arguments).await;
        assert!(pages <= 500, "{pages} pages are too many: {plan}");
        let leased = "UPDATE outbox SET attempts = 0 WHERE attempts > 0 RETURNING user_id, notice_id = (
            SELECT notice_id FROM outbox AS oldest WHERE oldest.user_id = outbox.user_id
            ORDER BY create_time, notice_id LIMIT 1
        )";
        let leased = sqlx::query_as::<_, (String, bool)>(leased).fetch_all(&mut *connection).await.unwrap();
        assert_eq!(leased, [(whose.to_owned(), true)], "{plan}");
    }
}

/// B48: the same tenant asked through the store: what the statements find is what was written.
async fn answers_are_exact(store: &PostgresStore) {
    let at = FactsAt { groups: vec!["pilot".to_owned()], grace_cutoff: START };
    let counts = store.count(&tenant("acme"), &at, None).await.unwrap();
    let of = |wanted: fn(&Facts) -> bool| {
        counts.iter().filter(|(facts, _)| wanted(facts)).map(|(_, count)| count).sum::<u64>()
    };
    let found =
        [of(|_| true), of(|facts| facts.on), of(|facts| facts.must_enroll), of(|facts| facts.in_groups)];
    assert_eq!(found, [100_000, 90_000, 20, 10_000]);

    let query = UserQuery {
        tenant: tenant("acme"),
        at,
        facts: Facts::all().filter(|facts| !facts.on).collect(),
        team: None,
        locked_at: None,
        after: None,
        limit: 1_000,
    };
    let listed = store.list(&query).await.unwrap();
    assert_eq!(listed.len(), 1_000);
    assert_eq!((listed[0].as_str(), listed[999].as_str()), ("user-000010", "user-010000"));
    let team = UserQuery { team: Some(TeamId::parse("team-7").unwrap()), ..query };
    let listed: Vec<_> = store.list(&team).await.unwrap();
    assert_eq!(listed.iter().map(UserId::as_str).collect::<Vec<_>>(), ["user-000140", "user-000150"]);
}

/// P1: what a login writes stands in no index: every version of a row stays on its page.
#[tokio::test]
async fn logins_touch_no_index() {
    const LOGINS: u64 = 20;
    let (store, database) = support::fresh().await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    // What no login writes would be an update of its own.
    let state = UserState { first_factor_since: None, ..fixtures::user_with_totp(&random) };
    store.store_user(&random, &ann, &state).await;
    for login in 1..=LOGINS {
        store.done(support::login(&random, &ann, login, &state, login)).await;
    }
    // Sessions tell what they did when they end.
    drop(store);

    let connection = &mut database.connect().await;
    let told = async {
        loop {
            let sum = "SELECT relname::text, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables
                WHERE n_tup_upd > 0 ORDER BY relname";
            let rows =
                sqlx::query_as::<_, (String, i64, i64)>(sum).fetch_all(&mut *connection).await.unwrap();
            if rows.iter().map(|(_, updates, _)| updates).sum::<i64>() >= 2 * i64::try_from(LOGINS).unwrap() {
                return rows;
            }
            tokio::task::yield_now().await;
        }
    };
    let rows = tokio::time::timeout(Duration::from_mins(2), told).await.expect("the counters come");
    let of = |table: &str| (table.to_owned(), 20, 20);
    assert_eq!(rows, [of("authenticators"), of("users")]);
}

/// P9: no statement of the store reads a table of users from end to end, whatever it is given, but the one that an operator
/// counts the uses of root keys with. Sessions forbid sequential scans, so that one in a plan means that no index fits.
#[tokio::test]
async fn statements_follow_indexes() {
    /// A table of one row, and the roles of the server.
    const SHORT: [&str; 2] = ["Seq Scan on incarnation", "Seq Scan on pg_authid"];
    const COUNTS_ALL: &str = "-- How many rows need each root key";
    let (_store, database) = support::fresh().await;
    let connection = &mut database.connect().await;
    run(connection, "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan").await;
    let (mut planned, mut found) = (0, Vec::new());
    for (text, arguments) in statements() {
        run(connection, format!("PREPARE explained AS {text}")).await;
        let nulls = vec!["NULL"; arguments].join(", ");
        let arguments = if nulls.is_empty() { nulls } else { format!("({nulls})") };
        let explain = format!("EXPLAIN (COSTS OFF) EXECUTE explained {arguments}");
        let lines = sqlx::raw_sql(sqlx::AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
        run(connection, "DEALLOCATE explained").await;
        planned += 1;
        let plan: Vec<String> = lines.iter().map(|line| line.get(0)).collect();
        let reads_all =
            |line: &&String| line.contains("Seq Scan") && !SHORT.iter().any(|short| line.contains(short));
        if plan.iter().any(|line| reads_all(&line)) && !text.starts_with(COUNTS_ALL) {
            found.push(format!("{text}\n{}", plan.join("\n")));
        }
    }
    assert!(planned > 80, "only {planned} statements were planned");
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}
