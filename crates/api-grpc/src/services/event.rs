//! `EventService`: the log of security events, read in stretches or followed. Following stands in `watch`.

mod place;
mod watch;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use place::{Log as FuzzedLog, Place as FuzzedPlace};

use super::caller;
use super::shared::{Reply, done, limit, list_arguments, page_token_invalid, tenant};
use crate::convert::event::{filter, security_event};
use crate::convert::fields::Fields;
use crate::limits::Shares;
use crate::page::List;
use countersign_api::v1::event_service_server::EventService;
use countersign_api::v1::{ListEventsRequest, ListEventsResponse, WatchEventsRequest, WatchEventsResponse};
use countersign_application::{Application, EventPosition, EventQuery, Look};
use countersign_domain::ids::TenantId;
use futures::stream::BoxStream;
use place::{Log, Place};
use tonic::{Request, Response, Status};

/// The service over the use cases.
#[derive(Clone)]
pub(crate) struct EventHandlers {
    app: Application,
    /// Who may follow the log at the same time.
    slots: Shares,
}

impl EventHandlers {
    pub(crate) fn new(app: Application) -> Self {
        Self { app, slots: Shares::new(watch::MAX_WATCHES) }
    }
}

/// The tenant's log, as places in it know it.
fn log<'a>(app: &Application, tenant: &'a TenantId) -> Log<'a> {
    Log { tenant, restores: app.restores() }
}

#[tonic::async_trait]
impl EventService for EventHandlers {
    async fn list_events(&self, request: Request<ListEventsRequest>) -> Reply<ListEventsResponse> {
        let (caller, mut message) = caller(request)?;
        let mut fields = Fields::default();
        let tenant = tenant(&mut fields, &caller, &message.tenant_id)?;
        let size = fields.page_size(message.page_size);
        let page_token = std::mem::take(&mut message.page_token);
        message.page_size = 0;
        let filter = filter(&mut fields, message.filter.clone());
        let start = message.start_time.map(|time| fields.timestamp("start_time", time)).transpose();
        let end = message.end_time.map(|time| fields.timestamp("end_time", time)).transpose();
        fields.finish()?;

        let (tenant, filter, size) = (tenant?, filter?, size?);
        let (start_time, end_time) = (start?, end?);
        let arguments = list_arguments(&caller, &message);
        let restores = self.app.restores().to_be_bytes();
        // As the version before wrote it where the log was never put back.
        let bound: &[&[u8]] = if self.app.restores() == 0 { &[&arguments] } else { &[&arguments, &restores] };
        let list = List { keys: &self.app.digests().tokens, arguments: bound };
        let after = list.position(&page_token).map_err(Status::from)?;
        let after = after.map(|end| place::position(&end).ok_or_else(page_token_invalid)).transpose()?;
        done(self.app.require_log(&tenant).await, &caller)?;
        let query = EventQuery {
            tenant: tenant.clone(),
            user: filter.user,
            kinds: filter.kinds,
            start_time,
            end_time,
            after,
            // One more than asked for says whether there is another page.
            limit: limit(size + 1),
        };
        let Look { mut events, stopped_at } = done(self.app.look_at_events(&query).await, &caller)?;
        let cut = events.len() > size;
        events.truncate(size);
        let stopped_at = stopped_at.filter(|_| !cut);
        let more = cut || stopped_at.is_some();
        let shown = events.last().map(|event| event.position);
        let end: Option<EventPosition> = stopped_at.or(shown).or(after);
        let next = end.filter(|_| more).map(|end| list.token(&place::bytes(end)));
        // Where nothing was found, following begins where this search began. So it does where it stopped on its way to a
        // time: behind that stop stand events from before it.
        let follow = if stopped_at.is_some() && start_time.is_some() { shown } else { end };
        let resume = follow.map_or(Place::From(start_time), Place::After);
        Ok(Response::new(ListEventsResponse {
            events: events.iter().map(|stored| security_event(&stored.record)).collect(),
            next_page_token: next.unwrap_or_default(),
            resume_token: resume.token(&self.app.digests().tokens, log(&self.app, &tenant)),
        }))
    }

    type WatchEventsStream = BoxStream<'static, Result<WatchEventsResponse, Status>>;

    async fn watch_events(&self, request: Request<WatchEventsRequest>) -> Reply<Self::WatchEventsStream> {
        watch::watch(&self.app, &self.slots, request).await
    }
}
