//! P9: how lists and counts find their rows. The statements are those of the store, as `.sqlx` holds them.

use super::{folder, intruder, open};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use std::path::Path;

/// The store's statements that look into groups of users.
fn statements() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let texts = std::fs::read_dir(folder).unwrap().map(|file| {
        let file: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        file["query"].as_str().unwrap().to_owned()
    });
    texts.filter(|text| text.contains("FROM user_groups")).collect()
}

/// The ways that the statement goes, and whether it sorts.
async fn plan(connection: &mut SqliteConnection, statement: &str) -> Vec<String> {
    let explained = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")));
    let lines = explained.fetch_all(connection).await.unwrap();
    lines.iter().map(|line| line.get::<String, _>("detail")).collect()
}

/// Pages follow a key from where they begin and stop at their limit: nothing is sorted, no table read from end to end.
/// Counting reads the users of one tenant once, by the key that they are clustered by.
#[tokio::test]
async fn lists_and_counts_follow_keys() {
    let (_folder, path) = folder();
    let _store = open(&path, 1).await;
    let mut connection = intruder(&path).await;
    let (counts, pages): (Vec<_>, Vec<_>) =
        statements().into_iter().partition(|text| text.contains("count(*)"));
    let (of_team, of_all): (Vec<_>, Vec<_>) =
        pages.into_iter().partition(|text| text.contains("FROM team_memberships"));
    let kinds = [
        (of_all, vec!["SEARCH u USING PRIMARY KEY (tenant_id=? AND user_id>?)"], false),
        (
            of_team,
            vec![
                "SEARCH m USING COVERING INDEX team_memberships_by_team (tenant_id=? AND team_id=? AND user_id>?)",
                "SEARCH u USING PRIMARY KEY (tenant_id=? AND user_id=?)",
            ],
            false,
        ),
        (counts, vec!["SEARCH u USING PRIMARY KEY (tenant_id=?)"], true),
    ];
    for (statements, expected, sorts) in kinds {
        let [statement] = statements.as_slice() else { panic!("{statements:?}") };
        let plan = plan(&mut connection, statement).await;
        let of_users = plan.iter().filter(|line| line.contains(" u ") || line.contains(" m "));
        assert_eq!(of_users.collect::<Vec<_>>(), expected, "{plan:?}");
        assert!(plan.iter().any(|line| line.starts_with("SEARCH g USING")), "{plan:?}");
        assert_eq!(plan.iter().any(|line| line.starts_with("USE TEMP B-TREE")), sorts, "{plan:?}");
    }
}
