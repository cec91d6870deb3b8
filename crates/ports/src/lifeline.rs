//! Whether a store is the one that it was (R64): how far it has come, and making one safe that was put back. What follows
//! from it is decided in `countersign_domain::incarnation`.

use crate::StoreError;
use async_trait::async_trait;
use countersign_domain::ids::UserRef;
use countersign_domain::incarnation::Incarnation;
use uuid::Uuid;

/// The thread that a store goes on by.
#[async_trait]
pub trait Lifeline: Send + Sync {
    /// How far the store has come; a store that never said so begins under the id `fresh`.
    async fn incarnation(&self, fresh: Uuid) -> Result<Incarnation, StoreError>;

    /// Raises the mark, durably, and gives how far the store has come now.
    async fn advance(&self) -> Result<Incarnation, StoreError>;

    /// Notes that a store that was put back is being made safe: until that is finished, no node serves on it.
    async fn begin_restore(&self) -> Result<(), StoreError>;

    /// Notes that it is safe: it goes on under the id `fresh`, with a number of at least `number` and above its own.
    async fn finish_restore(&self, fresh: Uuid, number: u64) -> Result<Incarnation, StoreError>;

    /// Users of all tenants after `after`, in byte order of tenant and user, at most `limit`.
    async fn all_users(&self, after: Option<&UserRef>, limit: u32) -> Result<Vec<UserRef>, StoreError>;
}
