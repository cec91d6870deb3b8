//! The database file of the service under test, for rules about somebody who has it.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use std::path::Path;

const FILE: &str = "countersign.db";

/// Runs a statement as somebody does who has the file; whether the database took it.
pub(crate) async fn execute(path: &Path, sql: &str) -> bool {
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await.expect("the file opens");
    let done = connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))).await;
    connection.close().await.expect("nothing is left open");
    taken(done)
}

/// Copies a database aside, as `docs/operations/backup.md` says: what is still in its log comes along.
pub(crate) async fn back_up(folder: &Path) {
    let copy = folder.join("backup.db");
    assert!(execute(&folder.join(FILE), &format!("VACUUM INTO '{}'", copy.display())).await);
}

/// Puts what was copied aside in its place.
pub(crate) fn put_back(folder: &Path) {
    std::fs::copy(folder.join("backup.db"), folder.join(FILE)).expect("it can be copied");
    for beside in ["-wal", "-shm"] {
        // They are there only where somebody was killed.
        let _ = std::fs::remove_file(folder.join(format!("{FILE}{beside}")));
    }
}

/// Whether a statement was taken. One that is refused must be refused by a guard, not misspelled.
pub(crate) fn taken<T>(done: Result<T, sqlx::Error>) -> bool {
    let Err(error) = done else { return true };
    let told = error.to_string();
    assert!(told.contains("never falls") || told.contains("stays used"), "{told}");
    false
}
