//! R68: the version before this one serves on the schema of this one, while nodes are replaced one after the other.
//!
//! `previous_version/statements.sql` holds every statement of that version. At a release, replace it by the statements of
//! the version that is released: the `query` of each file in `.sqlx`, parted by lines `-- next`. Statements that are no
//! macros are few and are driven by the suite of the store.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use sqlx::{Executor, SqlSafeStr};
use std::collections::BTreeSet;
use support::Database;

fn statements() -> Vec<&'static str> {
    let all = include_str!("previous_version/statements.sql").split("\n-- next\n");
    let statements: Vec<_> = all.skip(1).collect();
    assert!(statements.len() > 30, "the statements are elsewhere");
    statements
}

/// R68: a migration takes nothing away that a statement of the version before names: no table, no column, no type.
#[tokio::test]
async fn every_statement_of_the_version_before_is_understood() {
    let database = Database::migrated().await;
    let mut connection = database.connect().await;
    for statement in statements() {
        let prepared = connection.prepare(statement.into_sql_str()).await;
        assert!(prepared.is_ok(), "{}: {statement}", prepared.unwrap_err());
    }
}

/// The tables and columns that a statement inserts into.
fn insertions(statement: &str) -> impl Iterator<Item = (&str, BTreeSet<&str>)> {
    statement.split("INSERT INTO ").skip(1).map(|rest| {
        let (table, rest) = rest.split_once('(').unwrap();
        let (columns, _) = rest.split_once(')').unwrap();
        (table.trim(), columns.split(',').map(str::trim).collect())
    })
}

/// R68: a column that a migration adds may be left out by whoever does not know it.
#[tokio::test]
async fn the_version_before_need_not_know_new_columns() {
    let database = Database::migrated().await;
    let required = sqlx::query_as::<_, (String, String)>(
        "SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = 'public' AND is_nullable = 'NO' AND column_default IS NULL
            AND is_identity = 'NO' AND is_generated = 'NEVER'",
    );
    let required = required.fetch_all(&mut database.connect().await).await.unwrap();
    let mut seen = 0;
    for statement in statements() {
        for (table, columns) in insertions(statement) {
            seen += 1;
            for (_, column) in required.iter().filter(|(of, _)| of == table) {
                assert!(columns.contains(column.as_str()), "{table}.{column} is not written by: {statement}");
            }
        }
    }
    assert!(seen > 10, "insertions are written in another form");
}
