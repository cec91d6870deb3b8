//! What is answered without a caller: health, and reflection where it is offered. Whoever can connect may ask, so it has
//! bounds of its own (R47, R66): what fills them leaves the calls of the contract alone, and what fills those leaves health
//! alone.

use crate::gate::HEALTH;
use crate::limits::{Limits, expired, overloaded};
use crate::options::Options;
use crate::services::answered;
use http_body_util::{BodyExt as _, Full};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::service::Routes;
use tower::Service as _;

/// The method of health whose answer goes on for as long as its caller listens.
const WATCH: &str = "Watch";

/// The longest that an open call may take until its answer begins. It is a few bytes, and whoever sends them no faster
/// holds the place of somebody else.
const DEADLINE: Duration = Duration::from_secs(2);

/// The open paths and their bounds.
pub(crate) struct Open {
    routes: Routes,
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Health, once.
    Check,
    /// Health, for as long as the caller listens.
    Watch,
    /// The contract, for as long as the caller asks.
    Reflection,
}

/// A place of an open call. A question that has come whole needs none: whoever has begun as many as there are places and ends
/// none must not keep the probes of others from their answer.
pub(crate) struct Place {
    kind: Kind,
    held: Option<OwnedSemaphorePermit>,
}

impl Open {
    pub(crate) fn new(routes: Routes, options: &Options) -> Self {
        let places = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self { routes, calls: places(options.max_open_calls), streams: places(options.max_open_streams) }
    }

    /// A place for a call of this path, or the answer that there is none.
    pub(crate) fn place(&self, path: &str) -> Result<Place, Status> {
        let kind = match path.strip_prefix(HEALTH) {
            Some(WATCH) => Kind::Watch,
            Some(_) => return Ok(Place { kind: Kind::Check, held: None }),
            None => Kind::Reflection,
        };
        let held = Arc::clone(&self.streams).try_acquire_owned();
        held.map(|held| Place { kind, held: Some(held) }).map_err(|_| overloaded().into_status())
    }

    /// Answers a call that has its place. A stream keeps it until it ends or its caller is gone.
    pub(crate) async fn answer(
        &self,
        Place { kind, held }: Place,
        limits: &Limits,
        request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        let deadline = limits.deadline(request.headers()).min(DEADLINE);
        let call = async {
            let request = match kind {
                // It is asked over a stream, which is never whole.
                Kind::Reflection => request,
                Kind::Check | Kind::Watch => {
                    let (parts, body) = request.into_parts();
                    let place = || match kind {
                        Kind::Check => self.calls.try_acquire().map(Some).map_err(|_| overloaded()),
                        Kind::Watch | Kind::Reflection => Ok(None),
                    };
                    let body = limits.whole(parts.uri.path(), body, place).await?;
                    Request::from_parts(parts, Body::new(Full::new(body)))
                }
            };
            Ok(answered(self.routes.clone().call(request).await))
        };
        let response = timeout(deadline, call).await.unwrap_or_else(|_| Err(expired().into_status()))?;
        Ok(match kind {
            Kind::Check => response,
            Kind::Watch | Kind::Reflection => response.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    let _held = &held;
                    frame
                }))
            }),
        })
    }
}
