//! What users own: loads go to the loaders, commits to the writer.

use crate::commit::CommitChange;
use crate::open::SqliteStore;
use async_trait::async_trait;
use countersign_domain::ids::{EventId, TenantId, UserRef};
use countersign_ports::{ChangeSet, Commit, Loaded, RequestKey, StoreError, UserStore};

#[async_trait]
impl UserStore for SqliteStore {
    async fn load(&self, user: &UserRef, request: Option<&RequestKey>) -> Result<Option<Loaded>, StoreError> {
        let row = self.loader.load(user, request).await?;
        // Seals are opened here and not by the loaders, so that many are opened at the same time.
        row.map(|row| row.into_loaded(user, request, &self.keyring)).transpose()
    }

    async fn commit(&self, change: ChangeSet) -> Result<Commit, StoreError> {
        self.writer.run(CommitChange(change)).await
    }

    async fn is_committed(&self, tenant: &TenantId, event: EventId) -> Result<bool, StoreError> {
        let mut connection = self.reader().await?;
        let (tenant, event) = (tenant.as_str(), event.uuid());
        let found = sqlx::query_scalar!(
            r#"SELECT 1 AS "found!: i64" FROM events WHERE tenant_id = ? AND event_id = ?"#,
            tenant,
            event
        );
        let found = connection.optional(found).await?;
        Ok(found.is_some())
    }
}
