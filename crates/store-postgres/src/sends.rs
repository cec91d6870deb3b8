//! Counts of text messages: read, given back, and raised by themselves. Commits raise them by `commit::sends`.

use crate::commit::sends;
use crate::convert::RowId;
use crate::error::from_sql;
use crate::store::PostgresStore;
use async_trait::async_trait;
use countersign_domain::ids::TenantId;
use countersign_domain::sms::budget::{SendCharge, SendCounters, SendCounts};
use countersign_ports::{Commit, SendLedger, StoreError};
use sqlx::Connection;
use sqlx::postgres::PgConnection;

#[async_trait]
impl SendLedger for PostgresStore {
    async fn counts(&self, tenant: &TenantId, counters: &SendCounters) -> Result<SendCounts, StoreError> {
        let query = sqlx::query!(
            r#"SELECT
                (SELECT count FROM text_message_counts
                    WHERE tenant_id = $1 AND day = $2 AND counter_digest = $3) AS "user",
                (SELECT count FROM text_message_counts
                    WHERE tenant_id = $1 AND day = $2 AND counter_digest = $4) AS "number",
                (SELECT count FROM text_message_counts
                    WHERE tenant_id = $1 AND day = $2 AND counter_digest = $5) AS "tenant""#,
            tenant.as_str(),
            counters.day,
            counters.user.as_slice(),
            counters.number.as_slice(),
            counters.tenant.as_slice(),
        );
        let mut checkout = self.pool.checkout_for(tenant).await?;
        let found = self.pool.within(query.fetch_one(checkout.connection())).await;
        let found = checkout.conclude(found).map_err(|error| from_sql(&error))?;
        let row = RowId { entity: "count of text messages of tenant", id: tenant };
        let count = |count: Option<i64>| row.count(count.unwrap_or(0));
        Ok(SendCounts {
            user: count(found.user)?,
            number: count(found.number)?,
            tenant: count(found.tenant)?,
        })
    }

    async fn give_back(&self, tenant: &TenantId, counters: &SendCounters) -> Result<(), StoreError> {
        let mut checkout = self.pool.checkout_for(tenant).await?;
        let done = self.pool.within(give_back(checkout.connection(), tenant, counters)).await;
        checkout.conclude(done).map_err(|error| from_sql(&error))
    }

    async fn charge(&self, tenant: &TenantId, charge: &SendCharge) -> Result<Commit, StoreError> {
        let mut checkout = self.pool.checkout_for(tenant).await?;
        let done = self.pool.within(charge_alone(checkout.connection(), tenant, charge)).await;
        checkout.conclude(done).map_err(|error| from_sql(&error))
    }
}

/// All of them or none. One by one, in the order in which a commit raises them: one statement would lock them in the order
/// of its plan, and might wait for a commit that waits for it.
async fn give_back(
    connection: &mut PgConnection,
    tenant: &TenantId,
    counters: &SendCounters,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    for counter in counters.all() {
        let query = sqlx::query!(
            "UPDATE text_message_counts SET count = count - 1
            WHERE tenant_id = $1 AND counter_digest = $2 AND day = $3 AND count > 0",
            tenant.as_str(),
            counter.as_slice(),
            counters.day,
        );
        query.execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

/// All of them or none, in a transaction of its own.
async fn charge_alone(
    connection: &mut PgConnection,
    tenant: &TenantId,
    charge: &SendCharge,
) -> Result<Commit, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let held = sends::charge(&mut transaction, tenant, charge).await?;
    match held {
        Commit::Done => transaction.commit().await?,
        Commit::Conflict => transaction.rollback().await?,
    }
    Ok(held)
}
