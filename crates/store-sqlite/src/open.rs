//! Opening the database: the file, its settings, its schema, and the check that it keeps what it acknowledges (R61).

use crate::durability;
use crate::error::unavailable;
use crate::loader::{LOADERS, Loader};
use crate::reader::{PooledReader, Reader};
use crate::seal::Sealer;
use crate::writer::{self, Writer};
use countersign_keyring::Keyring;
use countersign_ports::{Random, StoreError, ToldOnce};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Connections that read at the same time, beside those of loads.
const READERS: u32 = 4;

/// How long a statement waits for another process that writes, such as an operator command.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a read waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// The write-ahead log is cut to this after a checkpoint, in bytes.
const LOG_SIZE_LIMIT: &str = "67108864";

/// The store in one SQLite file. Share it behind an `Arc`; the last one dropped lets the writer finish its queue.
#[derive(Debug)]
pub struct SqliteStore {
    pub(crate) reads: SqlitePool,
    pub(crate) loader: Loader,
    pub(crate) writer: Writer,
    pub(crate) keyring: Arc<Keyring>,
    /// What was told of the log that somebody edited.
    pub(crate) told: ToldOnce,
    /// Notices that were told of because they cannot be read.
    pub(crate) unread: Arc<ToldOnce>,
}

impl SqliteStore {
    /// Opens the database at `path`, creates it where there is none (readable by its owner alone), brings its schema
    /// up to date and checks its durability. Must run inside a tokio runtime, which the writer lives on.
    ///
    /// Keys are sealed and opened with `keyring`, nonces drawn from `random`.
    pub async fn open(
        path: &Path,
        keyring: Arc<Keyring>,
        random: Arc<dyn Random>,
    ) -> Result<Self, StoreError> {
        let options = options(path);
        let alone = alone(path.to_owned()).await?;
        create(path).map_err(failed)?;
        let mut connection = writer::connect(&options).await?;
        migrate(&mut connection).await?;
        drop(alone);
        durability::check(&mut connection).await?;

        let pool = SqlitePoolOptions::new()
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            // Asking a file whether it is there would double every read.
            .test_before_acquire(false);
        let read_only = options.clone().pragma("query_only", "ON");
        // Loads have their own: no login waits for those who read lists or the log.
        let loads = pool.clone().max_connections(LOADERS).connect_lazy_with(read_only.clone());
        let reads = pool.max_connections(READERS).connect_lazy_with(read_only);
        let seal = Sealer { keyring: Arc::clone(&keyring), random };
        let loader = Loader::start(&loads);
        let writer = Writer::start(connection, options, seal);
        Ok(Self { reads, loader, writer, keyring, told: ToldOnce::default(), unread: Arc::default() })
    }
}

/// Acknowledged means durable: the log is flushed at every commit, through the disk's own cache where the system can.
fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("fullfsync", "ON")
        .pragma("checkpoint_fullfsync", "ON")
        .pragma("journal_size_limit", LOG_SIZE_LIMIT)
        .disable_statement_logging()
}

/// Locks a file beside the database, until it is dropped. SQLite does not wait where two processes switch a new
/// database to its write-ahead log at once, and has no lock for changes of the schema as a whole.
async fn alone(path: PathBuf) -> Result<File, StoreError> {
    let locked = tokio::task::spawn_blocking(move || {
        let mut beside = path.into_os_string();
        beside.push("-lock");
        let file = private().create(true).truncate(false).open(beside)?;
        file.lock()?;
        Ok(file)
    });
    locked.await.map_err(failed)?.map_err(|error: std::io::Error| failed(error))
}

/// Creates an empty file where there is none. SQLite gives its log the same permissions.
fn create(path: &Path) -> std::io::Result<()> {
    match private().create_new(true).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Readable and writable by its owner alone, where files have owners.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

/// Applies what is missing of the schema, all of it or nothing.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let mut migrations = sqlx::migrate!();
    // A database that the next version has been at serves this one too (R68).
    migrations.set_ignore_missing(true);
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)?;
    migrations.run_direct(None, &mut *transaction, false).await.map_err(failed)?;
    transaction.commit().await.map_err(unavailable)
}

impl SqliteStore {
    /// A connection to read with.
    pub(crate) async fn reader(&self) -> Result<PooledReader, StoreError> {
        self.reads.acquire().await.map(Reader::new).map_err(unavailable)
    }
}
