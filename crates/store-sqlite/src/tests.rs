//! The store as its callers see it, and as somebody sees it who has the file.

mod append_only;
mod batches;
mod conformance;
mod durability;
mod files;
mod known;
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
use tempfile::TempDir;

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
