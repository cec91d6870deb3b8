//! A store whose clock is the test's.

use async_trait::async_trait;
use countersign_domain::time::Timestamp;
use countersign_ports::{Maintenance, StoreError};
use std::sync::Arc;

/// The upkeep of a store, but for the time that it shows: that is what a test says, each time that it is asked.
pub struct Timed<F>(pub Arc<dyn Maintenance>, pub F);

impl<F> std::fmt::Debug for Timed<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timed").finish_non_exhaustive()
    }
}

#[async_trait]
impl<F> Maintenance for Timed<F>
where
    F: Fn() -> Result<Option<Timestamp>, StoreError> + Send + Sync,
{
    async fn check(&self) -> Result<(), StoreError> {
        self.0.check().await
    }

    async fn time(&self) -> Result<Option<Timestamp>, StoreError> {
        (self.1)()
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.0.sweep(now, limit).await
    }

    async fn fold_counts(&self, limit: u32) -> Result<u64, StoreError> {
        self.0.fold_counts(limit).await
    }

    async fn prepare_events(&self, now: Timestamp) -> Result<(), StoreError> {
        self.0.prepare_events(now).await
    }

    async fn drop_events(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.0.drop_events(before).await
    }
}
