//! P9: how lists and counts find their rows. The statements are those of the store, as `.sqlx` holds them.

use super::{folder, intruder, open};
use countersign_domain::event::EventType;
use countersign_testkit::SeededRandom;
use countersign_testkit::fixtures::{self, START, user};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use std::path::Path;
use std::time::Duration;

/// The only one of the store's statements that has all these marks in it.
fn statement(marks: &[&str]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let texts = std::fs::read_dir(folder).unwrap().map(|file| {
        let file: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        file["query"].as_str().unwrap().to_owned()
    });
    let found: Vec<_> = texts.filter(|text| marks.iter().all(|mark| text.contains(mark))).collect();
    let [one] = <[String; 1]>::try_from(found).expect("one statement has the marks");
    one
}

/// The ways that the statement goes, and whether it sorts.
async fn plan(connection: &mut SqliteConnection, statement: &str) -> Vec<String> {
    let explained = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")));
    let lines = explained.fetch_all(connection).await.unwrap();
    lines.iter().map(|line| line.get::<String, _>("detail")).collect()
}

/// Pages follow a key from where they begin and stop at their limit: nothing is sorted, no table read from end to end.
/// Counts read tallies, and of users only the members of the groups or teams that are asked for.
#[tokio::test]
async fn lists_and_counts_follow_keys() {
    const OF_USER: &str = "SEARCH u USING PRIMARY KEY (tenant_id=? AND user_id=?)";
    const TALLIES: &str = "SEARCH user_tallies USING PRIMARY KEY (tenant_id=? AND span=?";
    let (_folder, path) = folder();
    let _store = open(&path, 1).await;
    let mut connection = intruder(&path).await;
    let kinds: [(&[&str], Vec<String>, bool); 7] = [
        (
            &["FROM users AS u WHERE", "LIMIT ?7"],
            vec!["SEARCH u USING PRIMARY KEY (tenant_id=? AND user_id>?)".to_owned()],
            false,
        ),
        (
            &["INDEXED BY users_by_lock"],
            vec!["SEARCH u USING INDEX users_by_lock (tenant_id=? AND user_id>?)".to_owned()],
            false,
        ),
        (
            &["INDEXED BY authenticators_disabled"],
            vec![
                "SEARCH a USING INDEX authenticators_disabled (tenant_id=? AND user_id>?)".to_owned(),
                OF_USER.to_owned(),
            ],
            false,
        ),
        (
            &["FROM team_memberships AS m CROSS JOIN", "LIMIT ?7"],
            vec![
                "SEARCH m USING COVERING INDEX team_memberships_by_team (tenant_id=? AND team_id=? AND user_id>?)"
                    .to_owned(),
                OF_USER.to_owned(),
            ],
            false,
        ),
        (
            &["INDEXED BY users_by_reset_request"],
            vec![
                "SEARCH u USING INDEX users_by_reset_request (tenant_id=? AND reset_create_time>?)".to_owned(),
                "SEARCH m USING COVERING INDEX team_memberships_by_team (tenant_id=? AND team_id=? AND user_id=?)"
                    .to_owned(),
            ],
            false,
        ),
        (
            &["FROM user_tallies"],
            vec![
                format!("{TALLIES})"),
                format!("{TALLIES} AND grace_from>? AND grace_from<?)"),
                format!("{TALLIES} AND grace_from>? AND grace_from<?)"),
                OF_USER.to_owned(),
            ],
            true,
        ),
        (&["SELECT DISTINCT user_id FROM team_memberships"], vec![OF_USER.to_owned()], true),
    ];
    for (marks, expected, sorts) in kinds {
        let plan = plan(&mut connection, &statement(marks)).await;
        let tables = [" a ", " u ", " m ", " user_tallies "];
        let of_users = plan.iter().filter(|line| tables.iter().any(|table| line.contains(table)));
        assert_eq!(of_users.cloned().collect::<Vec<_>>(), expected, "{plan:#?}");
        let whole =
            ["SCAN users", "SCAN u", "SCAN user_groups", "SCAN team_memberships", "SCAN user_tallies"];
        assert!(!plan.iter().any(|line| whole.contains(&line.as_str())), "{plan:#?}");
        assert_eq!(plan.iter().any(|line| line.starts_with("USE TEMP B-TREE")), sorts, "{plan:#?}");
    }
}

/// A load asks each table by key, whoever else is loaded with it and however large the tables are.
#[tokio::test]
async fn loads_follow_keys() {
    let (_folder, path) = folder();
    let _store = open(&path, 1).await;
    let mut connection = intruder(&path).await;
    let plan = plan(&mut connection, &statement(&["FROM json_each(?1)", "AS \"recovery_codes!"])).await;
    let of_tables = |line: &&String| line.starts_with("SCAN") || line.starts_with("SEARCH");
    let (asked, searched): (Vec<_>, Vec<_>) =
        plan.iter().filter(of_tables).partition(|line| line.starts_with("SCAN"));
    assert_eq!(asked, ["SCAN json_each VIRTUAL TABLE INDEX 1:", "SCAN asked"], "{plan:#?}");
    assert_eq!(searched.len(), 12, "{plan:#?}");
    let by_user = |line: &&&String| line.contains("(tenant_id=? AND user_id=?");
    assert_eq!(searched.iter().filter(by_user).count(), 10, "{plan:#?}");
}

/// R49: a look at the log follows a key to the end of its window, of all events or of a user's, and goes no further.
#[tokio::test]
async fn looks_follow_keys() {
    const BEHIND: &str = "(transaction_id,number)>(?,?)";
    const UP_TO: &str = "(transaction_id,number)<(?,?)";
    let all = "SEARCH events USING PRIMARY KEY (tenant_id=?";
    let of_user = "SEARCH events USING INDEX events_by_user (tenant_id=? AND user_id=?";
    let covered = "SEARCH events USING COVERING INDEX events_by_user (tenant_id=? AND user_id=?";
    let (_folder, path) = folder();
    let _store = open(&path, 1).await;
    let mut connection = intruder(&path).await;
    let kinds: [(&[&str], String); 4] = [
        (&["SELECT transaction_id, number FROM events\n", "OFFSET ?4"], format!("{all} AND {BEHIND})")),
        (&["FROM events INDEXED BY events_by_user", "OFFSET ?5"], format!("{covered} AND {BEHIND})")),
        (&["FROM events WHERE true", "LIMIT ?9"], format!("{all} AND {BEHIND} AND {UP_TO})")),
        (
            &["FROM events INDEXED BY events_by_user", "LIMIT ?9"],
            format!("{of_user} AND {BEHIND} AND {UP_TO})"),
        ),
    ];
    for (marks, expected) in kinds {
        let plan = plan(&mut connection, &statement(marks)).await;
        let of_events: Vec<_> = plan.iter().filter(|line| line.contains(" events ")).collect();
        assert_eq!(of_events, [&expected], "{plan:#?}");
        assert!(!plan.iter().any(|line| line.starts_with("USE TEMP B-TREE")), "{plan:#?}");
    }
}

/// R60: what was made at a known time is found by the index of ids, which begin with their time.
#[tokio::test]
async fn events_are_found_by_their_ids() {
    let (_folder, path) = folder();
    let _store = open(&path, 1).await;
    let mut connection = intruder(&path).await;
    let plan = plan(&mut connection, &statement(&["FROM events", "event_id >= ?2"])).await;
    let index = "(tenant_id=? AND event_id>? AND event_id<?)";
    assert!(plan[0].starts_with("SEARCH events USING INDEX") && plan[0].ends_with(index), "{plan:?}");
    assert!(plan.iter().all(|line| !line.contains("TEMP B-TREE")), "{plan:?}");
}

/// R57: a lease goes through users and not through notices: each of its steps is short, however many of one user are due.
#[tokio::test]
async fn many_notices_of_one_user_hold_up_no_lease() {
    let (_folder, path) = folder();
    let store = open(&path, 1).await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    for (number, name) in ["ann", "ann", "bob"].into_iter().enumerate() {
        let mut change = fixtures::event_only(&random, &user("acme", name), EventType::MemberReset);
        change.events[0].time = START.plus(Duration::from_secs(20) * u32::try_from(number).unwrap());
        change.notices.push(fixtures::notice_record(&random, &change.events[0]));
        store.done(change).await;
    }
    let mut connection = intruder(&path).await;
    let dues = sqlx::query_scalar::<_, i64>("SELECT DISTINCT due_time FROM outbox");
    let dues = dues.fetch_all(&mut connection).await.unwrap();
    assert_eq!(dues, [START.unix_micros()], "those of a minute fall due together");
    let many = "WITH RECURSIVE numbers (number) AS (VALUES (1) UNION ALL SELECT number + 1 FROM numbers LIMIT 20000)
        INSERT INTO outbox (tenant_id, user_id, create_time, notice_id, event_id, email, language_code, due_time)
        SELECT tenant_id, user_id, create_time + number, randomblob(16), event_id, '', '', due_time
        FROM numbers, (SELECT * FROM outbox WHERE user_id = 'ann' ORDER BY create_time LIMIT 1)";
    assert_eq!(sqlx::raw_sql(many).execute(&mut connection).await.unwrap().rows_affected(), 20_000);

    // A statement that takes a thousand steps is ended.
    connection.lock_handle().await.unwrap().set_progress_handler(1_000, || false);
    let (next, oldest) = (
        statement(&["(due_time, tenant_id, user_id) >= (?2, ?3, ?4)"]),
        statement(&["FROM outbox WHERE tenant_id = ? AND user_id = ? AND due_time IS NOT NULL"]),
    );
    let start = START.unix_micros();
    for (whose, before) in [("ann", ""), ("bob", "ann\0")] {
        let next = sqlx::query(AssertSqlSafe(next.clone())).bind(start).bind(start).bind("acme").bind(before);
        let next = next.fetch_one(&mut connection).await.unwrap();
        assert_eq!(next.get::<String, _>("user_id"), whose);
        let oldest = sqlx::query(AssertSqlSafe(oldest.clone())).bind("acme").bind(whose);
        assert!(oldest.fetch_optional(&mut connection).await.unwrap().is_some());
    }
}
