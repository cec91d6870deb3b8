//! The schema: embedded migrations, run under a lock, and the check that they have run.
//!
//! Migrations only expand until no version that needs the old form is left (R68): version N and N−1 run on one schema.
//! Never edit one that was released; add the next.

use crate::error::{from_sql, unavailable, untrusted};
use crate::options;
use crate::pool::{Pool, connect_once};
use countersign_domain::secret::SecretString;
use countersign_ports::StoreError;
use sqlx::Connection;
use sqlx::migrate::{MigrateError, Migrator};

/// Every migration, oldest first. Those of a newer version are none of our business (R68).
fn migrations() -> Migrator {
    let mut migrations = sqlx::migrate!();
    migrations.set_ignore_missing(true);
    migrations
}

/// Brings the database at `url` to this version's schema. Several may call it at once: an advisory lock lets one at a
/// time work, and the others find nothing left to do.
pub async fn migrate(url: &SecretString) -> Result<(), StoreError> {
    let mut connection = connect_once(options::parse(url)?).await?;
    let result = migrations().run_direct(None, &mut connection, false).await;
    result.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => unavailable(&error),
        MigrateError::Dirty(version) => untrusted(format!("migration {version} was interrupted")),
        MigrateError::VersionMismatch(version) => {
            untrusted(format!("migration {version} was edited after it ran"))
        }
        _ => untrusted("the migrations do not fit the database".to_owned()),
    })?;
    // Whoever migrates owns the tables; the service itself may not, and then could not make room for events.
    // Not checked at compile time: it follows from the migrations that have just run.
    sqlx::query("SELECT events_make_partitions(now(), $1)")
        .bind(PARTITIONS_AHEAD)
        .execute(&mut connection)
        .await
        .map_err(|error| from_sql(&error))?;
    // The work is done and committed; a connection that fails at its farewell changes nothing of that.
    let _ = connection.close().await;
    Ok(())
}

/// Refuses a database that lacks a migration.
pub(crate) async fn check(pool: &Pool) -> Result<(), StoreError> {
    // Not checked at compile time: the driver makes this table, not a migration.
    let query = sqlx::query_scalar::<_, i64>("SELECT version FROM _sqlx_migrations WHERE success");
    let mut checkout = pool.checkout().await?;
    let applied = pool.within(query.fetch_all(checkout.connection())).await;
    let applied = checkout.conclude(applied).map_err(|error| {
        let missing = crate::error::database_error(&error).is_some_and(|it| it.code() == "42P01");
        if missing { untrusted(BEHIND.to_owned()) } else { from_sql(&error) }
    })?;
    // Each of them, and not just the newest: one that was merged late has a lower number than others that have run.
    let complete = migrations().iter().all(|migration| applied.contains(&migration.version));
    if complete { Ok(()) } else { Err(untrusted(BEHIND.to_owned())) }
}

/// Months of partitions of the log that are there before they are needed.
pub(crate) const PARTITIONS_AHEAD: i32 = 3;

const BEHIND: &str = "the schema is older than this version; run the migrations";
