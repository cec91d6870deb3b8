//! Erasing what is left of an erased user: claims in the log, which is the one change of its rows, and dead letters.

use crate::convert::RowId;
use crate::error::from_sql;
use crate::event_log::{bounds, horizon_now, position};
use crate::store::PostgresStore;
use async_trait::async_trait;
use countersign_domain::actor::Principal;
use countersign_domain::audit::ERASED_CLIENT;
use countersign_domain::ids::{TenantId, UserId};
use countersign_ports::document::encode_principal;
use countersign_ports::{ClaimErasure, Erasing, EventPosition, StoreError};
use sqlx::postgres::PgConnection;

/// Erasures looked at at once; the first that reads is the one.
const LOOKED_AT: i64 = 32;

/// An erasure as the log tells of it. Somebody may plant many at one position; who is erased where tells them apart.
struct Pending {
    tenant_id: String,
    user_id: String,
    transaction_id: i64,
    number: i64,
}

/// The last event that a step looked at.
struct Reached {
    transaction_id: i64,
    number: i64,
}

#[async_trait]
impl ClaimErasure for PostgresStore {
    /// Below the horizon, so that nothing can still come before it.
    async fn pending_erasure(&self, after: Option<&Erasing>) -> Result<Option<Erasing>, StoreError> {
        let mut after = after.map_or_else(Pending::before_all, Pending::of);
        loop {
            let mut checkout = self.pool.checkout().await?;
            let page = self.pool.within(told(checkout.connection(), &after)).await;
            let page = checkout.conclude(page).map_err(|error| from_sql(&error))?;
            for pending in &page {
                match pending.read() {
                    Ok(erasing) => return Ok(Some(erasing)),
                    Err(error)
                        if self.told.is_new((&pending.tenant_id, &pending.user_id, pending.place())) =>
                    {
                        tracing::error!(alarm = true, %error, "the log tells of an erasure that does not read");
                    }
                    Err(_) => {}
                }
            }
            let Some(last) = page.into_iter().next_back() else { return Ok(None) };
            after = last;
        }
    }

    async fn erase_claims(&self, erasing: &Erasing, limit: u32) -> Result<Option<Erasing>, StoreError> {
        let (after, told) = (bounds(erasing.after), bounds(Some(erasing.told)));
        // The rows are found by position and changed by key. Nothing else changes a row of the log, so no lock is
        // needed between the two; another node that erases the same makes the same of it.
        let query = sqlx::query_as!(
            Reached,
            r#"WITH page AS MATERIALIZED (
                SELECT event_id, event_time, transaction_id, number,
                    (user_id = $6 OR actor = $7) IS TRUE AND client_commitment IS NULL AS goes
                FROM events
                WHERE tenant_id = $1 AND (transaction_id, number) > ($2, $3)
                    AND (transaction_id, number) <= ($4, $5)
                -- All of a position, where somebody planted others.
                ORDER BY transaction_id, number FETCH FIRST $8 ROWS WITH TIES
            ), erased AS (
                UPDATE events SET
                    client = $9, client_salt = NULL,
                    client_commitment = event_client_commitment(
                        events.event_id, events.client_salt, events.client
                    )
                FROM page
                WHERE page.goes AND events.tenant_id = $1 AND events.event_id = page.event_id
                    AND events.event_time = page.event_time AND events.client_commitment IS NULL
            ), forgotten AS (
                -- With the event that tells of the erasure, after which nobody comes here again.
                DELETE FROM outbox USING page
                WHERE (page.transaction_id, page.number) = ($4, $5) AND outbox.tenant_id = $1
                    AND outbox.user_id = $6 AND outbox.due_time IS NULL AND outbox.create_time <= page.event_time
            )
            SELECT transaction_id, number FROM page ORDER BY transaction_id DESC, number DESC LIMIT 1"#,
            erasing.tenant.as_str(),
            after.0,
            after.1,
            told.0,
            told.1,
            erasing.user.as_str(),
            encode_principal(&Principal::User(erasing.user.clone())),
            i64::from(limit),
            ERASED_CLIENT,
        );
        let mut checkout = self.pool.checkout_for(&erasing.tenant).await?;
        let reached = self.pool.within(query.fetch_optional(checkout.connection())).await;
        let reached = checkout.conclude(reached).map_err(|error| from_sql(&error))?;
        let Some(Reached { transaction_id, number }) = reached else { return Ok(None) };
        let reached = place(transaction_id, number)?;
        Ok((reached < erasing.told).then(|| Erasing { after: Some(reached), ..erasing.clone() }))
    }
}

/// The next erasures that the log tells of behind a position.
async fn told(connection: &mut PgConnection, after: &Pending) -> Result<Vec<Pending>, sqlx::Error> {
    let horizon = horizon_now(connection).await?;
    let page = sqlx::query_as!(
        Pending,
        r#"SELECT tenant_id, user_id AS "user_id!", transaction_id, number FROM events
        WHERE kind = 'USER_ERASED' AND client_commitment IS NULL AND user_id IS NOT NULL
            AND transaction_id < $1 AND (transaction_id, number, tenant_id, user_id) > ($2, $3, $4, $5)
        ORDER BY transaction_id, number, tenant_id, user_id LIMIT $6"#,
        horizon,
        after.transaction_id,
        after.number,
        after.tenant_id,
        after.user_id,
        LOOKED_AT,
    );
    page.fetch_all(connection).await
}

impl Pending {
    fn before_all() -> Self {
        let (tenant_id, user_id) = (String::new(), String::new());
        Self { tenant_id, user_id, transaction_id: i64::MIN, number: i64::MIN }
    }

    fn of(erasing: &Erasing) -> Self {
        let (transaction_id, number) = bounds(Some(erasing.told));
        let (tenant_id, user_id) = (erasing.tenant.to_string(), erasing.user.to_string());
        Self { tenant_id, user_id, transaction_id, number }
    }

    const fn place(&self) -> (i64, i64) {
        (self.transaction_id, self.number)
    }

    fn read(&self) -> Result<Erasing, StoreError> {
        let row = RowId { entity: "event", id: &self.transaction_id };
        Ok(Erasing {
            tenant: TenantId::parse(&self.tenant_id)
                .map_err(|_| row.corrupt("has a tenant id that is none"))?,
            user: UserId::parse(&self.user_id).map_err(|_| row.corrupt("has a user id that is none"))?,
            told: place(self.transaction_id, self.number)?,
            after: None,
        })
    }
}

fn place(transaction: i64, number: i64) -> Result<EventPosition, StoreError> {
    position(&RowId { entity: "event", id: &transaction }, transaction, number)
}
