//! Loading a user: with those who are loaded at the same time, or alone where that is switched off.

use crate::error::from_sql;
use crate::load;
use crate::rows::LoadRow;
use crate::store::PostgresStore;
use countersign_domain::ids::UserRef;
use countersign_ports::{Loaded, RequestKey, StoreError};

impl PostgresStore {
    /// See [`countersign_ports::UserStore::load`].
    pub(crate) async fn load_user(
        &self,
        user: &UserRef,
        request: Option<&RequestKey>,
    ) -> Result<Option<Loaded>, StoreError> {
        let row = if let Some(group) = &self.group {
            group.loader.load(user, request).await?
        } else {
            // Boxed: a load that shares a statement makes no room for it.
            Box::pin(self.load_alone(user, request)).await?
        };
        row.map(|row| row.into_loaded(user, request, &self.keyring)).transpose()
    }

    async fn load_alone(
        &self,
        user: &UserRef,
        request: Option<&RequestKey>,
    ) -> Result<Option<LoadRow>, StoreError> {
        let mut checkout = self.pool.checkout().await?;
        let row = self.pool.within(load::select(checkout.connection(), user, request)).await;
        checkout.conclude(row).map_err(|error| from_sql(&error))
    }
}
