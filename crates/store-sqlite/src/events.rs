//! Reading the log. With one writer, commits follow the order of their numbers: nothing can still come before what is
//! shown.

use crate::error::{Row, signed};
use crate::open::SqliteStore;
use crate::rows::EventRow;
use async_trait::async_trait;
use countersign_domain::ids::{TenantId, UserId};
use countersign_domain::time::Timestamp;
use countersign_ports::document::Named;
use countersign_ports::{EventLog, EventPosition, EventQuery, Look, StoreError, StoredEvent};

/// One query text with the condition that picks its index in the middle: of one user, or of all.
macro_rules! select_events {
    ($condition:tt, $($argument:expr),+) => {
        sqlx::query_as!(
            EventRow,
            r#"
            SELECT tenant_id, transaction_id, number, event_id AS "event_id: uuid::Uuid", event_time, user_id, kind,
                authenticator_id AS "authenticator_id: uuid::Uuid", authenticator_kind, details, actor, actor_claims, caller, client,
                policy_revision, request_id AS "request_id: uuid::Uuid", trace_id
            FROM events
            WHERE tenant_id = ?1 AND (transaction_id, number) > (?2, ?3)
                AND (?4 IS NULL OR event_time >= ?4) AND (?5 IS NULL OR event_time < ?5)
                AND (?6 IS NULL OR kind IN (SELECT value FROM json_each(?6)))
            "# + $condition + " ORDER BY transaction_id, number LIMIT ?7",
            $($argument),+
        )
    };
}

#[async_trait]
impl EventLog for SqliteStore {
    /// Never stops on its way: nothing waits for whoever reads, and a statement takes as long as it takes.
    async fn look(&self, query: &EventQuery) -> Result<Look, StoreError> {
        let mut connection = self.reader().await?;
        let tenant = query.tenant.as_str();
        // Numbers begin at 0, so this is before the first one.
        let (transaction, number) = match query.after {
            Some(EventPosition { transaction, number }) => (signed(transaction)?, signed(number)?),
            None => (-1, -1),
        };
        let start = query.start_time.map(Timestamp::unix_micros);
        let end = query.end_time.map(Timestamp::unix_micros);
        let kinds = kinds(query);
        let rows = match query.user.as_ref().map(UserId::as_str) {
            None => {
                let all = select_events!("", tenant, transaction, number, start, end, kinds, query.limit);
                connection.all(all).await
            }
            Some(user) => {
                let of_user = select_events!(
                    "AND user_id = ?8",
                    tenant,
                    transaction,
                    number,
                    start,
                    end,
                    kinds,
                    query.limit,
                    user
                );
                connection.all(of_user).await
            }
        };
        let events: Result<Vec<StoredEvent>, _> = rows?.into_iter().map(TryInto::try_into).collect();
        Ok(events?.into())
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

fn position(row: Row<&TenantId>, transaction: i64, number: i64) -> Result<EventPosition, StoreError> {
    Ok(EventPosition { transaction: row.unsigned(transaction)?, number: row.unsigned(number)? })
}

/// The wanted types as a JSON array, or `None` for all. Their names are plain words.
fn kinds(query: &EventQuery) -> Option<String> {
    let names: Vec<_> = query.kinds.iter().map(|kind| format!("\"{}\"", Named::name(kind))).collect();
    (!names.is_empty()).then(|| format!("[{}]", names.join(",")))
}
