//! Whether what is acknowledged is kept.

use crate::error::unavailable;
use countersign_ports::StoreError;
use sqlx::SqliteConnection;

/// R61: what this connection commits is on the disk before it is acknowledged, and its constraints are enforced. The
/// settings are asked for, because a file system without shared memory can refuse them silently; the query macros know
/// no pragmas.
pub(crate) async fn check(at: &mut SqliteConnection) -> Result<(), StoreError> {
    let journal: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *at).await.map_err(unavailable)?;
    let synchronous: i64 =
        sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *at).await.map_err(unavailable)?;
    let foreign_keys: bool =
        sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&mut *at).await.map_err(unavailable)?;
    // 2 is FULL, 3 is EXTRA: anything less may lose what was acknowledged.
    if journal != "wal" || synchronous < 2 || !foreign_keys {
        return Err(StoreError::Unavailable("the database does not keep what it acknowledges".into()));
    }
    Ok(())
}
