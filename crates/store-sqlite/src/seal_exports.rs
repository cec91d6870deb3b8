//! How far seals have left, and the last retention mark. What follows from that is the application's.

use crate::audit::SealRow;
use crate::error::{Row, Trouble, signed};
use crate::open::SqliteStore;
use crate::seal::Sealer;
use crate::writer::{Done, Work};
use async_trait::async_trait;
use countersign_domain::audit::Seal;
use countersign_domain::ids::TenantId;
use countersign_ports::{AuditProgress, Exported, StoreError};
use sqlx::SqliteConnection;

#[async_trait]
impl AuditProgress for SqliteStore {
    async fn last_mark(&self, tenant: &TenantId) -> Result<Option<Seal>, StoreError> {
        let tenant = tenant.as_str();
        let mut connection = self.reader().await?;
        let row = sqlx::query_as!(
            SealRow,
            "SELECT number, statement, signature, entries FROM audit_seals
            WHERE tenant_id = ? AND entries IS NULL ORDER BY number DESC LIMIT 1",
            tenant
        );
        let row = connection.optional(row).await?;
        row.map(SealRow::into_seal).transpose()
    }

    async fn exported(&self, exporter: &str, tenant: &TenantId) -> Result<Option<Exported>, StoreError> {
        let tenant = tenant.as_str();
        let mut connection = self.reader().await?;
        let row = sqlx::query!(
            "SELECT number, statement_hash FROM audit_exports WHERE tenant_id = ? AND exporter = ?",
            tenant,
            exporter
        );
        let Some(row) = connection.optional(row).await? else {
            return Ok(None);
        };
        let id = Row::new("seal export", exporter.to_owned());
        let hash = row.statement_hash.try_into().map_err(|_| id.corrupt("has a hash of a wrong length"))?;
        Ok(Some(Exported { number: id.unsigned(row.number)?, hash }))
    }

    async fn remember_exported(
        &self,
        exporter: &str,
        tenant: &TenantId,
        last: &Exported,
    ) -> Result<(), StoreError> {
        let (exporter, tenant) = (exporter.to_owned(), tenant.clone());
        self.writer.run(Remember { exporter, tenant, last: *last }).await
    }
}

struct Remember {
    exporter: String,
    tenant: TenantId,
    last: Exported,
}

#[async_trait]
impl Work for Remember {
    type Answer = ();

    async fn run(&self, at: &mut SqliteConnection, _: &Sealer) -> Result<Done<()>, Trouble> {
        let (tenant, number) = (self.tenant.as_str(), signed(self.last.number)?);
        let hash = self.last.hash.as_slice();
        sqlx::query!(
            "INSERT INTO audit_exports (tenant_id, exporter, number, statement_hash) VALUES (?, ?, ?, ?)
            ON CONFLICT (tenant_id, exporter) DO UPDATE
                SET number = excluded.number, statement_hash = excluded.statement_hash
                WHERE audit_exports.number < excluded.number",
            tenant,
            self.exporter,
            number,
            hash
        )
        .execute(at)
        .await?;
        Ok(Done::Keep(()))
    }
}
