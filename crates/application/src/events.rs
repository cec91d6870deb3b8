//! Reading the log of security events. What keeps it in bounds is in `audit::retention`.

use crate::{AppError, Application};
use countersign_domain::ids::TenantId;
use countersign_ports::{EventPosition, EventQuery, Look, StoreError, StoredEvent};
use std::time::Duration;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

/// No further look for the same answer after this: its caller does not wait much longer, and it keeps a place (R66).
const LONG_ENOUGH: Duration = Duration::from_secs(4);

impl Application {
    /// Events in the order of the log: as many as are wanted, or all there are. Reading on from before what is still
    /// held is an error and no gap, and so is a log that takes too long to go through.
    pub async fn events(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, AppError> {
        let Look { events, stopped_at } = self.look_through_events(query).await?;
        match stopped_at {
            None => Ok(events),
            Some(_) => Err(StoreError::Unavailable("the log is too long for one answer".into()).into()),
        }
    }

    /// The same, and it stops where it took long: for whoever can do without the rest.
    pub async fn look_through_events(&self, query: &EventQuery) -> Result<Look, AppError> {
        let begun = Instant::now();
        let mut rest = query.clone();
        let mut events = Vec::new();
        let stopped_at = loop {
            let look = self.0.deps.events.look(&rest).await?;
            rest.limit = rest.limit.saturating_sub(u32::try_from(look.events.len()).unwrap_or(u32::MAX));
            events.extend(look.events);
            let stopped_at = look.stopped_at.filter(|_| rest.limit > 0);
            if stopped_at.is_none() || begun.elapsed() >= LONG_ENOUGH {
                break stopped_at;
            }
            rest.after = stopped_at;
        };
        self.require_held(query).await?;
        Ok(Look { events, stopped_at })
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
