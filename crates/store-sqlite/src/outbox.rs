//! The outbox. Leases are given by the writer, so that two dispatchers never get one notice.

use crate::error::{Row, Trouble};
use crate::open::SqliteStore;
use crate::rows::EventRow;
use crate::seal::Sealer;
use crate::writer::{Done, Work};
use async_trait::async_trait;
use countersign_domain::ids::{EventId, UserId};
use countersign_domain::time::Timestamp;
use countersign_ports::{
    MAX_UNREADABLE_LEASES, NoticeId, NoticeRecord, Outbox, OutboxEntry, StoreError, StoredEvent,
};
use sqlx::SqliteConnection;
use uuid::Uuid;

#[async_trait]
impl Outbox for SqliteStore {
    async fn lease(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        self.writer.run(Lease { now, until: lease_until, limit }).await
    }

    async fn delivered(&self, notices: &[NoticeId]) -> Result<(), StoreError> {
        self.writer.run(Delivered(notices.to_vec())).await
    }

    async fn failed(
        &self,
        notice: &NoticeRecord,
        retry_time: Option<Timestamp>,
        why: &str,
    ) -> Result<(), StoreError> {
        self.writer.run(Failed { notice: notice.id, retry_time, why: why.to_owned() }).await
    }
}

struct Lease {
    now: Timestamp,
    until: Timestamp,
    limit: u32,
}

/// A notice at the head of its user's queue.
struct HeadRow {
    tenant_id: String,
    user_id: String,
    create_time: i64,
    notice_id: Uuid,
    event_id: Uuid,
    email: String,
    language_code: String,
    attempts: i64,
}

#[async_trait]
impl Work for Lease {
    type Answer = Vec<OutboxEntry>;

    async fn run(&self, at: &mut SqliteConnection, _: &Sealer) -> Result<Done<Self::Answer>, Trouble> {
        let (now, until) = (self.now.unix_micros(), self.until.unix_micros());
        // Dead letters have no due time and hold nobody up.
        let heads = sqlx::query_as!(
            HeadRow,
            r#"
            SELECT tenant_id, user_id, create_time AS "create_time!", notice_id AS "notice_id: uuid::Uuid",
                event_id AS "event_id: uuid::Uuid", email, language_code,
                attempts AS "attempts!"
            FROM outbox
            WHERE due_time <= ?1 AND NOT EXISTS (
                SELECT 1 FROM outbox AS earlier
                WHERE earlier.tenant_id = outbox.tenant_id AND earlier.user_id = outbox.user_id
                    AND earlier.due_time IS NOT NULL
                    AND (earlier.create_time, earlier.notice_id) < (outbox.create_time, outbox.notice_id)
            )
            ORDER BY due_time, create_time LIMIT ?2
            "#,
            now,
            self.limit
        );
        let mut leased = Vec::new();
        for head in heads.fetch_all(&mut *at).await? {
            sqlx::query!(
                "UPDATE outbox SET due_time = ?, attempts = attempts + 1 WHERE notice_id = ?",
                until,
                head.notice_id
            )
            .execute(&mut *at)
            .await?;
            let (id, attempts) = (head.notice_id, head.attempts);
            match entry(at, head).await {
                Ok(entry) => leased.push(entry),
                Err(Trouble::Own(error)) => unreadable(at, id, attempts, &error).await?,
                Err(broken) => return Err(broken),
            }
        }
        Ok(Done::Keep(leased))
    }
}

/// What becomes of a leased notice that is not as it must be: the others leave without it.
async fn unreadable(
    at: &mut SqliteConnection,
    id: Uuid,
    attempts: i64,
    error: &StoreError,
) -> Result<(), Trouble> {
    let dead = attempts + 1 >= i64::from(MAX_UNREADABLE_LEASES);
    tracing::error!(alarm = true, notice_id = %id, attempts = attempts + 1, dead, %error, "a notice cannot be read");
    if dead {
        let why = "the notice cannot be read".to_owned();
        Failed { notice: NoticeId(id), retry_time: None, why }.write(at).await?;
    }
    Ok(())
}

/// The notice with its event.
async fn entry(at: &mut SqliteConnection, head: HeadRow) -> Result<OutboxEntry, Trouble> {
    let row = Row::new("notice", head.notice_id);
    let event = sqlx::query_as!(
        EventRow,
        r#"
        SELECT tenant_id, transaction_id AS "transaction_id!", number AS "number!", event_id AS "event_id: uuid::Uuid",
            event_time AS "event_time!", user_id, kind, authenticator_id AS "authenticator_id: uuid::Uuid",
            authenticator_kind, details, actor, actor_claims, caller, client, policy_revision AS "policy_revision!",
            request_id AS "request_id: uuid::Uuid", trace_id
        FROM events WHERE tenant_id = ? AND event_id = ?
        "#,
        head.tenant_id,
        head.event_id
    );
    let event = event.fetch_optional(at).await?;
    let event = event.ok_or_else(|| row.corrupt("tells of an event that is not there"))?;
    let event: StoredEvent = event.try_into()?;
    let notice = NoticeRecord {
        id: NoticeId(head.notice_id),
        user: UserId::parse(&head.user_id).map_err(|_| row.corrupt("has an id that is none"))?,
        event: EventId::from_uuid(head.event_id),
        email: head.email,
        language_code: head.language_code,
        create_time: Timestamp::from_unix_micros(head.create_time),
    };
    Ok(OutboxEntry { notice, event: event.record, attempts: row.unsigned(head.attempts)? })
}

struct Delivered(Vec<NoticeId>);

#[async_trait]
impl Work for Delivered {
    type Answer = ();

    async fn run(&self, at: &mut SqliteConnection, _: &Sealer) -> Result<Done<()>, Trouble> {
        for notice in &self.0 {
            sqlx::query!("DELETE FROM outbox WHERE notice_id = ?", notice.0).execute(&mut *at).await?;
        }
        Ok(Done::Keep(()))
    }
}

struct Failed {
    notice: NoticeId,
    retry_time: Option<Timestamp>,
    why: String,
}

impl Failed {
    async fn write(&self, at: &mut SqliteConnection) -> Result<(), Trouble> {
        let retry_time = self.retry_time.map(Timestamp::unix_micros);
        sqlx::query!(
            "UPDATE outbox SET due_time = ?, last_error = ? WHERE notice_id = ?",
            retry_time,
            self.why,
            self.notice.0
        )
        .execute(&mut *at)
        .await?;
        // The user's later ones wait for it, and are due with it: else each lease would go through all of them.
        if retry_time.is_some() {
            sqlx::query!(
                "UPDATE outbox SET due_time = ?1 FROM outbox AS put_off
                WHERE put_off.notice_id = ?2
                    AND outbox.tenant_id = put_off.tenant_id AND outbox.user_id = put_off.user_id
                    AND (outbox.create_time, outbox.notice_id) > (put_off.create_time, put_off.notice_id)
                    AND outbox.due_time < ?1",
                retry_time,
                self.notice.0
            )
            .execute(at)
            .await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Work for Failed {
    type Answer = ();

    async fn run(&self, at: &mut SqliteConnection, _: &Sealer) -> Result<Done<()>, Trouble> {
        self.write(at).await.map(Done::Keep)
    }
}
