//! Keeping the database small: answers to repeat that expired, counts of text messages of days that are over, what
//! deleted tenants left, and the log's old months.
//!
//! What is deleted is found first, in a part of the statement that is run once (MATERIALIZED): a plan that ran it again for
//! each row would delete more than the limit.
//!
//! The log's partitions are made and dropped by functions of the schema. The first works with the rights of the owner of the
//! tables; dropping succeeds for the owner alone, be it the service itself or whoever runs the migrations.

use crate::convert::{time_bound, time_out};
use crate::error::from_sql;
use crate::schema::PARTITIONS_AHEAD;
use crate::store::PostgresStore;
use async_trait::async_trait;
use countersign_domain::sms::budget;
use countersign_domain::time::Timestamp;
use countersign_ports::{Maintenance, StoreError};
use sqlx::postgres::PgConnection;

#[async_trait]
impl Maintenance for PostgresStore {
    async fn check(&self) -> Result<(), StoreError> {
        self.pool.check().await
    }

    async fn time(&self) -> Result<Option<Timestamp>, StoreError> {
        let query = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "time!""#);
        let mut checkout = self.pool.checkout().await?;
        let time = self.pool.within(query.fetch_one(checkout.connection())).await;
        checkout.conclude(time).map(|time| Some(time_out(time))).map_err(|error| from_sql(&error))
    }

    /// Several nodes may sweep at once: each skips what another holds.
    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let requests = self.sweep_requests(now, limit).await?;
        let sends = self.sweep_sends(now, limit).await?;
        // Each is bounded; whichever has more left calls for another round.
        Ok(requests.max(sends).max(self.sweep_deleted_tenants(limit).await?))
    }

    async fn fold_counts(&self, limit: u32) -> Result<u64, StoreError> {
        self.fold_tallies(limit).await
    }

    async fn prepare_events(&self, now: Timestamp) -> Result<(), StoreError> {
        let query =
            sqlx::query_scalar!("SELECT events_make_partitions($1, $2)", time_bound(now), PARTITIONS_AHEAD);
        let mut checkout = self.pool.checkout().await?;
        let made = self.pool.within(query.fetch_one(checkout.connection())).await;
        checkout.conclude(made).map(drop).map_err(|error| from_sql(&error))
    }

    async fn drop_events(&self, before: Timestamp) -> Result<u64, StoreError> {
        let query = sqlx::query_scalar!(r#"SELECT events_drop_before($1) AS "dropped!""#, time_bound(before));
        let mut checkout = self.pool.checkout().await?;
        let dropped = self.pool.within(query.fetch_one(checkout.connection())).await;
        let dropped = checkout.conclude(dropped).map_err(|error| from_sql(&error))?;
        Ok(u64::try_from(dropped).unwrap_or(0))
    }
}

impl PostgresStore {
    /// Answers to repeat that expired.
    async fn sweep_requests(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let query = sqlx::query!(
            "WITH expired AS MATERIALIZED (
                SELECT tenant_id, user_id, caller, request_id FROM requests
                WHERE expire_time <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED
            )
            DELETE FROM requests WHERE (tenant_id, user_id, caller, request_id) IN (SELECT * FROM expired)",
            time_bound(now),
            i64::from(limit),
        );
        let mut checkout = self.pool.checkout().await?;
        let swept = self.pool.within(query.execute(checkout.connection())).await;
        checkout.conclude(swept).map(|swept| swept.rows_affected()).map_err(|error| from_sql(&error))
    }

    /// The counts of days that are over.
    async fn sweep_sends(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let query = sqlx::query!(
            "WITH over AS MATERIALIZED (
                SELECT tenant_id, counter_digest, day FROM text_message_counts
                WHERE day < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
            )
            DELETE FROM text_message_counts WHERE (tenant_id, counter_digest, day) IN (SELECT * FROM over)",
            budget::day(now),
            i64::from(limit),
        );
        let mut checkout = self.pool.checkout().await?;
        let swept = self.pool.within(query.execute(checkout.connection())).await;
        checkout.conclude(swept).map(|swept| swept.rows_affected()).map_err(|error| from_sql(&error))
    }

    /// Deletes at most `limit` users of deleted tenants, everything that they own with them; policies once no user is
    /// left. Notices on their way still leave; dead letters do not stay.
    async fn sweep_deleted_tenants(&self, limit: u32) -> Result<u64, StoreError> {
        let mut checkout = self.pool.checkout().await?;
        let swept = self.pool.within(sweep_deleted(checkout.connection(), limit)).await;
        checkout.conclude(swept).map_err(|error| from_sql(&error))
    }
}

async fn sweep_deleted(connection: &mut PgConnection, limit: u32) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        "WITH orphaned AS MATERIALIZED (
            SELECT users.tenant_id, users.user_id FROM tenants JOIN users USING (tenant_id)
            WHERE tenants.delete_time IS NOT NULL LIMIT $1 FOR UPDATE OF users SKIP LOCKED
        )
        DELETE FROM users WHERE (tenant_id, user_id) IN (SELECT * FROM orphaned)",
        i64::from(limit),
    );
    let swept = swept.execute(&mut *connection).await?.rows_affected();
    if swept == 0 {
        sqlx::query!(
            "DELETE FROM policies USING tenants
            WHERE policies.tenant_id = tenants.tenant_id AND tenants.delete_time IS NOT NULL"
        )
        .execute(&mut *connection)
        .await?;
        sqlx::query!(
            "DELETE FROM outbox USING tenants
            WHERE outbox.tenant_id = tenants.tenant_id AND tenants.delete_time IS NOT NULL
                AND outbox.due_time IS NULL"
        )
        .execute(connection)
        .await?;
    }
    Ok(swept)
}
