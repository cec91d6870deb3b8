//! R66: migrations run while the version before serves, and beside backups.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use countersign_ports::StoreError;
use sqlx::Executor;
use sqlx::postgres::PgConnection;
use std::error::Error as _;
use std::time::Duration;
use support::{Database, run};
use tokio::task::JoinHandle;

/// Far longer than all tries together.
const PATIENCE: Duration = Duration::from_mins(2);

/// A database that lacks a migration which changes the outbox, and somebody who reads the outbox as `pg_dump` does.
async fn read_by_a_backup() -> (Database, PgConnection) {
    let database = Database::migrated().await;
    let mut backup = database.connect().await;
    run(
        &mut backup,
        "DELETE FROM _sqlx_migrations WHERE version = 14;
        ALTER TABLE outbox DROP CONSTRAINT outbox_times;
        ALTER TABLE events_default DROP CONSTRAINT events_default_times;
        ALTER TABLE events_first DROP CONSTRAINT events_first_times;",
    )
    .await;
    run(&mut backup, "BEGIN").await;
    run(&mut backup, "LOCK TABLE outbox IN ACCESS SHARE MODE").await;
    (database, backup)
}

fn migrate(database: &Database) -> JoinHandle<Result<(), StoreError>> {
    let url = database.url();
    tokio::spawn(async move { countersign_store_postgres::migrate(&url).await })
}

async fn ended(migration: JoinHandle<Result<(), StoreError>>) -> Result<(), StoreError> {
    tokio::time::timeout(PATIENCE, migration).await.expect("it does not wait for ever").unwrap()
}

/// R66: a migration does not hold up logins behind somebody who reads a table for long: it gives up, leaves nothing behind
/// and says what to do.
#[tokio::test]
async fn a_migration_gives_way_to_a_backup() {
    let (database, mut backup) = read_by_a_backup().await;
    let error = ended(migrate(&database)).await.unwrap_err();
    let told = error.source().map(ToString::to_string).unwrap_or_default();
    assert!(told.contains("run the migrations again"), "{error}: {told}");
    run(&mut backup, "ROLLBACK").await;
    assert_eq!(ended(migrate(&database)).await.unwrap(), ());
    database.store().await;
}

/// R66: where the backup ends meanwhile, the next try succeeds.
#[tokio::test]
async fn a_migration_tries_again() {
    let (database, mut backup) = read_by_a_backup().await;
    let migration = migrate(&database);
    // Seen to have given up: nobody waits any more, and the migration goes on.
    let mut observer = database.connect().await;
    let gave_up = async {
        let mut waited = false;
        loop {
            let waits = sqlx::query_scalar::<_, bool>(
                "SELECT EXISTS (
                    SELECT FROM pg_locks WHERE relation = 'outbox'::regclass AND NOT granted
                )",
            );
            match waits.fetch_one(&mut observer).await.unwrap() {
                true => waited = true,
                false if waited => return,
                false => {}
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gave_up).await.expect("it gives up waiting");
    run(&mut backup, "ROLLBACK").await;
    assert_eq!(ended(migration).await.unwrap(), ());
    database.store().await;
}

/// R66: where a migration and somebody else wait for each other, it is tried again if it is the one that the server ends.
#[tokio::test]
async fn a_migration_survives_a_deadlock() {
    let database = Database::migrated().await;
    let mut node = database.connect().await;
    // As before migration 13, which changes authenticators and then users.
    run(
        &mut node,
        "DELETE FROM _sqlx_migrations WHERE version = 13;
        DROP TYPE login_change, asked_user;
        DROP TRIGGER authenticators_check ON authenticators;
        DROP FUNCTION authenticators_check();
        DROP TRIGGER users_check ON users;
        DROP FUNCTION users_check();
        ALTER TABLE authenticators
            DROP CONSTRAINT authenticators_last_step,
            ADD CONSTRAINT authenticators_kind CHECK (true),
            ADD CONSTRAINT authenticators_totp CHECK (true),
            ADD CONSTRAINT authenticators_totp_parameters CHECK (true),
            ADD CONSTRAINT authenticators_sms CHECK (true),
            ADD CONSTRAINT authenticators_sms_send CHECK (true),
            ADD CONSTRAINT authenticators_key CHECK (true),
            ADD CONSTRAINT authenticators_key_sign_count CHECK (true);
        ALTER TABLE users ADD CONSTRAINT users_id_length CHECK (true)",
    )
    .await;
    run(&mut node, "BEGIN").await;
    // So that the migration is the one that is ended; if it is not, it has nothing to survive.
    run(&mut node, "SET LOCAL deadlock_timeout = '10s'").await;
    run(&mut node, "LOCK TABLE users IN ROW EXCLUSIVE MODE").await;
    let migration = migrate(&database);
    let mut observer = database.connect().await;
    let waits = async {
        let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'users'::regclass AND NOT granted)";
        while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut observer).await.unwrap() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waits).await.expect("it waits");
    let _ = node.execute("LOCK TABLE authenticators IN ACCESS SHARE MODE").await;
    run(&mut node, "ROLLBACK").await;
    assert_eq!(ended(migration).await.unwrap(), ());
    database.store().await;
}
