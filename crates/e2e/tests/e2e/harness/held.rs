//! Somebody who keeps the service from committing for a while, so that no answer can leave: answers are told only when they
//! are durable. What is read meanwhile is read.

use super::node::Data;
use super::within;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection, SqliteConnection};
use std::str::FromStr as _;

/// Commits wait until this is released.
pub(crate) enum Held {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Held {
    /// From now on no change of a user is committed on this data.
    pub(crate) async fn hold(data: &Data) -> Self {
        let Some(url) = data.postgres() else {
            let options = SqliteConnectOptions::new().filename(data.folder().join("countersign.db"));
            let mut connection = within(options.connect()).await.expect("the file opens");
            // The write lock of the whole file; the service has it for no longer than a commit takes.
            within(connection.execute("BEGIN IMMEDIATE")).await.expect("it is taken");
            return Self::Sqlite(connection);
        };
        let options = PgConnectOptions::from_str(url).expect("a URL");
        let mut connection = within(options.connect()).await.expect("the test server answers");
        for statement in ["BEGIN", "LOCK TABLE users IN SHARE MODE"] {
            within(connection.execute(statement)).await.expect("it is taken");
        }
        Self::Postgres(connection)
    }

    /// Whatever waited is committed.
    pub(crate) async fn release(self) {
        match self {
            Self::Sqlite(connection) => within(connection.close()).await.expect("it lets go"),
            Self::Postgres(connection) => within(connection.close()).await.expect("it lets go"),
        }
    }
}
