//! Which settings of a connection the store refuses to work with (R61).

use super::folder;
use crate::durability::check;
use countersign_ports::StoreError;
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

/// R61: a connection whose commits a crash may take back, or that lets rows be there without what they belong to, is
/// refused; each setting for itself.
#[tokio::test]
async fn a_connection_that_keeps_less_is_refused() {
    let (wal, full) = (SqliteJournalMode::Wal, SqliteSynchronous::Full);
    for (journal, synchronous, foreign_keys, sound) in [
        (wal, full, true, true),
        (wal, SqliteSynchronous::Extra, true, true),
        (wal, SqliteSynchronous::Normal, true, false),
        (wal, SqliteSynchronous::Off, true, false),
        (SqliteJournalMode::Delete, full, true, false),
        (SqliteJournalMode::Memory, full, true, false),
        (wal, full, false, false),
    ] {
        let (_folder, path) = folder();
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(journal)
            .synchronous(synchronous)
            .foreign_keys(foreign_keys);
        let checked = check(&mut options.connect().await.unwrap()).await;
        let told = format!("{journal:?} {synchronous:?} {foreign_keys}: {checked:?}");
        assert!(
            if sound { checked.is_ok() } else { matches!(checked, Err(StoreError::Unavailable(_))) },
            "{told}"
        );
    }
}
