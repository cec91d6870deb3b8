//! The database file of the service under test, for rules about somebody who has it.

use super::within;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tokio::process::Command;

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

/// The page for operators, and the folder of its examples.
const PAGE: &str = include_str!("../../../../../docs/operations/backup.md");
const FOLDER_OF_THE_PAGE: &str = "/var/lib/countersign";

/// Puts what was copied aside in its place, by the commands of the page. There must be a log to put away, as somebody leaves
/// who was killed.
pub(crate) async fn put_back(folder: &Path) {
    assert!(folder.join(format!("{FILE}-wal")).exists(), "nobody was killed");
    let (_, commands) = PAGE.split_once("2. Put the database back.").expect("the step");
    let (_, commands) = commands.split_once("```sh\n").expect("its commands");
    let (commands, _) = commands.split_once("```").expect("their end");
    assert!(commands.contains(FOLDER_OF_THE_PAGE), "{commands}");
    let commands = commands.replace(FOLDER_OF_THE_PAGE, folder.to_str().expect("a plain path"));
    // As in a terminal, which goes on after a command that failed: without the copy nothing is lost.
    let (copy, log) = (folder.join("backup.db"), folder.join(format!("{FILE}-wal")));
    let (database, elsewhere) = (folder.join(FILE), folder.join("elsewhere"));
    std::fs::rename(&copy, &elsewhere).expect("the copy");
    assert!(!shell(&commands).await && log.exists(), "the log went before the copy came");
    std::fs::rename(&elsewhere, &copy).expect("the copy");
    // Nor where there is no room for it.
    let before = std::fs::read(&database).expect("the database");
    assert!(!shell(&format!("ulimit -f 1\n{commands}")).await && log.exists(), "half a copy took its place");
    assert!(
        std::fs::read(&database).expect("the database") == before,
        "half a copy is written over the database"
    );
    assert!(shell(&commands).await && !log.exists());
    let mode = std::fs::metadata(&database).expect("the database").permissions().mode();
    assert_eq!(mode & 0o077, 0, "others may read it");
}

/// Whether the last of the commands worked.
async fn shell(commands: &str) -> bool {
    within(Command::new("sh").args(["-c", commands]).output()).await.expect("a shell").status.success()
}

/// Whether a statement was taken. One that is refused must be refused by a guard, not misspelled.
pub(crate) fn taken<T>(done: Result<T, sqlx::Error>) -> bool {
    let Err(error) = done else { return true };
    let told = error.to_string();
    assert!(told.contains("never falls") || told.contains("stays used"), "{told}");
    false
}
