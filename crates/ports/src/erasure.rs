//! Taking personal data out of the log: what the caller said of the devices of a user who was erased.

use crate::{EventPosition, StoreError};
use async_trait::async_trait;
use countersign_domain::ids::{TenantId, UserId};

/// An erasure on its way through the log of its tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasing {
    /// The tenant.
    pub tenant: TenantId,
    /// The user who was erased.
    pub user: UserId,
    /// Where the log tells that they were: their claims go up to here, this event's own last.
    pub told: EventPosition,
    /// How far it has come; `None` at the beginning.
    pub after: Option<EventPosition>,
}

/// Carries out in the log what erasing a user began. The event that tells of an erasure schedules it, in the commit that
/// tells it; so there is nothing else to keep in step, and whoever begins again finds less to do.
#[async_trait]
pub trait ClaimErasure: Send + Sync {
    /// The first erasure that the log tells of and that is not through yet, or the first behind `after`, in an order of the
    /// store's. One that does not read is an alarm, once, and is passed over.
    async fn pending_erasure(&self, after: Option<&Erasing>) -> Result<Option<Erasing>, StoreError>;

    /// Looks at the next `limit` events of the log, 1 to 1,000, and puts the erased form in the place of the claims of
    /// each that is about the user or was done by them; the commitment to what was there stays. With the last of them go the
    /// user's dead letters of before. Gives the erasure to go on with, or `None` where it is through.
    async fn erase_claims(&self, erasing: &Erasing, limit: u32) -> Result<Option<Erasing>, StoreError>;
}
