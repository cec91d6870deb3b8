//! Tenants and their policies. Writing them is a commit like any other.

use crate::commit::{TenantWork, Work};
use crate::convert::{RowId, time_out};
use crate::error::from_sql;
use crate::store::PostgresStore;
use async_trait::async_trait;
use countersign_domain::ids::{PolicyRevision, TenantId};
use countersign_ports::{ChangeSet, Commit, PolicyStore, StoreError, Tell, TenantRecord, document};
use time::OffsetDateTime;

struct PolicyRow {
    tenant_id: String,
    revision: i64,
    preset: String,
    document: String,
    create_time: OffsetDateTime,
}

impl PolicyRow {
    fn into_record(self) -> Result<TenantRecord, StoreError> {
        let row = RowId { entity: "policy", id: &self.tenant_id };
        Ok(TenantRecord {
            tenant: TenantId::parse(&self.tenant_id)
                .map_err(|_| row.corrupt("has a tenant id that is none"))?,
            revision: PolicyRevision(row.count(self.revision)?),
            document: document::decode_policy_document(&self.document)
                .map_err(|error| row.corrupt(error.problem()))?,
            create_time: time_out(self.create_time),
            preset: self.preset,
        })
    }
}

#[async_trait]
impl PolicyStore for PostgresStore {
    async fn policy(
        &self,
        tenant: &TenantId,
        revision: Option<PolicyRevision>,
    ) -> Result<Option<TenantRecord>, StoreError> {
        let query = sqlx::query_as!(
            PolicyRow,
            "SELECT p.tenant_id, p.revision, p.preset, p.document, p.create_time
            FROM tenants t
            JOIN policies p ON p.tenant_id = t.tenant_id AND p.revision = coalesce($2, t.policy_revision)
            WHERE t.tenant_id = $1 AND t.delete_time IS NULL",
            tenant.as_str(),
            revision.map(|revision| i64::from(revision.0)),
        );
        let mut checkout = self.pool.checkout_for(tenant).await?;
        let row = self.pool.within(query.fetch_optional(checkout.connection())).await;
        checkout.conclude(row).map_err(|error| from_sql(&error))?.map(PolicyRow::into_record).transpose()
    }

    async fn put_policy(
        &self,
        record: TenantRecord,
        change: ChangeSet,
        tell: Tell,
    ) -> Result<Commit, StoreError> {
        let tenant = Some(TenantWork::Put(&record, tell));
        self.committer.commit_work(Work { change: &change, tenant }).await
    }

    async fn delete_tenant(&self, current: PolicyRevision, change: ChangeSet) -> Result<Commit, StoreError> {
        let tenant = Some(TenantWork::Delete(current));
        self.committer.commit_work(Work { change: &change, tenant }).await
    }

    async fn tenants(&self, after: Option<&TenantId>, limit: u32) -> Result<Vec<TenantRecord>, StoreError> {
        // No id is empty, so all are after the empty one.
        let query = sqlx::query_as!(
            PolicyRow,
            "SELECT p.tenant_id, p.revision, p.preset, p.document, p.create_time
            FROM tenants t
            JOIN policies p ON p.tenant_id = t.tenant_id AND p.revision = t.policy_revision
            WHERE t.tenant_id > $1
            ORDER BY t.tenant_id
            LIMIT $2",
            after.map_or("", TenantId::as_str),
            i64::from(limit),
        );
        let mut checkout = self.pool.checkout().await?;
        let rows = self.pool.within(query.fetch_all(checkout.connection())).await;
        let rows = checkout.conclude(rows).map_err(|error| from_sql(&error))?;
        rows.into_iter().map(PolicyRow::into_record).collect()
    }
}
