//! Reading the log of events without ever skipping one.
//!
//! A position is (transaction, number). Numbers of transactions are given at the beginning, commits come in any order: a
//! reader that showed transaction 7 while 5 is still open would never show 5 to whoever resumes after 7. So a reader
//! stays below the oldest transaction that might still commit an event.

use crate::convert::{RowId, time_bound};
use crate::error::from_sql;
use crate::rows::EventRow;
use crate::store::PostgresStore;
use async_trait::async_trait;
use countersign_domain::event::EventType;
use countersign_domain::ids::{EventId, TenantId, UserId};
use countersign_domain::time::Timestamp;
use countersign_ports::{EventLog, EventPosition, EventQuery, Look, Next, Search, StoreError, StoredEvent};
use sqlx::postgres::PgConnection;
use time::{OffsetDateTime, Time};
use tokio::time::Instant;

/// How often a reader looks again for a transaction that ended while it looked.
const LOOKS: u32 = 4;

/// The first position that must not be shown, and whether that is certain.
struct Horizon {
    position: i64,
    /// Whether a transaction ended between two looks, so that nobody knows whose it was.
    uncertain: bool,
}

#[async_trait]
impl EventLog for PostgresStore {
    async fn look(&self, query: &EventQuery) -> Result<Look, StoreError> {
        let mut checkout = self.pool.checkout_for(&query.tenant).await?;
        let looked = self.pool.within(below_horizon(checkout.connection(), query)).await;
        let (rows, stopped_at) = checkout.conclude(looked).map_err(|error| from_sql(&error))?;
        let events = rows.into_iter().map(EventRow::into_event).collect::<Result<_, _>>()?;
        let row = RowId { entity: "events of tenant", id: &query.tenant };
        let stopped_at =
            stopped_at.map(|(transaction, number)| position(&row, transaction, number)).transpose()?;
        Ok(Look { events, stopped_at })
    }

    async fn made_between(
        &self,
        tenant: &TenantId,
        kinds: &[EventType],
        (start, end): (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let kinds: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        let query = sqlx::query_as!(
            EventRow,
            "SELECT tenant_id, event_id, event_time, transaction_id, number, user_id, kind, authenticator_id,
                authenticator_kind, details, actor, actor_claims, caller, client, policy_revision, request_id,
                trace_id
            FROM events
            WHERE tenant_id = $1 AND event_id >= $2 AND event_id < $3 AND kind = ANY ($4)
            ORDER BY event_id
            LIMIT $5",
            tenant.as_str(),
            EventId::least_at(start).uuid(),
            EventId::least_at(end).uuid(),
            &kinds as _,
            i64::from(limit.min(Search::MOST)),
        );
        let mut checkout = self.pool.checkout_for(tenant).await?;
        let rows = self.pool.within(query.fetch_all(checkout.connection())).await;
        let rows = checkout.conclude(rows).map_err(|error| from_sql(&error))?;
        rows.into_iter().map(EventRow::into_event).collect()
    }

    async fn floor(&self, tenant: &TenantId) -> Result<Option<EventPosition>, StoreError> {
        let query = sqlx::query!(
            "SELECT transaction_id, number FROM event_floors WHERE tenant_id = $1",
            tenant.as_str()
        );
        let mut checkout = self.pool.checkout_for(tenant).await?;
        let floor = self.pool.within(query.fetch_optional(checkout.connection())).await;
        let floor = checkout.conclude(floor).map_err(|error| from_sql(&error))?;
        let row = RowId { entity: "event floor", id: tenant };
        floor.map(|floor| position(&row, floor.transaction_id, floor.number)).transpose()
    }

    async fn head(&self, tenant: &TenantId) -> Result<Option<EventPosition>, StoreError> {
        let mut checkout = self.pool.checkout_for(tenant).await?;
        let head = self.pool.within(head_below_horizon(checkout.connection(), tenant)).await;
        let head = checkout.conclude(head).map_err(|error| from_sql(&error))?;
        let row = RowId { entity: "last event", id: tenant };
        head.map(|(transaction, number)| position(&row, transaction, number)).transpose()
    }
}

/// A position as columns hold it, to begin behind; without one, before all that are read: somebody may plant an event at 0.
pub(crate) fn bounds(after: Option<EventPosition>) -> (i64, i64) {
    // A position beyond the range is after every event, like the end of the range.
    let bound = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    after.map_or((-1, -1), |EventPosition { transaction, number }| (bound(transaction), bound(number)))
}

pub(crate) fn position(row: &RowId<'_>, transaction: i64, number: i64) -> Result<EventPosition, StoreError> {
    Ok(EventPosition { transaction: row.long(transaction)?, number: row.long(number)? })
}

async fn head_below_horizon(
    connection: &mut PgConnection,
    tenant: &TenantId,
) -> Result<Option<(i64, i64)>, sqlx::Error> {
    let horizon = horizon_now(connection).await?;
    let last = sqlx::query!(
        "SELECT transaction_id, number FROM events
        WHERE tenant_id = $1 AND transaction_id < $2
        ORDER BY transaction_id DESC, number DESC
        LIMIT 1",
        tenant.as_str(),
        horizon,
    );
    Ok(last.fetch_optional(connection).await?.map(|last| (last.transaction_id, last.number)))
}

/// A position as the table has it.
type Place = (i64, i64);

/// What is wanted, and where the look stopped on its way.
async fn below_horizon(
    connection: &mut PgConnection,
    query: &EventQuery,
) -> Result<(Vec<EventRow>, Option<Place>), sqlx::Error> {
    // Everything below the horizon had ended before the statements that follow take their own, later snapshots.
    let end = (horizon_now(connection).await? - 1, i64::MAX);
    let mut after = bounds(query.after);
    let mut search = Search::of(query);
    let begun = Instant::now();
    let wants_all = query.user.is_none() && query.kinds.is_empty();
    if wants_all && query.start_time.is_none() && query.end_time.is_none() {
        return Ok((select(connection, query, (after, end), search.wanted()).await?, None));
    }
    // No index leads to those of a user, a type or a time, because each would be written at every login.
    let mut rows = Vec::new();
    loop {
        let window = window_end(connection, query, (after, end)).await?;
        let found = select(connection, query, (after, window.unwrap_or(end)), search.wanted()).await?;
        let next = search.found(found.len(), window, begun.elapsed());
        rows.extend(found);
        match next {
            Next::Window(window) => after = window,
            Next::Done => return Ok((rows, None)),
            Next::Stopped(at) => return Ok((rows, Some(at))),
        }
    }
}

/// The last event of the next window; `None` where what is left is no whole one. A window is of events, whatever their time in
/// their month: if those of other times were passed over here, it would have no end. Months that are not asked for are not
/// gone through.
async fn window_end(
    connection: &mut PgConnection,
    query: &EventQuery,
    (after, through): (Place, Place),
) -> Result<Option<Place>, sqlx::Error> {
    let last = sqlx::query!(
        "SELECT transaction_id, number FROM events
        WHERE tenant_id = $1
            AND (transaction_id, number) > ($2, $3)
            AND (transaction_id, number) <= ($4, $5)
            AND event_time >= coalesce($6::timestamptz, '-infinity')
            AND event_time < coalesce($7::timestamptz, 'infinity')
        ORDER BY transaction_id, number
        OFFSET $8::bigint - 1 LIMIT 1",
        query.tenant.as_str(),
        after.0,
        after.1,
        through.0,
        through.1,
        query.start_time.map(|time| month(time_bound(time))),
        query.end_time.map(|time| next_month(time_bound(time))),
        i64::from(Search::WINDOW),
    );
    Ok(last.fetch_optional(connection).await?.map(|last| (last.transaction_id, last.number)))
}

/// When the month of that time began (UTC), as partitions do.
fn month(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_day(1).unwrap_or(time).replace_time(Time::MIDNIGHT)
}

/// When the month after it begins; at the end of all times that time itself.
fn next_month(time: OffsetDateTime) -> OffsetDateTime {
    month(time).checked_add(time::Duration::days(32)).map_or(time, month)
}

/// The first transaction whose events must not be shown yet.
pub(crate) async fn horizon_now(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    let mut seen = horizon(connection).await?;
    for _ in 1..LOOKS {
        if !seen.uncertain {
            break;
        }
        // Whatever ended meanwhile is not open any more.
        seen = horizon(connection).await?;
    }
    Ok(seen.position)
}

/// The oldest transaction that was open, unless it can write no event of ours: one of another database of the same
/// server, or of autovacuum. Without that exception a long report in a neighbour's database would hold up the log.
///
/// Whose database a session is in everybody sees. What kind of session it is a role does not see of other roles, without
/// `pg_read_all_stats`: then it is null, and must not count as foreign.
///
/// An open transaction without a session (a prepared one, or one that ended since the snapshot) counts as ours.
async fn horizon(connection: &mut PgConnection) -> Result<Horizon, sqlx::Error> {
    sqlx::query_as!(
        Horizon,
        r#"WITH open AS (
            SELECT xid::text::bigint AS position, activity.pid IS NULL AS uncertain,
                activity.datname IS DISTINCT FROM current_database()
                    OR coalesce(activity.backend_type = 'autovacuum worker', false) AS foreign_to_us
            FROM pg_snapshot_xip(pg_current_snapshot()) AS xid
            -- A session shows the lower 32 bits alone; open transactions are never further apart.
            LEFT JOIN pg_stat_activity AS activity
                ON activity.backend_xid::text::bigint = xid::text::bigint & 4294967295
        )
        SELECT
            coalesce(
                min(position) FILTER (WHERE uncertain OR NOT foreign_to_us),
                pg_snapshot_xmax(pg_current_snapshot())::text::bigint
            ) AS "position!",
            coalesce(bool_or(uncertain), false) AS "uncertain!"
        FROM open"#
    )
    .fetch_one(connection)
    .await
}

async fn select(
    connection: &mut PgConnection,
    query: &EventQuery,
    (after, through): (Place, Place),
    limit: u32,
) -> Result<Vec<EventRow>, sqlx::Error> {
    let kinds: Vec<&str> = query.kinds.iter().map(|kind| kind.name()).collect();
    sqlx::query_as!(
        EventRow,
        "SELECT tenant_id, event_id, event_time, transaction_id, number, user_id, kind, authenticator_id,
            authenticator_kind, details, actor, actor_claims, caller, client, policy_revision, request_id,
            trace_id
        FROM events
        WHERE tenant_id = $1
            AND (transaction_id, number) > ($2, $3)
            AND (transaction_id, number) <= ($4, $5)
            AND ($6::text IS NULL OR user_id = $6)
            AND (cardinality($7::text[]) = 0 OR kind = ANY ($7))
            -- In a form by which partitions of other months are left out under a plan for any time; and without an end also
            -- what has none, which is told as corrupt.
            AND event_time >= coalesce($8::timestamptz, '-infinity')
            AND event_time <= coalesce($9::timestamptz, 'infinity')
            AND ($9::timestamptz IS NULL OR event_time < $9)
        ORDER BY transaction_id, number
        LIMIT $10",
        query.tenant.as_str(),
        after.0,
        after.1,
        through.0,
        through.1,
        query.user.as_ref().map(UserId::as_str),
        &kinds as _,
        query.start_time.map(time_bound),
        query.end_time.map(time_bound),
        i64::from(limit),
    )
    .fetch_all(connection)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    /// Months are those of partitions, and the last one has no next.
    #[test]
    fn months_are_those_of_partitions() {
        let time = datetime!(2026-12-31 23:59:59.999999 UTC);
        assert_eq!(month(time), datetime!(2026-12-01 0:00 UTC));
        assert_eq!(next_month(time), datetime!(2027-01-01 0:00 UTC));
        assert_eq!(next_month(datetime!(2028-02-01 0:00 UTC)), datetime!(2028-03-01 0:00 UTC));
        let last = datetime!(9999-12-31 0:00 UTC);
        assert_eq!(next_month(last), last);
    }
}
