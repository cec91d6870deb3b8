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
    NoticeId, NoticeRecord, Outbox, OutboxEntry, StoreError, StoredEvent, ToldOnce, is_given_up_unread,
};
use sqlx::SqliteConnection;
use std::sync::Arc;
use uuid::Uuid;

/// What operators read of a notice that was given up because nobody can read it.
const UNREADABLE: &str = "the notice cannot be read";

#[async_trait]
impl Outbox for SqliteStore {
    async fn lease(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        self.writer.run(Lease { now, until: lease_until, limit, unread: Arc::clone(&self.unread) }).await
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
    /// Notices that were told of because they cannot be read.
    unread: Arc<ToldOnce>,
}

/// When notices of a user fall due, and whose they are.
struct DueRow {
    due_time: i64,
    tenant_id: String,
    user_id: String,
}

/// A notice at the head of its user's queue.
struct HeadRow {
    due_time: i64,
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

    /// Goes through what is due by time and user, and not by notice: of a user who has thousands, most fall due in a few
    /// minutes or together, and each step leads to the oldest of them all.
    async fn run(&self, at: &mut SqliteConnection, _: &Sealer) -> Result<Done<Self::Answer>, Trouble> {
        let (mut leased, mut entries) = (0, Vec::new());
        let mut after = DueRow { due_time: i64::MIN, tenant_id: String::new(), user_id: String::new() };
        while leased < self.limit {
            let Some(due) = next_due(at, self.now, &after).await? else { break };
            match oldest(at, &due).await? {
                Some(head) if head.due_time == due.due_time => {
                    leased += 1;
                    entries.extend(self.lease(at, &due, head).await?);
                }
                // Put off for longer than any lease: what came since waits with it, and is passed over once.
                Some(head) if head.due_time > self.until.unix_micros() => {
                    self.wait_for(at, &due, head.due_time).await?;
                }
                _ => {}
            }
            after = due;
        }
        Ok(Done::Keep(entries))
    }
}

impl Lease {
    /// Lets what is due of the user wait until then.
    async fn wait_for(
        &self,
        at: &mut SqliteConnection,
        of: &DueRow,
        due_time: i64,
    ) -> Result<(), sqlx::Error> {
        let now = self.now.unix_micros();
        sqlx::query!(
            "UPDATE outbox SET due_time = ? WHERE tenant_id = ? AND user_id = ? AND due_time <= ?",
            due_time,
            of.tenant_id,
            of.user_id,
            now
        )
        .execute(at)
        .await
        .map(drop)
    }

    /// Leases the notice, and gives it if it can be read.
    async fn lease(
        &self,
        at: &mut SqliteConnection,
        due: &DueRow,
        head: HeadRow,
    ) -> Result<Option<OutboxEntry>, Trouble> {
        let until = self.until.unix_micros();
        sqlx::query!(
            "UPDATE outbox SET due_time = ?, attempts = attempts + 1 WHERE notice_id = ?",
            until,
            head.notice_id
        )
        .execute(&mut *at)
        .await?;
        let (id, attempts, create_time) = (head.notice_id, head.attempts, head.create_time);
        match entry(at, due, head).await {
            Ok(entry) => {
                self.unread.forget(id);
                Ok(Some(entry))
            }
            Err(Trouble::Own(error)) => {
                self.unreadable(at, id, attempts, create_time, &error).await?;
                Ok(None)
            }
            Err(broken) => Err(broken),
        }
    }

    /// What becomes of a leased notice that is not as it must be: the others leave without it.
    async fn unreadable(
        &self,
        at: &mut SqliteConnection,
        id: Uuid,
        attempts: i64,
        create_time: i64,
        error: &StoreError,
    ) -> Result<(), Trouble> {
        let attempts = u32::try_from(attempts + 1).unwrap_or(u32::MAX);
        let dead = is_given_up_unread(attempts, Some(Timestamp::from_unix_micros(create_time)), self.now);
        // Somebody must look when it is met and when it is given up, and not every two minutes of the days between. It may have
        // been leased before, when it could be read.
        if dead || self.unread.is_new(id) {
            tracing::error!(alarm = true, notice_id = %id, attempts, dead, %error, "a notice cannot be read");
        } else {
            tracing::warn!(notice_id = %id, attempts, %error, "a notice cannot be read");
        }
        if dead {
            // Whoever tries it again hears of it again.
            self.unread.forget(id);
            // Dead letters are swept by the time of their making: one that is to come gives way to this one.
            let now = self.now.unix_micros();
            sqlx::query!(
                "UPDATE outbox SET due_time = NULL, last_error = ?, create_time = min(create_time, ?) WHERE notice_id = ?",
                UNREADABLE,
                now,
                id
            )
            .execute(at)
            .await?;
        }
        Ok(())
    }
}

/// Whose notices fall due next, and when. Dead letters have no due time.
///
/// The least id behind the last one is that with a zero after it. SQLite begins at what is not below a row of values; where it
/// is asked for what is above, it begins as well at what is equal, and goes through all of that.
async fn next_due(
    at: &mut SqliteConnection,
    now: Timestamp,
    after: &DueRow,
) -> Result<Option<DueRow>, sqlx::Error> {
    let (now, user) = (now.unix_micros(), format!("{}\0", after.user_id));
    let next = sqlx::query_as!(
        DueRow,
        r#"SELECT due_time AS "due_time!", tenant_id, user_id FROM outbox
        WHERE due_time <= ?1 AND (due_time, tenant_id, user_id) >= (?2, ?3, ?4)
        ORDER BY due_time, tenant_id, user_id LIMIT 1"#,
        now,
        after.due_time,
        after.tenant_id,
        user
    );
    next.fetch_optional(at).await
}

/// The user's oldest notice that is on its way, for which all others of theirs wait.
async fn oldest(at: &mut SqliteConnection, due: &DueRow) -> Result<Option<HeadRow>, sqlx::Error> {
    let head = sqlx::query_as!(
        HeadRow,
        r#"SELECT due_time AS "due_time!", create_time AS "create_time!", notice_id AS "notice_id: uuid::Uuid",
            event_id AS "event_id: uuid::Uuid", email, language_code, attempts AS "attempts!"
        FROM outbox WHERE tenant_id = ? AND user_id = ? AND due_time IS NOT NULL
        ORDER BY create_time, notice_id LIMIT 1"#,
        due.tenant_id,
        due.user_id
    );
    head.fetch_optional(at).await
}

/// The notice with its event.
async fn entry(at: &mut SqliteConnection, due: &DueRow, head: HeadRow) -> Result<OutboxEntry, Trouble> {
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
        due.tenant_id,
        head.event_id
    );
    let event = event.fetch_optional(at).await?;
    let event = event.ok_or_else(|| row.corrupt("tells of an event that is not there"))?;
    let event: StoredEvent = event.try_into()?;
    let notice = NoticeRecord {
        id: NoticeId(head.notice_id),
        user: UserId::parse(&due.user_id).map_err(|_| row.corrupt("has an id that is none"))?,
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
        // The user's later ones wait for it, and are due with it: else each lease would go through those of every user who
        // waits.
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
