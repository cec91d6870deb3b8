//! Tenants and the revisions of their policies.

use crate::commit::commit;
use crate::error::Trouble;
use crate::open::SqliteStore;
use crate::rows::PolicyRow;
use crate::seal::Sealer;
use crate::stop::{Stop, guard};
use crate::writer::{Done, Work};
use crate::writes::records;
use async_trait::async_trait;
use countersign_domain::ids::{PolicyRevision, TenantId};
use countersign_ports::document::encode_policy_document;
use countersign_ports::{ChangeSet, Commit, PolicyStore, StoreError, Tell, TenantRecord};
use sqlx::SqliteConnection;

#[async_trait]
impl PolicyStore for SqliteStore {
    async fn policy(
        &self,
        tenant: &TenantId,
        revision: Option<PolicyRevision>,
    ) -> Result<Option<TenantRecord>, StoreError> {
        let mut connection = self.reader().await?;
        let (tenant, revision) = (tenant.as_str(), revision.map(|revision| revision.0));
        let row = sqlx::query_as!(
            PolicyRow,
            "SELECT tenant_id, revision, preset, document, create_time FROM policies
            WHERE tenant_id = ?1
                AND EXISTS (SELECT 1 FROM tenants WHERE tenant_id = ?1 AND delete_time IS NULL)
                AND revision = ifnull(?2, (SELECT max(revision) FROM policies WHERE tenant_id = ?1))",
            tenant,
            revision
        );
        let row = connection.optional(row).await?;
        row.map(TryInto::try_into).transpose()
    }

    async fn put_policy(
        &self,
        record: TenantRecord,
        change: ChangeSet,
        tell: Tell,
    ) -> Result<Commit, StoreError> {
        self.writer.run(PutPolicy { record, change, tell }).await
    }

    async fn delete_tenant(&self, current: PolicyRevision, change: ChangeSet) -> Result<Commit, StoreError> {
        self.writer.run(DeleteTenant { current, change }).await
    }

    async fn tenants(&self, after: Option<&TenantId>, limit: u32) -> Result<Vec<TenantRecord>, StoreError> {
        let mut connection = self.reader().await?;
        // Every id is greater than the empty text.
        let after = after.map_or("", TenantId::as_str);
        let rows = sqlx::query_as!(
            PolicyRow,
            "SELECT tenant_id, revision, preset, document, create_time FROM policies
            WHERE tenant_id > ?1
                AND EXISTS (
                    SELECT 1 FROM tenants WHERE tenants.tenant_id = policies.tenant_id AND delete_time IS NULL
                )
                AND revision = (SELECT max(revision) FROM policies AS all_of WHERE all_of.tenant_id = policies.tenant_id)
            ORDER BY tenant_id LIMIT ?2",
            after,
            limit
        );
        let rows = connection.all(rows).await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }
}

struct PutPolicy {
    record: TenantRecord,
    change: ChangeSet,
    tell: Tell,
}

#[async_trait]
impl Work for PutPolicy {
    type Answer = Commit;

    async fn run(&self, at: &mut SqliteConnection, seal: &Sealer) -> Result<Done<Commit>, Trouble> {
        Stop::answer(self.put(at, seal).await)
    }
}

impl PutPolicy {
    async fn put(&self, at: &mut SqliteConnection, seal: &Sealer) -> Result<(), Stop> {
        let TenantRecord { tenant, revision, document, preset, create_time } = &self.record;
        let (tenant, revision) = (tenant.as_str(), revision.0);
        if revision == 1 {
            let created = sqlx::query!(
                "INSERT INTO tenants (tenant_id) VALUES (?) ON CONFLICT (tenant_id) DO NOTHING",
                tenant
            );
            guard(created.execute(&mut *at).await?.rows_affected())?;
        }
        let (document, create_time) = (encode_policy_document(document), create_time.unix_micros());
        let put = sqlx::query!(
            "INSERT INTO policies (tenant_id, revision, preset, document, create_time)
            SELECT ?1, ?2, ?3, ?4, ?5
            WHERE ifnull((SELECT max(revision) FROM policies WHERE tenant_id = ?1), 0) + 1 = ?2
                AND EXISTS (SELECT 1 FROM tenants WHERE tenant_id = ?1 AND delete_time IS NULL)",
            tenant,
            revision,
            preset,
            document,
            create_time
        );
        guard(put.execute(&mut *at).await?.rows_affected())?;
        commit(at, seal, &self.change).await?;
        if let (Tell::Managers, Some(event)) = (self.tell, self.change.events.first()) {
            records::tell_managers(at, event).await?;
        }
        Ok(())
    }
}

struct DeleteTenant {
    current: PolicyRevision,
    change: ChangeSet,
}

#[async_trait]
impl Work for DeleteTenant {
    type Answer = Commit;

    async fn run(&self, at: &mut SqliteConnection, seal: &Sealer) -> Result<Done<Commit>, Trouble> {
        Stop::answer(self.delete(at, seal).await)
    }
}

impl DeleteTenant {
    /// The event first: it needs the tenant, which must then still be the one that was looked at.
    async fn delete(&self, at: &mut SqliteConnection, seal: &Sealer) -> Result<(), Stop> {
        commit(at, seal, &self.change).await?;
        let tenant = self.change.tenant.as_str();
        let time = self.change.events.first().map(|event| event.time.unix_micros());
        let current = self.current.0;
        let deleted = sqlx::query!(
            "UPDATE tenants SET delete_time = ?2
            WHERE tenant_id = ?1 AND (SELECT max(revision) FROM policies WHERE tenant_id = ?1) = ?3",
            tenant,
            time,
            current
        );
        guard(deleted.execute(at).await?.rows_affected())
    }
}
