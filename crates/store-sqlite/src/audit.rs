//! The log as evidence: raw rows, and the seals over them. No row is judged here.

use crate::error::{Row, Trouble, signed};
use crate::open::SqliteStore;
use crate::seal::Sealer;
use crate::writer::{Done, Work};
use async_trait::async_trait;
use countersign_domain::audit::{LoggedEvent, Seal};
use countersign_domain::ids::{AuthenticatorId, EventId, RequestId, TenantId};
use countersign_domain::time::Timestamp;
use countersign_ports::{AuditLog, Commit, EventPosition, StoreError, tenants_among};
use sqlx::SqliteConnection;
use uuid::Uuid;

/// Tenants read at once.
const TENANTS: u32 = 200;

struct EventRow {
    tenant_id: String,
    transaction_id: i64,
    number: i64,
    event_id: Uuid,
    event_time: i64,
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
impl AuditLog for SqliteStore {
    async fn audited_tenants(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        let mut from = after.map_or_else(Vec::new, |after| behind(after.as_str().as_bytes()));
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
        let (mut from, mut all) = (Vec::new(), 0);
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
        let tenant = tenant.as_str();
        let (transaction, number) = match after {
            Some(EventPosition { transaction, number }) => (signed(transaction)?, signed(number)?),
            None => (-1, -1),
        };
        let mut connection = self.reader().await?;
        let rows = sqlx::query_as!(
            EventRow,
            r#"SELECT tenant_id, transaction_id, number, event_id AS "event_id: Uuid", event_time, user_id, kind,
                authenticator_id AS "authenticator_id: Uuid", authenticator_kind, details, actor, actor_claims, caller,
                client, client_salt, client_commitment, policy_revision, request_id AS "request_id: Uuid", trace_id
            FROM events
            WHERE tenant_id = ?1 AND (transaction_id, number) > (?2, ?3)
            ORDER BY transaction_id, number LIMIT ?4"#,
            tenant,
            transaction,
            number,
            limit
        );
        let rows = connection.all(rows).await?;
        rows.into_iter().map(EventRow::into_logged).collect()
    }

    async fn seals(&self, tenant: &TenantId, after: u64, limit: u32) -> Result<Vec<Seal>, StoreError> {
        let (tenant, after) = (tenant.as_str(), signed(after)?);
        let mut connection = self.reader().await?;
        let rows = sqlx::query_as!(
            SealRow,
            "SELECT number, statement, signature, entries FROM audit_seals
            WHERE tenant_id = ? AND number > ? ORDER BY number LIMIT ?",
            tenant,
            after,
            limit
        );
        let rows = connection.all(rows).await?;
        rows.into_iter().map(SealRow::into_seal).collect()
    }

    async fn last_seal(&self, tenant: &TenantId) -> Result<Option<Seal>, StoreError> {
        let tenant = tenant.as_str();
        let mut connection = self.reader().await?;
        let row = sqlx::query_as!(
            SealRow,
            "SELECT number, statement, signature, entries FROM audit_seals
            WHERE tenant_id = ? ORDER BY number DESC LIMIT 1",
            tenant
        );
        let row = connection.optional(row).await?;
        row.map(SealRow::into_seal).transpose()
    }

    async fn append_seal(&self, tenant: &TenantId, seal: &Seal) -> Result<Commit, StoreError> {
        self.writer.run(Append { tenant: tenant.clone(), seal: seal.clone() }).await
    }
}

impl SqliteStore {
    /// Ids of tenants as they stand in the log and its seals, in byte order, `from` one on: bytes, because one that was edited
    /// may be no text.
    async fn tenants_of_log(&self, from: &[u8], limit: u32) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut connection = self.reader().await?;
        // SQLite skips from one tenant to the next in the index.
        let ids = sqlx::query_scalar!(
            r#"SELECT CAST(tenant_id AS BLOB) AS "tenant_id!: Vec<u8>" FROM (
                SELECT DISTINCT tenant_id FROM events WHERE tenant_id >= CAST(?1 AS TEXT)
                UNION SELECT DISTINCT tenant_id FROM audit_seals WHERE tenant_id >= CAST(?1 AS TEXT)
                ORDER BY 1 LIMIT ?2
            ) ORDER BY 1"#,
            from,
            limit
        );
        connection.all(ids).await
    }
}

/// The first id behind this one, in byte order.
fn behind(id: &[u8]) -> Vec<u8> {
    [id, &[0]].concat()
}

struct Append {
    tenant: TenantId,
    seal: Seal,
}

#[async_trait]
impl Work for Append {
    type Answer = Commit;

    async fn run(&self, at: &mut SqliteConnection, _: &Sealer) -> Result<Done<Commit>, Trouble> {
        let Seal { number, statement, signature, entries } = &self.seal;
        let (tenant, number) = (self.tenant.as_str(), signed(*number)?);
        let (signature, entries) = (signature.as_slice(), entries.as_deref());
        let done = sqlx::query!(
            "INSERT INTO audit_seals (tenant_id, number, statement, signature, entries) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (tenant_id, number) DO NOTHING",
            tenant,
            number,
            statement,
            signature,
            entries
        );
        let inserted = done.execute(at).await?.rows_affected() == 1;
        Ok(Done::Keep(if inserted { Commit::Done } else { Commit::Conflict }))
    }
}

impl EventRow {
    fn into_logged(self) -> Result<LoggedEvent, StoreError> {
        let id = EventId::from_uuid(self.event_id);
        let row = Row::new("event", id);
        let commitment = self.client_commitment.map(<[u8; 32]>::try_from).transpose();
        Ok(LoggedEvent {
            tenant: self.tenant_id,
            position: EventPosition {
                transaction: row.unsigned(self.transaction_id)?,
                number: row.unsigned(self.number)?,
            },
            id,
            time: Timestamp::from_unix_micros(self.event_time),
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
        let row = Row::new("seal", self.number);
        Ok(Seal {
            number: row.unsigned(self.number)?,
            statement: self.statement,
            signature: self
                .signature
                .try_into()
                .map_err(|_| row.corrupt("has a signature of a wrong length"))?,
            entries: self.entries,
        })
    }
}
