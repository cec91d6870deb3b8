//! Deleting what expired and is not security state: answers to repeat.

use crate::convert::time_bound;
use crate::error::from_sql;
use crate::store::PostgresStore;
use countersign_domain::time::Timestamp;
use countersign_ports::StoreError;

impl PostgresStore {
    /// See [`countersign_ports::Maintenance::sweep`]. Several nodes may sweep at once: each skips what another holds.
    pub(crate) async fn sweep_requests(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let query = sqlx::query!(
            "DELETE FROM requests WHERE (tenant_id, user_id, caller, request_id) IN (
                SELECT tenant_id, user_id, caller, request_id FROM requests
                WHERE expire_time <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED
            )",
            time_bound(now),
            i64::from(limit),
        );
        let mut checkout = self.pool.checkout().await?;
        let swept = self.pool.within(query.execute(checkout.connection())).await;
        checkout.conclude(swept).map(|swept| swept.rows_affected()).map_err(|error| from_sql(&error))
    }
}
