//! The outbox: leasing the oldest notice of each user, and what became of it. Commits fill it.

use crate::convert::{RowId, time_bound, time_in, time_out};
use crate::error::{Failure, from_sql, is_transient};
use crate::rows::EventRow;
use crate::store::PostgresStore;
use async_trait::async_trait;
use countersign_domain::ids::{EventId, UserId};
use countersign_domain::time::Timestamp;
use countersign_ports::{NoticeId, NoticeRecord, Outbox, OutboxEntry, StoreError, is_given_up_unread};
use sqlx::postgres::PgConnection;
use std::collections::HashMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// How often putting off is tried again that the server ended for a deadlock.
const TRIES: usize = 4;
/// What operators read of a notice that was given up because nobody can read it.
const UNREADABLE: &str = "the notice cannot be read";

/// A leased notice.
struct NoticeRow {
    tenant_id: String,
    notice_id: Uuid,
    user_id: String,
    event_id: Uuid,
    /// Times that no calendar has are left out: the driver panics over them, and the others are to leave.
    event_time: Option<OffsetDateTime>,
    email: String,
    language_code: String,
    /// The same.
    create_time: Option<OffsetDateTime>,
    attempts: i64,
}

#[async_trait]
impl Outbox for PostgresStore {
    async fn lease(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        let lease_until = time_in(lease_until).map_err(Failure::into_store)?;
        let mut checkout = self.pool.checkout().await?;
        let leased =
            self.pool.within(lease(checkout.connection(), time_bound(now), lease_until, limit)).await;
        let leased = checkout.conclude(leased).map_err(|error| from_sql(&error))?;
        let mut entries = Vec::with_capacity(leased.len());
        for (notice, event) in leased {
            let broken = Broken::of(&notice);
            match entry(notice, event) {
                Ok(entry) => {
                    self.unread.forget(broken.id);
                    entries.push(entry);
                }
                Err(error) => self.unreadable(&broken, now, &error).await?,
            }
        }
        Ok(entries)
    }

    async fn delivered(&self, notices: &[NoticeId]) -> Result<(), StoreError> {
        let ids: Vec<_> = notices.iter().map(|id| id.0).collect();
        let query = sqlx::query!("DELETE FROM outbox WHERE notice_id = ANY($1)", &ids);
        let mut checkout = self.pool.checkout().await?;
        let done = self.pool.within(query.execute(checkout.connection())).await;
        checkout.conclude(done).map(drop).map_err(|error| from_sql(&error))
    }

    async fn failed(
        &self,
        notice: &NoticeRecord,
        retry_time: Option<Timestamp>,
        why: &str,
    ) -> Result<(), StoreError> {
        let due_time = retry_time.map(time_in).transpose().map_err(Failure::into_store)?;
        let mut checkout = self.pool.checkout().await?;
        let mut tries = 0..TRIES;
        let done = loop {
            let done = self.pool.within(put_off(checkout.connection(), notice.id, due_time, why)).await;
            // Another notice of the user may be put off at the same time, with the same later ones in another order.
            if !done.as_ref().is_err_and(is_transient) || tries.next().is_none() {
                break done;
            }
        };
        checkout.conclude(done).map_err(|error| from_sql(&error))
    }
}

/// What is known of a leased notice that may be unreadable.
struct Broken {
    id: Uuid,
    /// Times that it was leased.
    attempts: u32,
    create_time: Option<Timestamp>,
}

impl Broken {
    fn of(notice: &NoticeRow) -> Self {
        Self {
            id: notice.notice_id,
            attempts: u32::try_from(notice.attempts + 1).unwrap_or(u32::MAX),
            create_time: notice.create_time.map(time_out),
        }
    }
}

impl PostgresStore {
    /// What becomes of a leased notice that is not as it must be: the others leave without it.
    async fn unreadable(
        &self,
        broken: &Broken,
        now: Timestamp,
        error: &StoreError,
    ) -> Result<(), StoreError> {
        let Broken { id, attempts, create_time } = *broken;
        let dead = is_given_up_unread(attempts, create_time, now);
        // Somebody must look when it is met and when it is given up, and not every two minutes of the days between. It may have
        // been leased before, when it could be read.
        if dead || self.unread.is_new(id) {
            tracing::error!(alarm = true, notice_id = %id, attempts, dead, %error, "a notice cannot be read");
        } else {
            tracing::warn!(notice_id = %id, attempts, %error, "a notice cannot be read");
        }
        if !dead {
            return Ok(());
        }
        // Whoever tries it again hears of it again.
        self.unread.forget(id);
        // Dead letters are listed and swept by the time of their making: one that no calendar has, or that is to come, gives way
        // to this one.
        let query = sqlx::query!(
            "UPDATE outbox SET
                due_time = NULL, last_error = $2,
                create_time = CASE WHEN create_time > '-infinity' AND create_time < $3 THEN create_time ELSE $3 END
            WHERE notice_id = $1",
            id,
            UNREADABLE,
            time_bound(now),
        );
        let mut checkout = self.pool.checkout().await?;
        let done = self.pool.within(query.execute(checkout.connection())).await;
        checkout.conclude(done).map(drop).map_err(|error| from_sql(&error))
    }
}

/// The user's later notices wait for this one, and are due with it: else each lease would go through those of every user
/// who waits.
async fn put_off(
    connection: &mut PgConnection,
    id: NoticeId,
    due_time: Option<OffsetDateTime>,
    why: &str,
) -> Result<(), sqlx::Error> {
    let query = sqlx::query!(
        "WITH put_off AS (
            UPDATE outbox SET due_time = $2, last_error = $3 WHERE notice_id = $1
            RETURNING tenant_id, user_id, create_time, notice_id
        )
        UPDATE outbox AS later SET due_time = $2 FROM put_off
        WHERE later.tenant_id = put_off.tenant_id AND later.user_id = put_off.user_id
            AND (later.create_time, later.notice_id) > (put_off.create_time, put_off.notice_id)
            AND later.due_time < $2",
        id.0,
        due_time,
        why,
    );
    query.execute(connection).await.map(drop)
}

/// Leases and reads the events that the notices tell of.
///
/// What is due is gone through by time and user, and not by notice: of a user who has thousands, most fall due in a few
/// minutes or together, and each step leads to the oldest of them all.
///
/// Two leases at once do not share a notice: the second skips rows that the first has locked, and looks again at
/// `due_time` of those that it has just changed. Nor does one overtake: as long as the older notice of a user is there
/// in the snapshot, the younger is none to lease.
async fn lease(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    lease_until: OffsetDateTime,
    limit: u32,
) -> Result<Vec<(NoticeRow, Option<EventRow>)>, sqlx::Error> {
    let mut notices = sqlx::query_as!(
        NoticeRow,
        r#"WITH RECURSIVE due AS (
            (
                SELECT due_time, tenant_id, user_id FROM outbox WHERE due_time <= $1
                ORDER BY due_time, tenant_id, user_id LIMIT 1
            )
            UNION ALL
            SELECT next.due_time, next.tenant_id, next.user_id
            FROM due CROSS JOIN LATERAL (
                SELECT due_time, tenant_id, user_id FROM outbox
                WHERE due_time <= $1 AND (due_time, tenant_id, user_id) > (due.due_time, due.tenant_id, due.user_id)
                ORDER BY due_time, tenant_id, user_id LIMIT 1
            ) AS next
        ), heads AS (
            SELECT head.tenant_id, head.notice_id
            FROM due CROSS JOIN LATERAL (
                SELECT notice_id, due_time FROM outbox AS queued
                WHERE queued.tenant_id = due.tenant_id AND queued.user_id = due.user_id AND queued.due_time IS NOT NULL
                ORDER BY create_time, notice_id LIMIT 1
            ) AS oldest
            JOIN outbox AS head ON head.tenant_id = due.tenant_id AND head.notice_id = oldest.notice_id
            WHERE oldest.due_time = due.due_time AND head.due_time <= $1
            LIMIT $3
            FOR UPDATE OF head SKIP LOCKED
        )
        UPDATE outbox SET due_time = $2, attempts = attempts + 1
        FROM heads
        WHERE outbox.tenant_id = heads.tenant_id AND outbox.notice_id = heads.notice_id
        RETURNING outbox.tenant_id, outbox.notice_id, user_id, event_id, email, language_code,
            CASE WHEN event_time > '-infinity' AND event_time < '10000-01-01 00:00:00Z' THEN event_time END
                AS event_time,
            CASE WHEN create_time > '-infinity' AND create_time < '10000-01-01 00:00:00Z' THEN create_time END
                AS create_time,
            attempts - 1 AS "attempts!""#,
        now,
        lease_until,
        i64::from(limit),
    )
    .fetch_all(&mut *connection)
    .await?;
    notices.sort_by_key(|notice| (notice.create_time, notice.notice_id));

    let tenants: Vec<_> = notices.iter().map(|notice| notice.tenant_id.clone()).collect();
    let ids: Vec<_> = notices.iter().map(|notice| notice.event_id).collect();
    let times: Vec<_> = notices.iter().map(|notice| notice.event_time).collect();
    let events = sqlx::query_as!(
        EventRow,
        r#"SELECT event.tenant_id AS "tenant_id!", event.event_id AS "event_id!", event.event_time AS "event_time!",
            transaction_id AS "transaction_id!", number AS "number!", user_id, kind AS "kind!", authenticator_id,
            authenticator_kind, details AS "details!", actor AS "actor!", actor_claims, caller AS "caller!",
            client AS "client!", policy_revision AS "policy_revision!", request_id, trace_id AS "trace_id!"
        FROM unnest($1::text[], $2::uuid[], $3::timestamptz[]) AS told (tenant_id, event_id, event_time)
        CROSS JOIN LATERAL (
            SELECT * FROM events
            WHERE events.tenant_id = told.tenant_id AND events.event_id = told.event_id
                AND events.event_time = told.event_time
            OFFSET 0
        ) AS event"#,
        &tenants,
        &ids,
        &times as _,
    );
    let events = events.fetch_all(connection).await?.into_iter();
    let events: HashMap<_, _> =
        events.map(|event| ((event.tenant_id.clone(), event.event_id), event)).collect();
    // Several notices may tell of one event.
    let with_event = |notice: NoticeRow| {
        let event = events.get(&(notice.tenant_id.clone(), notice.event_id)).cloned();
        (notice, event)
    };
    Ok(notices.into_iter().map(with_event).collect())
}

fn entry(notice: NoticeRow, event: Option<EventRow>) -> Result<OutboxEntry, StoreError> {
    let row = RowId { entity: "notice", id: &notice.notice_id };
    let (Some(create_time), Some(_)) = (notice.create_time, notice.event_time) else {
        return Err(row.corrupt("holds a time that no calendar has"));
    };
    let event = event.ok_or_else(|| row.corrupt("tells of an event that is not there"))?;
    Ok(OutboxEntry {
        attempts: row.count(notice.attempts)?,
        notice: NoticeRecord {
            id: NoticeId(notice.notice_id),
            user: UserId::parse(&notice.user_id).map_err(|_| row.corrupt("has a user id that is none"))?,
            event: EventId::from_uuid(notice.event_id),
            email: notice.email,
            language_code: notice.language_code,
            create_time: time_out(create_time),
        },
        event: event.into_event()?.record,
    })
}
