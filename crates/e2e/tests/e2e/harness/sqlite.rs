//! The database file of the service under test, for rules about somebody who has it.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use std::path::Path;

/// Runs a statement as somebody does who has the file; whether the database took it.
pub(crate) async fn execute(path: &Path, sql: &str) -> bool {
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await.expect("the file opens");
    let done = connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))).await;
    connection.close().await.expect("nothing is left open");
    taken(done)
}

/// Whether a statement was taken. One that is refused must be refused by a guard, not misspelled.
pub(crate) fn taken<T>(done: Result<T, sqlx::Error>) -> bool {
    let Err(error) = done else { return true };
    let told = error.to_string();
    assert!(told.contains("never falls") || told.contains("stays used"), "{told}");
    false
}
