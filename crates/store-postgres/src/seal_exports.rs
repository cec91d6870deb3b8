//! How far seals have left, and the last retention mark. What follows from that is the application's.

use crate::audit::SealRow;
use crate::convert::{RowId, long_in};
use crate::error::{Failure, from_sql};
use crate::store::PostgresStore;
use async_trait::async_trait;
use countersign_domain::audit::Seal;
use countersign_domain::ids::TenantId;
use countersign_ports::{AuditProgress, Exported, StoreError};

#[async_trait]
impl AuditProgress for PostgresStore {
    async fn last_mark(&self, tenant: &TenantId) -> Result<Option<Seal>, StoreError> {
        let query = sqlx::query_as!(
            SealRow,
            "SELECT number, statement, signature, entries FROM audit_seals
            WHERE tenant_id = $1 AND entries IS NULL ORDER BY number DESC LIMIT 1",
            tenant.as_str(),
        );
        let mut checkout = self.pool.checkout_for(tenant).await?;
        let row = self.pool.within(query.fetch_optional(checkout.connection())).await;
        let row = checkout.conclude(row).map_err(|error| from_sql(&error))?;
        row.map(SealRow::into_seal).transpose()
    }

    async fn exported(&self, exporter: &str, tenant: &TenantId) -> Result<Option<Exported>, StoreError> {
        let query = sqlx::query!(
            "SELECT number, statement_hash FROM audit_exports WHERE tenant_id = $1 AND exporter = $2",
            tenant.as_str(),
            exporter,
        );
        let mut checkout = self.pool.checkout_for(tenant).await?;
        let row = self.pool.within(query.fetch_optional(checkout.connection())).await;
        let row = checkout.conclude(row).map_err(|error| from_sql(&error))?;
        row.map(|row| {
            let id = RowId { entity: "seal export", id: &exporter };
            let hash = row.statement_hash.try_into().map_err(|_| id.corrupt("has a hash of a wrong length"));
            Ok(Exported { number: id.long(row.number)?, hash: hash? })
        })
        .transpose()
    }

    async fn remember_exported(
        &self,
        exporter: &str,
        tenant: &TenantId,
        last: &Exported,
    ) -> Result<(), StoreError> {
        let query = sqlx::query!(
            "INSERT INTO audit_exports (tenant_id, exporter, number, statement_hash) VALUES ($1, $2, $3, $4)
            ON CONFLICT (tenant_id, exporter) DO UPDATE
                SET number = excluded.number, statement_hash = excluded.statement_hash
                WHERE audit_exports.number < excluded.number",
            tenant.as_str(),
            exporter,
            long_in(last.number).map_err(Failure::into_store)?,
            last.hash.as_slice(),
        );
        let mut checkout = self.pool.checkout_for(tenant).await?;
        let done = self.pool.within(query.execute(checkout.connection())).await;
        checkout.conclude(done).map(drop).map_err(|error| from_sql(&error))
    }
}
