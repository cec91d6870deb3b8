//! What is answered without a caller: health, and reflection where it is offered. Whoever can connect may ask, so it has
//! bounds of its own (R47, R66): what fills them leaves the calls of the contract alone, and what fills those leaves health
//! alone. Nor does who has no name fill the streams of callers who have one.

use crate::gate::{Gate, HEALTH, Shown};
use crate::limits::{Limits, RequestBody, Sender, Share, Shares, expired, overloaded, sender};
use crate::options::Options;
use crate::services::answered;
use countersign_domain::ids::CallerId;
use http_body_util::{BodyExt as _, Full};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::Semaphore;
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

/// One part in so many of the streams is for those who are not known by a certificate: whoever can connect can open as many
/// as a connection takes, and those that callers keep open must find room all the same.
const NAMELESS: usize = 4;

/// The open paths and their bounds.
pub(crate) struct Open {
    routes: Routes,
    calls: Semaphore,
    /// Streams of callers who are known by their certificates.
    named: Shares<Asker>,
    /// Those of all others.
    nameless: Shares<Asker>,
}

/// Who holds a stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Asker {
    /// A caller known by its certificate.
    Named(CallerId),
    /// Whoever asks from there.
    Nameless(Sender),
}

impl Asker {
    fn nameless(from: Option<SocketAddr>) -> Self {
        Self::Nameless(sender(from))
    }
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
pub(crate) struct OpenPlace {
    kind: Kind,
    held: Option<Share<Asker>>,
}

impl Open {
    pub(crate) fn new(routes: Routes, options: &Options) -> Self {
        let nameless = options.limits.max_open_streams.div_ceil(NAMELESS);
        let named = options.limits.max_open_streams.saturating_sub(nameless).max(1);
        Self {
            routes,
            calls: Semaphore::new(options.limits.max_open_calls.min(Semaphore::MAX_PERMITS)),
            named: Shares::new(named),
            nameless: Shares::new(nameless),
        }
    }

    /// A place for this call, or the answer that there is none.
    pub(crate) fn place(&self, gate: &Gate, request: &Request<RequestBody>) -> Result<OpenPlace, Status> {
        let kind = match request.uri().path().strip_prefix(HEALTH) {
            Some(WATCH) => Kind::Watch,
            Some(_) => return Ok(OpenPlace { kind: Kind::Check, held: None }),
            None => Kind::Reflection,
        };
        let shown = Shown::of(request);
        let held = match gate.by_certificate(&shown) {
            Some(caller) => self.named.take(&Asker::Named(caller)),
            None => self.nameless.take(&Asker::nameless(shown.remote)),
        };
        held.map(|held| OpenPlace { kind, held: Some(held) }).ok_or_else(|| overloaded().into_status())
    }

    /// Answers a call that has its place. A stream keeps it until it ends or its caller is gone.
    pub(crate) async fn answer(
        &self,
        OpenPlace { kind, held }: OpenPlace,
        limits: &Limits,
        request: Request<RequestBody>,
    ) -> Result<Response<Body>, Status> {
        let deadline = limits.deadline(request.headers()).min(DEADLINE);
        let call = async {
            let request = match kind {
                // It is asked over a stream, which is never whole.
                Kind::Reflection => request.map(Body::new),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// R66: one host is one asker, by whichever of its addresses it comes.
    #[test]
    fn one_network_is_one_asker() {
        let asker = |from: &str| Asker::nameless(Some(from.parse().unwrap()));
        let same = [
            ("192.0.2.1:1", "192.0.2.1:2", true),
            ("192.0.2.1:1", "[::ffff:192.0.2.1]:1", true),
            ("192.0.2.1:1", "192.0.2.2:1", false),
            ("[2001:db8::1]:1", "[2001:db8::ffff:0:0:2]:1", true),
            ("[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false),
        ];
        for (one, other, expected) in same {
            assert_eq!(asker(one) == asker(other), expected, "{one} {other}");
        }
        assert_eq!(Asker::nameless(None), Asker::Nameless(None));
    }
}
