//! The schema: embedded migrations, run under a lock, and the check that they have run.
//!
//! Migrations only expand until no version that needs the old form is left (R68): version N and N−1 run on one schema.
//! Never edit one that was released; add the next.

use crate::error::{database_error, from_sql, is_transient, unavailable, untrusted};
use crate::options;
use crate::pool::{Pool, connect_once};
use countersign_domain::secret::SecretString;
use countersign_ports::StoreError;
use sqlx::Connection;
use sqlx::migrate::{Migrate as _, MigrateError, Migrator};
use sqlx::postgres::PgConnection;
use std::time::Duration;

/// Every migration, oldest first. Those of a newer version are none of our business (R68). Whoever runs them takes the
/// lock.
fn migrations() -> Migrator {
    let mut migrations = sqlx::migrate!();
    migrations.set_ignore_missing(true).set_locking(false);
    migrations
}

/// How often what could not lock a table is tried.
const TRIES: u32 = 3;

/// How long logins may do what queued behind it, before the next try.
const PAUSE: Duration = Duration::from_secs(3);

/// Brings the database at `url` to this version's schema. Several may call it at once: an advisory lock lets one at a
/// time work, and the others find nothing left to do.
///
/// A change of a table waits for whoever reads it, such as a backup, and every login queues behind the change (R66). So it
/// gives up after 2 s, and after a few tries says who is to end first. A migration that changes several tables may meet logins
/// that hold one and want the other: where the server ends it for that, it is tried again as well.
pub async fn migrate(url: &SecretString) -> Result<(), StoreError> {
    let mut connection = connect_once(options::parse(url)?).await?;
    // The driver's own lock, taken before the wait for locks has a limit: whoever holds it migrates, however long.
    connection.lock().await.map_err(of_migration)?;
    let limit = sqlx::query("SET lock_timeout = '2s'").execute(&mut connection).await;
    limit.map_err(|error| from_sql(&error))?;
    let mut left = TRIES;
    while let Err(error) = try_to_migrate(&mut connection).await {
        left -= 1;
        if !gave_way(&error) {
            return Err(of_migration(error));
        }
        if left == 0 {
            return Err(untrusted(LOCKED.to_owned()));
        }
        tracing::warn!(tries_left = left, "somebody holds a table that a migration changes");
        tokio::time::sleep(PAUSE).await;
    }
    // The work is done and committed; a connection that fails at its farewell changes nothing of that.
    let _ = connection.close().await;
    Ok(())
}

/// Once through: the migrations that are missing, and room for events.
async fn try_to_migrate(connection: &mut PgConnection) -> Result<(), MigrateError> {
    migrations().run_direct(None, connection, false).await?;
    // Nodes make room for events too, whoever owns the tables. Here it is there before the first of them starts.
    // Not checked at compile time: it follows from the migrations that have just run.
    let room = sqlx::query("SELECT events_make_partitions(now(), $1)").bind(PARTITIONS_AHEAD);
    room.execute(connection).await?;
    Ok(())
}

/// Whether somebody else held what was to be changed, for as long as was waited or while waiting for us.
fn gave_way(error: &MigrateError) -> bool {
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            is_transient(error) || database_error(error).is_some_and(|it| it.code() == LOCK_NOT_AVAILABLE)
        }
        _ => false,
    }
}

fn of_migration(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => unavailable(&error),
        MigrateError::Dirty(version) => untrusted(format!("migration {version} was interrupted")),
        MigrateError::VersionMismatch(version) => {
            untrusted(format!("migration {version} was edited after it ran"))
        }
        _ => untrusted("the migrations do not fit the database".to_owned()),
    }
}

/// Refuses a database that lacks a migration.
pub(crate) async fn check(pool: &Pool) -> Result<(), StoreError> {
    // Not checked at compile time: the driver makes this table, not a migration.
    let query = sqlx::query_scalar::<_, i64>("SELECT version FROM _sqlx_migrations WHERE success");
    let mut checkout = pool.checkout().await?;
    let applied = pool.within(query.fetch_all(checkout.connection())).await;
    let applied = checkout.conclude(applied).map_err(|error| {
        let missing = database_error(&error).is_some_and(|it| it.code() == "42P01");
        if missing { untrusted(BEHIND.to_owned()) } else { from_sql(&error) }
    })?;
    // Each of them, and not just the newest: one that was merged late has a lower number than others that have run.
    let complete = migrations().iter().all(|migration| applied.contains(&migration.version));
    if complete { check_positions(pool).await } else { Err(untrusted(BEHIND.to_owned())) }
}

/// Refuses a log that is ahead of its server's transactions, as after a dump was put back into a new cluster: its events
/// would be hidden from readers, and new ones would sort before them.
///
/// Looks at the last event of each tenant, by an index, and at no more tenants than are looked at in a moment: of so many
/// one has written lately.
async fn check_positions(pool: &Pool) -> Result<(), StoreError> {
    let ahead = sqlx::query_scalar!(
        "SELECT max(last.transaction_id)
        FROM (SELECT tenant_id FROM tenants ORDER BY tenant_id LIMIT 32) AS known
        CROSS JOIN LATERAL (
            SELECT transaction_id FROM events WHERE events.tenant_id = known.tenant_id
            ORDER BY transaction_id DESC, number DESC LIMIT 1
        ) AS last
        WHERE last.transaction_id >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
    );
    let mut checkout = pool.checkout().await?;
    let ahead = pool.within(ahead.fetch_one(checkout.connection())).await;
    match checkout.conclude(ahead).map_err(|error| from_sql(&error))? {
        None => Ok(()),
        Some(position) => Err(untrusted(format!(
            "the log has events of transactions that this server has not begun yet, as after a dump was put back into a new \
            cluster; stop the server, run `pg_resetwal -e {} -D DATADIR`, and start it, or put the whole cluster back",
            (position >> 32) + 1
        ))),
    }
}

/// Months of partitions of the log that are there before they are needed.
pub(crate) const PARTITIONS_AHEAD: i32 = 3;

const BEHIND: &str = "the schema is older than this version; run the migrations";

const LOCKED: &str = "somebody holds a table that a migration changes, and logins would wait with it; let the backup or \
    transaction that has it end (pg_stat_activity shows the oldest), and run the migrations again";
