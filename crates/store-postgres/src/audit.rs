//! The log as evidence: raw rows, and the seals over them. No row is judged here.

use crate::convert::{RowId, long_in, time_out};
use crate::error::{Failure, from_sql};
use crate::event_log::{bounds, horizon_now};
use crate::store::PostgresStore;
use async_trait::async_trait;
use countersign_domain::audit::{LoggedEvent, Seal};
use countersign_domain::ids::{AuthenticatorId, EventId, RequestId, TenantId};
use countersign_ports::{AuditLog, Commit, EventPosition, StoreError, tenants_among};
use time::OffsetDateTime;
use uuid::Uuid;

/// Tenants read at once.
const TENANTS: u32 = 200;

struct EventRow {
    tenant_id: String,
    event_id: Uuid,
    event_time: OffsetDateTime,
    transaction_id: i64,
    number: i64,
    user_id: Option<String>,
    kind: String,
    authenticator_id: Option<Uuid>,
    authenticator_kind: Option<String>,
    details: String,
    actor: String,
    actor_claims: Option<String>,
    caller: String,
    client: String,
    client_salt: Option<Vec<u8>>,
    client_commitment: Option<Vec<u8>>,
    policy_revision: i64,
    request_id: Option<Uuid>,
    trace_id: String,
}

pub(crate) struct SealRow {
    pub(crate) number: i64,
    pub(crate) statement: String,
    pub(crate) signature: Vec<u8>,
    pub(crate) entries: Option<Vec<u8>>,
}

#[async_trait]
impl AuditLog for PostgresStore {
    async fn audited_tenants(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        let mut from = after.map_or_else(String::new, |after| behind(after.as_str()));
        loop {
            let ids = self.tenants_of_log(&from, limit).await?;
            let (tenants, foreign) = tenants_among(&ids);
            let new = foreign.iter().filter(|id| self.told.is_new(id)).count();
            if new > 0 {
                tracing::error!(alarm = true, ids = new, "the log has ids of tenants that are none");
            }
            match ids.last() {
                Some(last) if tenants.is_empty() => from = behind(last),
                _ => return Ok(tenants),
            }
        }
    }

    async fn foreign_tenants(&self) -> Result<u64, StoreError> {
        let (mut from, mut all) = (String::new(), 0);
        loop {
            let ids = self.tenants_of_log(&from, TENANTS).await?;
            all += tenants_among(&ids).1.len() as u64;
            match ids.last() {
                Some(last) => from = behind(last),
                None => return Ok(all),
            }
        }
    }

    async fn logged_events(
        &self,
        tenant: &TenantId,
        after: Option<EventPosition>,
        limit: u32,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let after = bounds(after);
        let mut checkout = self.pool.checkout_for(tenant).await?;
        let read = async {
            let connection = checkout.connection();
            let horizon = horizon_now(connection).await?;
            sqlx::query_as!(
                EventRow,
                "SELECT tenant_id, event_id, event_time, transaction_id, number, user_id, kind, authenticator_id,
                    authenticator_kind, details, actor, actor_claims, caller, client, client_salt, client_commitment,
                    policy_revision, request_id, trace_id
                FROM events
                WHERE tenant_id = $1 AND (transaction_id, number) > ($2, $3) AND transaction_id < $4
                -- All of a position, where somebody planted others: whoever reads on begins behind it.
                ORDER BY transaction_id, number FETCH FIRST $5 ROWS WITH TIES",
                tenant.as_str(),
                after.0,
                after.1,
                horizon,
                i64::from(limit),
            )
            .fetch_all(connection)
            .await
        };
        let rows = self.pool.within(read).await;
        let rows = checkout.conclude(rows).map_err(|error| from_sql(&error))?;
        rows.into_iter().map(EventRow::into_logged).collect()
    }

    async fn seals(&self, tenant: &TenantId, after: u64, limit: u32) -> Result<Vec<Seal>, StoreError> {
        let query = sqlx::query_as!(
            SealRow,
            "SELECT number, statement, signature, entries FROM audit_seals
            WHERE tenant_id = $1 AND number > $2 ORDER BY number LIMIT $3",
            tenant.as_str(),
            i64::try_from(after).unwrap_or(i64::MAX),
            i64::from(limit),
        );
        let mut checkout = self.pool.checkout_for(tenant).await?;
        let rows = self.pool.within(query.fetch_all(checkout.connection())).await;
        let rows = checkout.conclude(rows).map_err(|error| from_sql(&error))?;
        rows.into_iter().map(SealRow::into_seal).collect()
    }

    async fn last_seal(&self, tenant: &TenantId) -> Result<Option<Seal>, StoreError> {
        let query = sqlx::query_as!(
            SealRow,
            "SELECT number, statement, signature, entries FROM audit_seals
            WHERE tenant_id = $1 ORDER BY number DESC LIMIT 1",
            tenant.as_str(),
        );
        let mut checkout = self.pool.checkout_for(tenant).await?;
        let row = self.pool.within(query.fetch_optional(checkout.connection())).await;
        let row = checkout.conclude(row).map_err(|error| from_sql(&error))?;
        row.map(SealRow::into_seal).transpose()
    }

    async fn append_seal(&self, tenant: &TenantId, seal: &Seal) -> Result<Commit, StoreError> {
        let query = sqlx::query!(
            "INSERT INTO audit_seals (tenant_id, number, statement, signature, entries) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (tenant_id, number) DO NOTHING",
            tenant.as_str(),
            long_in(seal.number).map_err(Failure::into_store)?,
            seal.statement,
            seal.signature.as_slice(),
            seal.entries.as_deref(),
        );
        let mut checkout = self.pool.checkout_for(tenant).await?;
        let done = self.pool.within(query.execute(checkout.connection())).await;
        let done = checkout.conclude(done).map_err(|error| from_sql(&error))?;
        Ok(if done.rows_affected() == 1 { Commit::Done } else { Commit::Conflict })
    }
}

impl PostgresStore {
    /// Ids of tenants as they stand in the log and its seals, in byte order, `from` one on.
    async fn tenants_of_log(&self, from: &str, limit: u32) -> Result<Vec<String>, StoreError> {
        // From tenant to tenant by one step in each index, however many events there are.
        let query = sqlx::query_scalar!(
            r#"WITH RECURSIVE logged AS (
                (SELECT tenant_id FROM events WHERE tenant_id >= $1 ORDER BY tenant_id LIMIT 1)
                UNION ALL
                SELECT (SELECT events.tenant_id FROM events WHERE events.tenant_id > logged.tenant_id
                    ORDER BY events.tenant_id LIMIT 1)
                FROM logged WHERE logged.tenant_id IS NOT NULL
            ), sealed AS (
                (SELECT tenant_id FROM audit_seals WHERE tenant_id >= $1 ORDER BY tenant_id LIMIT 1)
                UNION ALL
                SELECT (SELECT audit_seals.tenant_id FROM audit_seals WHERE audit_seals.tenant_id > sealed.tenant_id
                    ORDER BY audit_seals.tenant_id LIMIT 1)
                FROM sealed WHERE sealed.tenant_id IS NOT NULL
            )
            SELECT tenant_id AS "tenant_id!" FROM (
                (SELECT tenant_id FROM logged WHERE tenant_id IS NOT NULL LIMIT $2)
                UNION (SELECT tenant_id FROM sealed WHERE tenant_id IS NOT NULL LIMIT $2)
            ) AS known
            ORDER BY tenant_id LIMIT $2"#,
            from,
            i64::from(limit),
        );
        let mut checkout = self.pool.checkout().await?;
        let ids = self.pool.within(query.fetch_all(checkout.connection())).await;
        checkout.conclude(ids).map_err(|error| from_sql(&error))
    }
}

/// The first text behind this one, in byte order. No text here holds a zero byte.
fn behind(text: &str) -> String {
    format!("{text}\u{1}")
}

impl EventRow {
    fn into_logged(self) -> Result<LoggedEvent, StoreError> {
        let id = EventId::from_uuid(self.event_id);
        let row = RowId { entity: "event", id: &id };
        let commitment = self.client_commitment.map(<[u8; 32]>::try_from).transpose();
        Ok(LoggedEvent {
            tenant: self.tenant_id,
            position: EventPosition {
                transaction: row.long(self.transaction_id)?,
                number: row.long(self.number)?,
            },
            id,
            time: time_out(self.event_time),
            user: self.user_id,
            kind: self.kind,
            authenticator: self.authenticator_id.map(AuthenticatorId::from_uuid),
            authenticator_kind: self.authenticator_kind,
            details: self.details,
            actor: self.actor,
            actor_claims: self.actor_claims,
            caller: self.caller,
            client: self.client,
            client_salt: self.client_salt.unwrap_or_default(),
            client_commitment: commitment.map_err(|_| row.corrupt("has a commitment of a wrong length"))?,
            policy_revision: self.policy_revision,
            request: self.request_id.map(RequestId::from_uuid),
            trace_id: self.trace_id,
        })
    }
}

impl SealRow {
    pub(crate) fn into_seal(self) -> Result<Seal, StoreError> {
        let row = RowId { entity: "seal", id: &self.number };
        Ok(Seal {
            number: row.long(self.number)?,
            statement: self.statement,
            signature: self
                .signature
                .try_into()
                .map_err(|_| row.corrupt("has a signature of a wrong length"))?,
            entries: self.entries,
        })
    }
}
