//! What keeps the database small and trustworthy.

use crate::durability;
use crate::error::Trouble;
use crate::open::SqliteStore;
use crate::seal::Sealer;
use crate::writer::{Done, Work};
use async_trait::async_trait;
use countersign_domain::sms::budget;
use countersign_domain::time::Timestamp;
use countersign_ports::{Maintenance, StoreError};
use sqlx::SqliteConnection;

#[async_trait]
impl Maintenance for SqliteStore {
    /// Asks a reading connection and, through its queue, the writer.
    async fn check(&self) -> Result<(), StoreError> {
        let mut connection = self.reader().await?;
        let any = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT 1 FROM tenants) AS "any!: bool""#);
        connection.one(any).await?;
        self.writer.run(Check).await
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.writer.run(Sweep { now, limit }).await
    }

    /// Changes are counted as they are made.
    async fn fold_counts(&self, _limit: u32) -> Result<u64, StoreError> {
        Ok(0)
    }

    /// One table holds them all.
    async fn prepare_events(&self, _now: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    async fn drop_events(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut dropped = 0;
        let mut after = String::new();
        while let Some(tenant) = self.next_tenant(&after).await? {
            dropped += self.writer.run(DropEvents { tenant: tenant.clone(), before }).await?;
            after = tenant;
        }
        Ok(dropped)
    }
}

struct Check;

#[async_trait]
impl Work for Check {
    type Answer = ();

    async fn run(&self, at: &mut SqliteConnection, _: &Sealer) -> Result<Done<()>, Trouble> {
        durability::check(at).await?;
        Ok(Done::Keep(()))
    }
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
        let requests = swept.execute(&mut *at).await?.rows_affected();
        let today = budget::day(self.now);
        let counts = sqlx::query!(
            "DELETE FROM text_message_counts WHERE (tenant_id, counter_digest, day) IN (
                SELECT tenant_id, counter_digest, day FROM text_message_counts WHERE day < ? LIMIT ?
            )",
            today,
            self.limit
        );
        let counts = counts.execute(&mut *at).await?.rows_affected();
        // Each is bounded; whichever has more left calls for another round.
        Ok(Done::Keep(requests.max(counts).max(sweep_deleted_tenants(at, self.limit).await?)))
    }
}

/// Deletes at most `limit` users of deleted tenants, everything that they own with them; policies once no user is left.
/// Notices on their way still leave; dead letters do not stay.
async fn sweep_deleted_tenants(at: &mut SqliteConnection, limit: u32) -> Result<u64, Trouble> {
    let users = sqlx::query!(
        "DELETE FROM users WHERE (tenant_id, user_id) IN (
            SELECT users.tenant_id, users.user_id FROM tenants JOIN users USING (tenant_id)
            WHERE tenants.delete_time IS NOT NULL LIMIT ?
        )",
        limit
    );
    let swept = users.execute(&mut *at).await?.rows_affected();
    if swept == 0 {
        sqlx::query!(
            "DELETE FROM policies WHERE tenant_id IN (SELECT tenant_id FROM tenants WHERE delete_time IS NOT NULL)"
        )
        .execute(&mut *at)
        .await?;
        sqlx::query!(
            "DELETE FROM outbox WHERE due_time IS NULL
                AND tenant_id IN (SELECT tenant_id FROM tenants WHERE delete_time IS NOT NULL)"
        )
        .execute(at)
        .await?;
    }
    Ok(swept)
}

impl SqliteStore {
    /// The tenant after that one in byte order of ids, deleted ones included: they have a log too.
    async fn next_tenant(&self, after: &str) -> Result<Option<String>, StoreError> {
        let mut connection = self.reader().await?;
        let next = sqlx::query_scalar!(
            "SELECT tenant_id FROM tenants WHERE tenant_id > ? ORDER BY tenant_id LIMIT 1",
            after
        );
        connection.optional(next).await
    }
}

/// Events dropped in one piece of work, so that logins do not wait for long.
const DROPPED_AT_ONCE: i64 = 500;

/// Drops the oldest events of one tenant, as far as they are old and no notice of them is on its way.
struct DropEvents {
    tenant: String,
    before: Timestamp,
}

#[async_trait]
impl Work for DropEvents {
    type Answer = u64;

    async fn run(&self, at: &mut SqliteConnection, _: &Sealer) -> Result<Done<u64>, Trouble> {
        let (tenant, before) = (self.tenant.as_str(), self.before.unix_micros());
        // A change set is dropped whole: the first transaction that stays is where the log begins from now on.
        let stays = sqlx::query_scalar!(
            r#"SELECT transaction_id AS "transaction_id!: i64" FROM (
                SELECT transaction_id, event_time, event_id,
                    row_number() OVER (ORDER BY transaction_id, number) AS place
                FROM events WHERE tenant_id = ?1 ORDER BY transaction_id, number LIMIT ?3
            ) AS oldest
            WHERE event_time >= ?2 OR place = ?3 OR EXISTS (
                SELECT 1 FROM outbox
                WHERE outbox.tenant_id = ?1 AND outbox.event_id = oldest.event_id AND due_time IS NOT NULL
            )
            ORDER BY place LIMIT 1"#,
            tenant,
            before,
            DROPPED_AT_ONCE
        );
        let stays = stays.fetch_optional(&mut *at).await?.unwrap_or(i64::MAX);
        let floor = sqlx::query!(
            "INSERT INTO event_floors (tenant_id, transaction_id, number)
            SELECT tenant_id, transaction_id, number FROM events WHERE tenant_id = ?1 AND transaction_id < ?2
            ORDER BY transaction_id DESC, number DESC LIMIT 1
            ON CONFLICT (tenant_id) DO UPDATE SET
                transaction_id = excluded.transaction_id, number = excluded.number",
            tenant,
            stays
        );
        floor.execute(&mut *at).await?;
        sqlx::query!(
            "DELETE FROM outbox WHERE tenant_id = ?1 AND event_id IN (
                SELECT event_id FROM events WHERE tenant_id = ?1 AND transaction_id < ?2
            )",
            tenant,
            stays
        )
        .execute(&mut *at)
        .await?;
        let dropped =
            sqlx::query!("DELETE FROM events WHERE tenant_id = ?1 AND transaction_id < ?2", tenant, stays);
        Ok(Done::Keep(dropped.execute(at).await?.rows_affected()))
    }
}
