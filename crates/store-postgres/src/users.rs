//! Loading and committing users: with others at the same time, or alone where that is switched off.

use crate::commit::Work;
use crate::error::{from_sql, is_transient};
use crate::load;
use crate::rows::LoadRow;
use crate::store::PostgresStore;
use async_trait::async_trait;
use countersign_domain::ids::{EventId, TenantId, UserRef};
use countersign_ports::{ChangeSet, Commit, Loaded, RequestKey, StoreError, UserStore};

#[async_trait]
impl UserStore for PostgresStore {
    async fn load(&self, user: &UserRef, request: Option<&RequestKey>) -> Result<Option<Loaded>, StoreError> {
        let row = if let Some(group) = &self.group {
            group.loader.load(user, request).await?
        } else {
            // Boxed: a load that shares a statement makes no room for it.
            Box::pin(self.load_alone(user, request)).await?
        };
        row.map(|row| row.into_loaded(user, request, &self.keyring)).transpose()
    }

    async fn commit(&self, change: ChangeSet) -> Result<Commit, StoreError> {
        match &self.group {
            Some(group) => group.writer.commit(change).await,
            None => self.committer.commit_work(Work { change: &change, tenant: None }).await,
        }
    }

    async fn is_committed(&self, tenant: &TenantId, event: EventId) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM events WHERE tenant_id = $1 AND event_id = $2) AS "exists!""#,
            tenant.as_str(),
            event.uuid(),
        );
        let mut checkout = self.pool.checkout_for(tenant).await?;
        let exists = self.pool.within(query.fetch_one(checkout.connection())).await;
        checkout.conclude(exists).map_err(|error| from_sql(&error))
    }
}

impl PostgresStore {
    async fn load_alone(
        &self,
        user: &UserRef,
        request: Option<&RequestKey>,
    ) -> Result<Option<LoadRow>, StoreError> {
        let mut checkout = self.pool.checkout().await?;
        let mut row = self.pool.within(load::select(checkout.connection(), user, request)).await;
        // As for those who share a statement: a migration may have ended it.
        if row.as_ref().is_err_and(is_transient) {
            row = self.pool.within(load::select(checkout.connection(), user, request)).await;
        }
        checkout.conclude(row).map_err(|error| from_sql(&error))
    }
}
