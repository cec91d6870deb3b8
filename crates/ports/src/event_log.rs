//! Reading the log of security events. Writing happens in commits alone.

mod search;

pub use search::{Next, Search};

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

/// What a look at the log found.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The events.
    pub events: Vec<StoredEvent>,
    /// Where it stopped on its way, with less than was wanted: up to there all that is wanted is among them, and the next
    /// look goes on behind. `None` where they are as many as were wanted, or the log has no more.
    pub stopped_at: Option<EventPosition>,
}

impl From<Vec<StoredEvent>> for Look {
    /// A look that did not stop on its way.
    fn from(events: Vec<StoredEvent>) -> Self {
        Self { events, stopped_at: None }
    }
}

/// The log of security events.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Events in ascending position. Stops short of transactions that might still commit before one it would show, and,
    /// where it went through much that is not wanted, before the end of the log.
    async fn look(&self, query: &EventQuery) -> Result<Look, StoreError>;

    /// The same without stopping on the way: as many as are wanted, or all there are. It takes as long as the log is;
    /// whoever answers a call looks, and gives up in time.
    async fn events(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, StoreError> {
        let mut query = query.clone();
        let mut events = Vec::new();
        loop {
            let look = self.look(&query).await?;
            query.limit = query.limit.saturating_sub(u32::try_from(look.events.len()).unwrap_or(u32::MAX));
            events.extend(look.events);
            match look.stopped_at {
                Some(position) if query.limit > 0 => query.after = Some(position),
                _ => return Ok(events),
            }
        }
    }

    /// Events of these types that were made from `start` on and before `end`, to the millisecond, in the order of their ids: all
    /// that are committed, also those that [`EventLog::look`] does not show yet. For whoever knows when about what they look
    /// for was made. Ids begin with their time (RFC 9562 §5.7) and lead there: what the log holds else costs nothing.
    async fn made_between(
        &self,
        tenant: &TenantId,
        kinds: &[EventType],
        (start, end): (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError>;

    /// The last event of the tenant that is no longer held, where retention has dropped any: whoever reads on from
    /// before it would miss events. Asked after the events were read, it covers whatever was dropped by then.
    async fn floor(&self, tenant: &TenantId) -> Result<Option<EventPosition>, StoreError>;

    /// The last event of the tenant that [`EventLog::events`] would show by now, whatever it is about. Asked before the
    /// events are read, it is behind nothing that reading could have missed.
    async fn head(&self, tenant: &TenantId) -> Result<Option<EventPosition>, StoreError>;
}
