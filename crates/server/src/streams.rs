//! Ends streams when the node stops, so that nobody who watches holds up a restart (R67). Calls with one answer are left
//! alone: they finish.
//!
//! The end is a status like every other, with the reason that tells clients to go on elsewhere.

use http_body::Frame;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::codegen::{Body as HttpBody, Bytes, Service};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Streams of services that are not in the contract.
const OTHER_STREAMS: [&str; 1] = ["/grpc.health.v1.Health/Watch"];

/// Ends the streams of `inner` when `stop` says so.
#[derive(Debug, Clone)]
pub(crate) struct EndStreams<S> {
    inner: S,
    // Cloned for each call: the token inside, which locks to be cloned, is so for streams only.
    ends: Arc<Ends>,
}

#[derive(Debug)]
struct Ends {
    stop: CancellationToken,
    streams: BTreeSet<String>,
}

impl<S> EndStreams<S> {
    /// Around `inner`.
    pub(crate) fn new(inner: S, stop: CancellationToken) -> Self {
        let mut streams = BTreeSet::from(OTHER_STREAMS.map(str::to_owned));
        for service in countersign_api::descriptor_pool().services() {
            for method in service.methods() {
                if method.is_server_streaming() {
                    streams.insert(format!("/{}/{}", service.full_name(), method.name()));
                }
            }
        }
        Self { inner, ends: Arc::new(Ends { stop, streams }) }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S> Service<Request<Body>> for EndStreams<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let Ends { stop, streams } = &*self.ends;
        let stop = streams.contains(request.uri().path()).then(|| stop.clone());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            Ok(match stop {
                Some(stop) => response.map(|inner| Body::new(Until::new(inner, stop))),
                None => response,
            })
        })
    }
}

/// A body that ends when the node stops.
struct Until {
    inner: Body,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
}

impl Until {
    fn new(inner: Body, stop: CancellationToken) -> Self {
        Self { inner, stopped: Box::pin(stop.cancelled_owned()), ended: false }
    }
}

impl HttpBody for Until {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // What is ready goes out first: whoever watches health is to see "not serving" before the end.
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.ended = frame.as_ref().is_none_or(|frame| frame.as_ref().is_ok_and(Frame::is_trailers));
            return Poll::Ready(frame);
        }
        ready!(self.stopped.as_mut().poll(cx));
        self.ended = true;
        let mut trailers = HeaderMap::new();
        shutting_down().add_header(&mut trailers)?;
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

/// The status of a stream that ends because the node stops.
fn shutting_down() -> Status {
    let reason = countersign_api::error_reason_name(countersign_api::v1::ErrorReason::ShuttingDown);
    let mut details = ErrorDetails::with_error_info(reason, countersign_api::ERROR_DOMAIN, []);
    details.set_retry_info(Some(Duration::ZERO));
    Status::with_error_details(Code::Unavailable, "the node is stopping; go on at another one", details)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R67: the streams that are ended are those of the contract and of health, and no call with one answer.
    #[test]
    fn streams_are_known_from_the_contract() {
        let ends = EndStreams::new((), CancellationToken::new()).ends;
        let found: Vec<_> = ends.streams.iter().map(String::as_str).collect();
        assert_eq!(found, ["/countersign.v1.EventService/WatchEvents", "/grpc.health.v1.Health/Watch"]);
    }
}
