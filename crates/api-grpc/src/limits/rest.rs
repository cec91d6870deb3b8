//! What of a request nobody reads, because the call was refused before it had come: read all the same, and thrown away.
//!
//! Refusing is quicker than sending, and HTTP/2's stack bears only so much that comes for a call which nobody reads any more,
//! before it closes the connection with all the calls on it: small frames until they are read, which these never are, and
//! 1,024 frames of calls that it has forgotten, the guard against CVE-2025-8671, which it counts for as long as the connection
//! lives. Both are guards to keep. So the request of a refused call is read to its end, within bounds: whatever a caller
//! can have sent before it sees its answer.

use super::shares::Shares;
use crate::gate;
use http_body_util::BodyExt as _;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::Request;
use tonic::codegen::{Body as HttpBody, Bytes};

/// What a caller may send of one request before it is read: the window of a stream of HTTP/2, in bytes. Servers set it.
pub const STREAM_WINDOW: u32 = 1 << 20;

/// What is read of a rest at most, in bytes. A window may have come or be under way, and what is read of it before the answer
/// leaves lets the caller send as much again.
const MOST: usize = 2 * STREAM_WINDOW as usize;

/// Rests that are waited for at the same time: about a kilobyte each, beside their streams.
const RESTS: usize = 4_096;

/// How long a rest is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who sends: a host, by whichever of its addresses it comes; of IPv6 the network of 64 bits, all of whose addresses one
/// host may have. `None` where nobody knows.
pub(crate) type Sender = Option<IpAddr>;

/// Who sends from there.
pub(crate) fn sender(from: Option<SocketAddr>) -> Sender {
    from.map(|from| match from.ip().to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip @ IpAddr::V4(_) => ip,
    })
}

/// Room to wait for rests.
#[derive(Debug)]
pub(crate) struct Rests(Shares<Sender>);

impl Rests {
    pub(crate) fn new() -> Self {
        Self(Shares::new(RESTS))
    }

    /// The request with a body that is read to its end, whatever becomes of it.
    pub(crate) fn watch(&self, request: Request<Body>) -> Request<RequestBody> {
        let (from, rests) = (gate::remote(&request), self.0.clone());
        request.map(|body| RequestBody { body: Some(body), from, rests })
    }
}

/// The body of a request, which is read to its end also where it is dropped before.
#[derive(Debug)]
pub(crate) struct RequestBody {
    /// Until it has ended.
    body: Option<Body>,
    from: Option<SocketAddr>,
    rests: Shares<Sender>,
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        let mut rest = Box::pin(read(body));
        // Most of them have come already. Whoever looks at this again is the task below.
        if rest.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_ready() {
            return;
        }
        let (Some(share), Ok(runtime)) = (self.rests.take(&sender(self.from)), Handle::try_current()) else {
            return;
        };
        runtime.spawn(async move {
            let _share = share;
            // One that takes longer is dropped as it is; nobody waits for it.
            let _ = timeout(PATIENCE, rest).await;
        });
    }
}

/// Reads a body to its end, or until [`MOST`] has come.
async fn read(mut body: Body) {
    let mut left = MOST;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(bytes) {
            Some(still) => left = still,
            None => return,
        }
    }
}
