//! Reading the log of security events. What keeps it in bounds is in `audit::retention`.

use crate::{AppError, Application};
use countersign_domain::event::EventType;
use countersign_domain::ids::TenantId;
use countersign_domain::time::Timestamp;
use countersign_ports::{EventPosition, EventQuery, Look, StoredEvent};
use tokio::sync::futures::Notified;

impl Application {
    /// Events of these types that were made from `start` on and before `end`, to the millisecond, whatever else the log holds.
    pub async fn events_made_between(
        &self,
        tenant: &TenantId,
        kinds: &[EventType],
        times: (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<StoredEvent>, AppError> {
        Ok(self.0.deps.events.made_between(tenant, kinds, times, limit).await?)
    }

    /// One look, which stops on its way where it went through much that is not wanted: for whoever can go on later.
    pub async fn look_at_events(&self, query: &EventQuery) -> Result<Look, AppError> {
        let look = self.0.deps.events.look(query).await?;
        self.require_held(query).await?;
        Ok(look)
    }

    /// Asked after reading: what was dropped meanwhile is known by then.
    async fn require_held(&self, query: &EventQuery) -> Result<(), AppError> {
        let Some(after) = query.after else { return Ok(()) };
        if self.0.deps.events.floor(&query.tenant).await?.is_none_or(|floor| floor <= after) {
            return Ok(());
        }
        let oldest = self.oldest_event(&query.tenant).await?.map(|stored| stored.record.time);
        Err(AppError::EventsDropped { oldest })
    }

    /// How far the log goes by now: whoever reads on afterwards and finds no more is past it.
    pub async fn events_head(&self, tenant: &TenantId) -> Result<Option<EventPosition>, AppError> {
        Ok(self.0.deps.events.head(tenant).await?)
    }

    /// Completes at the next commit of that tenant on this node after it is enabled or first polled, and may do so at one
    /// of another tenant. Other nodes' commits are not told.
    pub fn committed(&self, tenant: &TenantId) -> Notified<'_> {
        self.0.committed.told(tenant)
    }

    /// Whether there is a log of that tenant: it exists, or it is deleted and some of its events are still held.
    pub async fn require_log(&self, tenant: &TenantId) -> Result<(), AppError> {
        match self.policy(tenant, None).await {
            Err(AppError::TenantNotFound) => {}
            found => return found.map(drop),
        }
        self.oldest_event(tenant).await?.map(drop).ok_or(AppError::TenantNotFound)
    }

    async fn oldest_event(&self, tenant: &TenantId) -> Result<Option<StoredEvent>, AppError> {
        let first = EventQuery {
            tenant: tenant.clone(),
            user: None,
            kinds: Vec::new(),
            start_time: None,
            end_time: None,
            after: None,
            limit: 1,
        };
        Ok(self.0.deps.events.look(&first).await?.events.into_iter().next())
    }
}
