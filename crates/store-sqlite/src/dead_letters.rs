//! Notices that were given up: listed, revived, swept.

use crate::error::{Row, Trouble};
use crate::open::SqliteStore;
use crate::seal::Sealer;
use crate::writer::{Done, Work};
use async_trait::async_trait;
use countersign_domain::ids::{EventId, TenantId};
use countersign_domain::time::Timestamp;
use countersign_ports::{DeadLetter, DeadLetters, NoticeId, StoreError};
use sqlx::SqliteConnection;
use uuid::Uuid;

struct DeadRow {
    tenant_id: String,
    notice_id: Uuid,
    event_id: Uuid,
    create_time: i64,
    attempts: i64,
    last_error: String,
    kind: String,
}

#[async_trait]
impl DeadLetters for SqliteStore {
    async fn dead_letters(
        &self,
        after: Option<(Timestamp, NoticeId)>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let (time, id) = after.map_or((0, Uuid::nil()), |(time, id)| (time.unix_micros(), id.0));
        let mut connection = self.reader().await?;
        let rows = sqlx::query_as!(
            DeadRow,
            r#"SELECT outbox.tenant_id AS "tenant_id!", notice_id AS "notice_id!: Uuid", outbox.event_id AS "event_id!: Uuid",
                create_time AS "create_time!", attempts AS "attempts!",
                coalesce(last_error, '') AS "last_error!: String", coalesce(events.kind, '') AS "kind!: String"
            FROM outbox
            LEFT JOIN events ON events.tenant_id = outbox.tenant_id AND events.event_id = outbox.event_id
            WHERE due_time IS NULL AND (create_time, notice_id) > (?1, ?2)
            ORDER BY create_time, notice_id LIMIT ?3"#,
            time,
            id,
            limit
        );
        let rows = connection.all(rows).await?;
        rows.into_iter().map(DeadRow::into_letter).collect()
    }

    async fn revive(&self, notice: NoticeId, now: Timestamp) -> Result<bool, StoreError> {
        self.writer.run(Revive { notice, now }).await
    }

    async fn sweep_dead_letters(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.writer.run(SweepDead { before, limit }).await
    }
}

struct Revive {
    notice: NoticeId,
    now: Timestamp,
}

#[async_trait]
impl Work for Revive {
    type Answer = bool;

    async fn run(&self, at: &mut SqliteConnection, _: &Sealer) -> Result<Done<bool>, Trouble> {
        let now = self.now.unix_micros();
        let revived = sqlx::query!(
            "UPDATE outbox SET due_time = ?, attempts = 0 WHERE notice_id = ? AND due_time IS NULL",
            now,
            self.notice.0
        );
        Ok(Done::Keep(revived.execute(at).await?.rows_affected() > 0))
    }
}

struct SweepDead {
    before: Timestamp,
    limit: u32,
}

#[async_trait]
impl Work for SweepDead {
    type Answer = u64;

    async fn run(&self, at: &mut SqliteConnection, _: &Sealer) -> Result<Done<u64>, Trouble> {
        let before = self.before.unix_micros();
        let swept = sqlx::query!(
            "DELETE FROM outbox WHERE notice_id IN (
                SELECT notice_id FROM outbox WHERE due_time IS NULL AND create_time < ?
                ORDER BY create_time LIMIT ?
            )",
            before,
            self.limit
        );
        Ok(Done::Keep(swept.execute(at).await?.rows_affected()))
    }
}

impl DeadRow {
    fn into_letter(self) -> Result<DeadLetter, StoreError> {
        let row = Row::new("notice", self.notice_id);
        Ok(DeadLetter {
            notice: NoticeId(self.notice_id),
            tenant: TenantId::parse(&self.tenant_id)
                .map_err(|_| row.corrupt("has a tenant id that is none"))?,
            event: EventId::from_uuid(self.event_id),
            kind: self.kind,
            create_time: Timestamp::from_unix_micros(self.create_time),
            attempts: row.unsigned(self.attempts)?,
            last_error: self.last_error,
        })
    }
}
