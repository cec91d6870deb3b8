//! Notices that were given up: listed, revived, swept.

use crate::convert::{RowId, time_bound, time_in, time_out};
use crate::error::{Failure, from_sql};
use crate::store::PostgresStore;
use async_trait::async_trait;
use countersign_domain::ids::{EventId, TenantId};
use countersign_domain::time::Timestamp;
use countersign_ports::{DeadLetter, DeadLetters, NoticeId, StoreError};
use time::OffsetDateTime;
use uuid::Uuid;

struct DeadRow {
    tenant_id: String,
    notice_id: Uuid,
    event_id: Uuid,
    create_time: OffsetDateTime,
    attempts: i64,
    last_error: String,
    kind: String,
}

#[async_trait]
impl DeadLetters for PostgresStore {
    async fn dead_letters(
        &self,
        after: Option<(Timestamp, NoticeId)>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let (time, id) =
            after.map_or((OffsetDateTime::UNIX_EPOCH, Uuid::nil()), |(time, id)| (time_bound(time), id.0));
        let query = sqlx::query_as!(
            DeadRow,
            r#"SELECT outbox.tenant_id, notice_id, outbox.event_id, create_time, attempts,
                coalesce(last_error, '') AS "last_error!", coalesce(events.kind, '') AS "kind!"
            FROM outbox
            LEFT JOIN events ON events.tenant_id = outbox.tenant_id AND events.event_id = outbox.event_id
                AND events.event_time = outbox.event_time
            WHERE due_time IS NULL AND (create_time, notice_id) > ($1, $2)
            ORDER BY create_time, notice_id LIMIT $3"#,
            time,
            id,
            i64::from(limit),
        );
        let mut checkout = self.pool.checkout().await?;
        let rows = self.pool.within(query.fetch_all(checkout.connection())).await;
        let rows = checkout.conclude(rows).map_err(|error| from_sql(&error))?;
        rows.into_iter().map(DeadRow::into_letter).collect()
    }

    async fn revive(&self, notice: NoticeId, now: Timestamp) -> Result<bool, StoreError> {
        let query = sqlx::query!(
            "UPDATE outbox SET due_time = $2, attempts = 0 WHERE notice_id = $1 AND due_time IS NULL",
            notice.0,
            time_in(now).map_err(Failure::into_store)?,
        );
        let mut checkout = self.pool.checkout().await?;
        let done = self.pool.within(query.execute(checkout.connection())).await;
        let done = checkout.conclude(done).map_err(|error| from_sql(&error))?;
        Ok(done.rows_affected() > 0)
    }

    async fn sweep_dead_letters(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let query = sqlx::query!(
            "WITH old AS MATERIALIZED (
                SELECT notice_id FROM outbox WHERE due_time IS NULL AND create_time < $1
                ORDER BY create_time LIMIT $2 FOR UPDATE SKIP LOCKED
            )
            DELETE FROM outbox WHERE notice_id IN (SELECT notice_id FROM old) AND due_time IS NULL",
            time_bound(before),
            i64::from(limit),
        );
        let mut checkout = self.pool.checkout().await?;
        let done = self.pool.within(query.execute(checkout.connection())).await;
        let done = checkout.conclude(done).map_err(|error| from_sql(&error))?;
        Ok(done.rows_affected())
    }
}

impl DeadRow {
    fn into_letter(self) -> Result<DeadLetter, StoreError> {
        let row = RowId { entity: "notice", id: &self.notice_id };
        Ok(DeadLetter {
            notice: NoticeId(self.notice_id),
            tenant: TenantId::parse(&self.tenant_id)
                .map_err(|_| row.corrupt("has a tenant id that is none"))?,
            event: EventId::from_uuid(self.event_id),
            kind: self.kind,
            create_time: time_out(self.create_time),
            attempts: row.count(self.attempts)?,
            last_error: self.last_error,
        })
    }
}
