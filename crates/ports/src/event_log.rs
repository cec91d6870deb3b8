//! Reading the log of security events. Writing happens in commits alone.

use crate::{EventRecord, StoreError};
use async_trait::async_trait;
use countersign_domain::event::EventType;
use countersign_domain::ids::{TenantId, UserId};
use countersign_domain::time::Timestamp;

/// Where an event stands in the log. Positions are ordered so that whoever has read up to one has missed nothing
/// before it: the transaction first, because commit order is not insertion order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventPosition {
    /// The transaction that wrote it.
    pub transaction: u64,
    /// Its number, ascending within the transaction.
    pub number: u64,
}

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
}
