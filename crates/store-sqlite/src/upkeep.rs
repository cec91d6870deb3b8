//! What keeps the database small and trustworthy.

use crate::error::{Trouble, unavailable};
use crate::open::SqliteStore;
use crate::seal::Sealer;
use crate::writer::{Done, Work};
use async_trait::async_trait;
use countersign_domain::time::Timestamp;
use countersign_ports::{Maintenance, StoreError};
use sqlx::SqliteConnection;

#[async_trait]
impl Maintenance for SqliteStore {
    /// Asks a reading connection and, through its queue, the writer.
    async fn check(&self) -> Result<(), StoreError> {
        let mut connection = self.reader().await?;
        sqlx::query_scalar!(r#"SELECT EXISTS (SELECT 1 FROM tenants) AS "any!: bool""#)
            .fetch_one(&mut *connection)
            .await
            .map_err(unavailable)?;
        self.writer.run(Check).await
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.writer.run(Sweep { now, limit }).await
    }
}

struct Check;

#[async_trait]
impl Work for Check {
    type Answer = ();

    async fn run(&self, at: &mut SqliteConnection, _: &Sealer) -> Result<Done<()>, Trouble> {
        durable(at).await?;
        Ok(Done::Keep(()))
    }
}

/// R61: what this connection commits is on the disk before it is acknowledged, and its constraints are enforced. The
/// settings are asked for, because a file system without shared memory can refuse them silently; the query macros know
/// no pragmas.
pub(crate) async fn durable(at: &mut SqliteConnection) -> Result<(), StoreError> {
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

struct Sweep {
    now: Timestamp,
    limit: u32,
}

#[async_trait]
impl Work for Sweep {
    type Answer = u64;

    async fn run(&self, at: &mut SqliteConnection, _: &Sealer) -> Result<Done<u64>, Trouble> {
        let now = self.now.unix_micros();
        let swept = sqlx::query!(
            "DELETE FROM requests WHERE (tenant_id, user_id, caller, request_id) IN (
                SELECT tenant_id, user_id, caller, request_id FROM requests WHERE expire_time <= ?
                ORDER BY expire_time LIMIT ?
            )",
            now,
            self.limit
        );
        Ok(Done::Keep(swept.execute(at).await?.rows_affected()))
    }
}
