//! Notices that were given up: for operators, who see why and have them sent again.

use crate::{NoticeId, StoreError};
use async_trait::async_trait;
use countersign_domain::ids::{EventId, TenantId};
use countersign_domain::time::Timestamp;

/// A notice that was given up. Neither its address nor whom it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The notice.
    pub notice: NoticeId,
    /// Its tenant.
    pub tenant: TenantId,
    /// The event that it tells of.
    pub event: EventId,
    /// The name of that event's type; empty where the event is gone.
    pub kind: String,
    /// When it was decided.
    pub create_time: Timestamp,
    /// Tries.
    pub attempts: u32,
    /// Why the last of them failed; empty for notices that a version gave up which did not keep it.
    pub last_error: String,
}

/// What operators may do about notices that were given up.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// At most `limit` dead letters, the oldest first, those behind the one that was made then and has that id.
    async fn dead_letters(
        &self,
        after: Option<(Timestamp, NoticeId)>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError>;

    /// The dead letter is due at `now` like a new notice, with all its tries; `false` where there is no such one.
    async fn revive(&self, notice: NoticeId, now: Timestamp) -> Result<bool, StoreError>;

    /// Deletes at most `limit` dead letters that were made before `before`. Returns how many.
    async fn sweep_dead_letters(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;
}
