//! Reading the log of security events. Writing happens in commits alone.

use crate::{EventRecord, StoreError};
use async_trait::async_trait;
pub use countersign_domain::audit::EventPosition;
use countersign_domain::event::EventType;
use countersign_domain::ids::{TenantId, UserId};
use countersign_domain::time::Timestamp;

/// Which events to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    /// The tenant.
    pub tenant: TenantId,
    /// Only about this user.
    pub user: Option<UserId>,
    /// Only of these types; all where empty.
    pub kinds: Vec<EventType>,
    /// Only from this time on.
    pub start_time: Option<Timestamp>,
    /// Only before this time.
    pub end_time: Option<Timestamp>,
    /// Only after this position.
    pub after: Option<EventPosition>,
    /// At most this many, 1 to 1,000.
    pub limit: u32,
}

/// An event with its place in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Its place.
    pub position: EventPosition,
    /// The event.
    pub record: EventRecord,
}

/// The log of security events.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Events in ascending position. Stops short of transactions that might still commit before one it would show.
    async fn events(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, StoreError>;

    /// The last event of the tenant that is no longer held, where retention has dropped any: whoever reads on from
    /// before it would miss events. Asked after the events were read, it covers whatever was dropped by then.
    async fn floor(&self, tenant: &TenantId) -> Result<Option<EventPosition>, StoreError>;

    /// The last event of the tenant that [`EventLog::events`] would show by now, whatever it is about. Asked before the
    /// events are read, it is behind nothing that reading could have missed.
    async fn head(&self, tenant: &TenantId) -> Result<Option<EventPosition>, StoreError>;
}
