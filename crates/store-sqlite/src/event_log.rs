//! Reading the log. With one writer, commits follow the order of their numbers: nothing can still come before what is
//! shown.
//!
//! Readers are few, and a long statement would keep one from everybody else: a look for what no index leads to goes through a
//! window of the log at a time, and stops on its way where it finds little.

use crate::error::{Row, signed};
use crate::open::SqliteStore;
use crate::reader::PooledReader;
use crate::rows::EventRow;
use async_trait::async_trait;
use countersign_domain::event::EventType;
use countersign_domain::ids::{EventId, TenantId, UserId};
use countersign_domain::time::Timestamp;
use countersign_ports::document::Named;
use countersign_ports::{EventLog, EventPosition, EventQuery, Look, Next, Search, StoreError, StoredEvent};
use tokio::time::Instant;

/// A position as the table has it.
type Place = (i64, i64);

/// Before the first one: numbers begin at 0.
const BEGINNING: Place = (-1, -1);

/// Behind the last one.
const END: Place = (i64::MAX, i64::MAX);

/// One query text with the way to its rows in the middle: those of all, or by an index those of one user.
macro_rules! select_events {
    ($from:tt, $($argument:expr),+) => {
        sqlx::query_as!(
            EventRow,
            r#"
            SELECT tenant_id, transaction_id, number, event_id AS "event_id: uuid::Uuid", event_time, user_id, kind,
                authenticator_id AS "authenticator_id: uuid::Uuid", authenticator_kind, details, actor, actor_claims, caller, client,
                policy_revision, request_id AS "request_id: uuid::Uuid", trace_id
            FROM events "# + $from + r#"
                AND tenant_id = ?1 AND (transaction_id, number) > (?2, ?3) AND (transaction_id, number) <= (?4, ?5)
                AND (?6 IS NULL OR event_time >= ?6) AND (?7 IS NULL OR event_time < ?7)
                AND (?8 IS NULL OR kind IN (SELECT value FROM json_each(?8)))
            ORDER BY transaction_id, number LIMIT ?9"#,
            $($argument),+
        )
    };
}

#[async_trait]
impl EventLog for SqliteStore {
    async fn look(&self, query: &EventQuery) -> Result<Look, StoreError> {
        let mut connection = self.reader().await?;
        let mut after = match query.after {
            Some(EventPosition { transaction, number }) => (signed(transaction)?, signed(number)?),
            None => BEGINNING,
        };
        let begun = Instant::now();
        let mut search = Search::of(query);
        // An index leads to those of a user; none to those of a type or a time, because each would be written at every login.
        if query.kinds.is_empty() && query.start_time.is_none() && query.end_time.is_none() {
            return Ok(select(&mut connection, query, (after, END), search.wanted()).await?.into());
        }
        let mut events = Vec::new();
        // A statement cannot be called off: it ends on its connection, whoever has left. So each goes through a window.
        let (transaction, number) = loop {
            let window = window_end(&mut connection, query, after).await?;
            let found =
                select(&mut connection, query, (after, window.unwrap_or(END)), search.wanted()).await?;
            let next = search.found(found.len(), window, begun.elapsed());
            events.extend(found);
            match next {
                Next::Window(window) => after = window,
                Next::Done => return Ok(events.into()),
                Next::Stopped(at) => break at,
            }
        };
        let stopped_at = position(Row::new("events of tenant", &query.tenant), transaction, number)?;
        Ok(Look { events, stopped_at: Some(stopped_at) })
    }

    async fn made_between(
        &self,
        tenant: &TenantId,
        kinds: &[EventType],
        (start, end): (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let mut connection = self.reader().await?;
        let (tenant, kinds) = (tenant.as_str(), names(kinds));
        let (start, end) = (EventId::least_at(start).uuid(), EventId::least_at(end).uuid());
        let query = sqlx::query_as!(
            EventRow,
            r#"
            SELECT tenant_id, transaction_id AS "transaction_id!", number AS "number!", event_id AS "event_id: uuid::Uuid",
                event_time AS "event_time!", user_id, kind,
                authenticator_id AS "authenticator_id: uuid::Uuid", authenticator_kind, details, actor, actor_claims, caller, client,
                policy_revision AS "policy_revision!", request_id AS "request_id: uuid::Uuid", trace_id
            FROM events
            WHERE tenant_id = ?1 AND event_id >= ?2 AND event_id < ?3 AND kind IN (SELECT value FROM json_each(?4))
            ORDER BY event_id LIMIT ?5"#,
            tenant,
            start,
            end,
            kinds,
            limit
        );
        connection.all(query).await?.into_iter().map(TryInto::try_into).collect()
    }

    async fn floor(&self, tenant: &TenantId) -> Result<Option<EventPosition>, StoreError> {
        let mut connection = self.reader().await?;
        let row = Row::new("event floor of tenant", tenant);
        let tenant = tenant.as_str();
        let floor =
            sqlx::query!("SELECT transaction_id, number FROM event_floors WHERE tenant_id = ?", tenant);
        connection
            .optional(floor)
            .await?
            .map(|floor| position(row, floor.transaction_id, floor.number))
            .transpose()
    }

    async fn head(&self, tenant: &TenantId) -> Result<Option<EventPosition>, StoreError> {
        let mut connection = self.reader().await?;
        let row = Row::new("last event of tenant", tenant);
        let tenant = tenant.as_str();
        let last = sqlx::query!(
            "SELECT transaction_id, number FROM events WHERE tenant_id = ?
            ORDER BY transaction_id DESC, number DESC LIMIT 1",
            tenant
        );
        connection
            .optional(last)
            .await?
            .map(|last| position(row, last.transaction_id, last.number))
            .transpose()
    }
}

/// The last event of the next window; `None` where what is left is no whole one. A window is of events of all types and times,
/// of the user where one is asked for: if others were passed over here, it would have no end.
async fn window_end(
    connection: &mut PooledReader,
    query: &EventQuery,
    after: Place,
) -> Result<Option<Place>, StoreError> {
    const BEFORE_IT: u32 = Search::WINDOW - 1;
    let tenant = query.tenant.as_str();
    if let Some(user) = query.user.as_ref().map(UserId::as_str) {
        let last = sqlx::query!(
            "SELECT transaction_id, number FROM events INDEXED BY events_by_user
            WHERE user_id = ?1 AND tenant_id = ?2 AND (transaction_id, number) > (?3, ?4)
            ORDER BY transaction_id, number LIMIT 1 OFFSET ?5",
            user,
            tenant,
            after.0,
            after.1,
            BEFORE_IT
        );
        return Ok(connection.optional(last).await?.map(|last| (last.transaction_id, last.number)));
    }
    let last = sqlx::query!(
        "SELECT transaction_id, number FROM events
        WHERE tenant_id = ?1 AND (transaction_id, number) > (?2, ?3)
        ORDER BY transaction_id, number LIMIT 1 OFFSET ?4",
        tenant,
        after.0,
        after.1,
        BEFORE_IT
    );
    Ok(connection.optional(last).await?.map(|last| (last.transaction_id, last.number)))
}

async fn select(
    connection: &mut PooledReader,
    query: &EventQuery,
    (after, through): (Place, Place),
    limit: u32,
) -> Result<Vec<StoredEvent>, StoreError> {
    let tenant = query.tenant.as_str();
    let start = query.start_time.map(Timestamp::unix_micros);
    let end = query.end_time.map(Timestamp::unix_micros);
    let kinds = kinds(query);
    let rows = match query.user.as_ref().map(UserId::as_str) {
        None => {
            let all = select_events!(
                "WHERE true",
                tenant,
                after.0,
                after.1,
                through.0,
                through.1,
                start,
                end,
                kinds,
                limit
            );
            connection.all(all).await
        }
        Some(user) => {
            let of_user = select_events!(
                "INDEXED BY events_by_user WHERE user_id = ?10",
                tenant,
                after.0,
                after.1,
                through.0,
                through.1,
                start,
                end,
                kinds,
                limit,
                user
            );
            connection.all(of_user).await
        }
    };
    rows?.into_iter().map(TryInto::try_into).collect()
}

fn position(row: Row<&TenantId>, transaction: i64, number: i64) -> Result<EventPosition, StoreError> {
    Ok(EventPosition { transaction: row.unsigned(transaction)?, number: row.unsigned(number)? })
}

/// The wanted types as a JSON array, or `None` for all. Their names are plain words.
fn kinds(query: &EventQuery) -> Option<String> {
    (!query.kinds.is_empty()).then(|| names(&query.kinds))
}

fn names(kinds: &[EventType]) -> String {
    let names: Vec<_> = kinds.iter().map(|kind| format!("\"{}\"", Named::name(kind))).collect();
    format!("[{}]", names.join(","))
}
