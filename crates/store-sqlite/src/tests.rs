//! The store as its callers see it, and as somebody sees it who has the file.

mod append_only;
mod batches;
mod conformance;
mod durability;
mod files;
mod looks;
mod outbox;
mod plans;
mod schema;
mod seals;
mod tamper;
mod vault;

use crate::SqliteStore;
use countersign_domain::digest::KeyId;
use countersign_keyring::{Keyring, RootKey};
use countersign_testkit::SeededRandom;
use countersign_testkit::conformance::StoreUnderTest;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// A keyring with one root key made of `seed`.
pub(crate) fn keyring(seed: u64) -> Arc<Keyring> {
    let root = RootKey::from_bytes(SeededRandom::new(seed).bytes()).unwrap();
    Arc::new(Keyring::new(BTreeMap::from([(KeyId(1), root)])).unwrap())
}

/// The store at `path`, with the keyring of `seed`.
async fn open(path: &Path, seed: u64) -> StoreUnderTest {
    let random = Arc::new(SeededRandom::new(99));
    StoreUnderTest::new(SqliteStore::open(path, keyring(seed), random).await.unwrap())
}

/// A folder for a database, and where the database is in it.
pub(crate) fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    (folder, path)
}

/// What somebody does who has the file.
async fn intruder(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).foreign_keys(true).connect().await.unwrap()
}

/// How many errors were logged.
struct Errors(Arc<AtomicU32>);

impl<S: Subscriber> Layer<S> for Errors {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.fetch_add(u32::from(*event.metadata().level() == Level::ERROR), Ordering::SeqCst);
    }
}

/// Counts the errors that this thread logs, until the guard is dropped.
fn errors() -> (Arc<AtomicU32>, DefaultGuard) {
    let count = Arc::new(AtomicU32::new(0));
    let layer = Errors(Arc::clone(&count));
    (count, tracing::subscriber::set_default(tracing_subscriber::registry().with(layer)))
}
