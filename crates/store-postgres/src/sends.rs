//! Counts of text messages: raised inside commits, read and given back by themselves.

use crate::commit::held;
use crate::convert::RowId;
use crate::error::{Failure, from_sql};
use crate::store::PostgresStore;
use countersign_domain::ids::TenantId;
use countersign_domain::sms::budget::{SendCharge, SendCounters, SendCounts};
use countersign_ports::{Commit, StoreError};
use sqlx::postgres::PgConnection;

/// Raises every counter that is below its limit; the first that is not is a guard that does not hold.
pub(crate) async fn charge(
    transaction: &mut PgConnection,
    tenant: &TenantId,
    charge: &SendCharge,
) -> Result<Commit, Failure> {
    for (counter, limit) in charge.all() {
        let raised = sqlx::query!(
            "INSERT INTO text_message_counts AS own (tenant_id, counter_digest, day, count)
            SELECT $1, $2, $3, 1 WHERE $4::bigint > 0
            ON CONFLICT (tenant_id, counter_digest, day) DO UPDATE SET count = own.count + 1 WHERE own.count < $4",
            tenant.as_str(),
            counter.as_slice(),
            charge.counters.day,
            i64::from(limit),
        );
        if held(raised.execute(&mut *transaction).await?.rows_affected()) == Commit::Conflict {
            return Ok(Commit::Conflict);
        }
    }
    Ok(Commit::Done)
}

impl PostgresStore {
    /// See [`countersign_ports::SendLedger::counts`].
    pub(crate) async fn send_counts(
        &self,
        tenant: &TenantId,
        counters: &SendCounters,
    ) -> Result<SendCounts, StoreError> {
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
        let mut checkout = self.pool.checkout().await?;
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

    /// See [`countersign_ports::SendLedger::give_back`].
    pub(crate) async fn give_back_send(
        &self,
        tenant: &TenantId,
        counters: &SendCounters,
    ) -> Result<(), StoreError> {
        for counter in counters.all() {
            let query = sqlx::query!(
                "UPDATE text_message_counts SET count = count - 1
                WHERE tenant_id = $1 AND counter_digest = $2 AND day = $3 AND count > 0",
                tenant.as_str(),
                counter.as_slice(),
                counters.day,
            );
            let mut checkout = self.pool.checkout().await?;
            let done = self.pool.within(query.execute(checkout.connection())).await;
            checkout.conclude(done).map_err(|error| from_sql(&error))?;
        }
        Ok(())
    }
}
