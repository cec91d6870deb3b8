//! Reading the log of security events, and keeping it in bounds.

use crate::{AppError, Application};
use countersign_domain::ids::TenantId;
use countersign_domain::time::Timestamp;
use countersign_ports::{EventPosition, EventQuery, Maintenance, StoredEvent};
use std::time::Duration;
use tokio::sync::futures::Notified;

/// Retention counts in whole days (UTC), so that what is dropped does not depend on the minute of a job.
const DAY: Duration = Duration::from_hours(24);

impl Application {
    /// A page of events in the order of the log. Reading on from before what is still held is an error and no gap.
    pub async fn events(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, AppError> {
        let log = &self.0.deps.events;
        let events = log.events(query).await?;
        // Asked afterwards: what was dropped while the page was read is known by now.
        if let Some(after) = query.after
            && log.floor(&query.tenant).await?.is_some_and(|floor| after < floor)
        {
            let oldest = self.oldest_event(&query.tenant).await?.map(|stored| stored.record.time);
            return Err(AppError::EventsDropped { oldest });
        }
        Ok(events)
    }

    /// How far the log goes by now: whoever reads on afterwards and finds no more is past it.
    pub async fn events_head(&self, tenant: &TenantId) -> Result<Option<EventPosition>, AppError> {
        Ok(self.0.deps.events.head(tenant).await?)
    }

    /// Completes at the next commit of this node after it is enabled or first polled. Other nodes' commits are not told.
    pub fn committed(&self) -> Notified<'_> {
        self.0.committed.notified()
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
        Ok(self.0.deps.events.events(&first).await?.into_iter().next())
    }

    /// Makes room for events to come and drops those older than `retention`, in whole days; none where that is `None`.
    /// `keep_from` is a bound of somebody who still needs the events from that time on, such as a sealer that has not
    /// sealed them. Returns how many pieces of the log were dropped. Nothing is dropped by a clock that cannot be relied on.
    pub async fn keep_events(
        &self,
        store: &dyn Maintenance,
        retention: Option<Duration>,
        keep_from: Option<Timestamp>,
    ) -> Result<u64, AppError> {
        // By a clock that jumped ahead, all of the log would be old.
        let now = self.0.trusted_now()?;
        store.prepare_events(now).await?;
        let Some(retention) = retention else { return Ok(0) };
        let old = now.minus(retention);
        let before = whole_days(keep_from.map_or(old, |keep_from| old.min(keep_from)));
        self.drop_events(store, before).await
    }

    /// Drops all events of before that time that may go. Returns how many pieces of the log they were.
    pub(crate) async fn drop_events(
        &self,
        store: &dyn Maintenance,
        before: Timestamp,
    ) -> Result<u64, AppError> {
        let mut dropped = 0;
        loop {
            match store.drop_events(before).await? {
                0 => return Ok(dropped),
                pieces => dropped += pieces,
            }
        }
    }
}

/// The beginning of the day (UTC) of that time.
pub(crate) fn whole_days(time: Timestamp) -> Timestamp {
    let day = i64::try_from(DAY.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_unix_seconds(time.unix_seconds().div_euclid(day) * day)
}
