//! `EventService`: the log of security events, read in stretches or followed. Following stands in `watch`.

mod ending;
mod place;
mod turns;
mod watch;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use place::{Log as FuzzedLog, LogPlace as FuzzedPlace};

use super::caller;
use super::shared::{Reply, done, limit, list_arguments, tenant};
use crate::convert::event::{filter, security_event};
use crate::convert::fields::Fields;
use crate::page::List;
use countersign_api::v1::event_service_server::EventService;
use countersign_api::v1::{ListEventsRequest, ListEventsResponse, WatchEventsRequest, WatchEventsResponse};
use countersign_application::{Application, EventQuery, Look};
use countersign_domain::ids::TenantId;
use ending::{Ending, Mark, Page};
use futures::stream::BoxStream;
use place::Log;
use tonic::{Request, Response, Status};

/// The service over the use cases.
#[derive(Clone)]
pub(crate) struct EventHandlers {
    app: Application,
    places: watch::Places,
}

impl EventHandlers {
    pub(crate) fn new(app: Application) -> Self {
        Self { app, places: watch::Places::new() }
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
        let before = list.after(&page_token, Mark::read)?;
        done(self.app.require_log(&tenant).await, &caller)?;
        let query = EventQuery {
            tenant: tenant.clone(),
            user: filter.user,
            kinds: filter.kinds,
            start_time,
            end_time,
            after: before.map(|before| before.end),
            // One more than asked for says whether there is another page.
            limit: limit(size + 1),
        };
        let Look { mut events, stopped_at } = done(self.app.look_at_events(&query).await, &caller)?;
        let is_cut = events.len() > size;
        events.truncate(size);
        let shown = events.last().map(|event| event.position);
        let page = Page { start_time, end_time, before, shown, is_cut, stopped_at };
        let Ending { next_page, resume } = page.ending();
        Ok(Response::new(ListEventsResponse {
            events: events.iter().map(|stored| security_event(&stored.record)).collect(),
            next_page_token: next_page.map(|mark| list.token(&mark.bytes())).unwrap_or_default(),
            resume_token: resume.token(&self.app.digests().tokens, log(&self.app, &tenant)),
        }))
    }

    type WatchEventsStream = BoxStream<'static, Result<WatchEventsResponse, Status>>;

    async fn watch_events(&self, request: Request<WatchEventsRequest>) -> Reply<Self::WatchEventsStream> {
        watch::watch(&self.app, &self.places, request).await
    }
}
