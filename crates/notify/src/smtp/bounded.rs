//! A connection on which a mail server can say only so much: the library above reads a line until it ends, and looks at its
//! length then; and what it has read in the clear it goes on to take for replies when TLS has begun.

use lettre::transport::smtp::client::AsyncTokioStream;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is read for one delivery at most, in bytes: all replies, and below STARTTLS the certificates too. The longest reply that
/// the library takes has 100,000 bytes, and what servers say in earnest comes to a few thousand.
const MOST: usize = 128 * 1024;

/// What TLS begins with (RFC 8446 section 5.1), and no command of SMTP.
const HANDSHAKE: u8 = 22;

/// How many bytes may still be read.
#[derive(Debug, Clone)]
pub(super) struct Allowance(Arc<AtomicUsize>);

impl Allowance {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(MOST)))
    }

    /// For another delivery over the same connection.
    pub(super) fn renew(&self) {
        self.0.store(MOST, Ordering::Relaxed);
    }
}

/// That a server said more than it may.
#[derive(Debug, thiserror::Error)]
#[error("more than may be read was sent")]
struct Overrun;

/// Whether that is what an error comes from.
pub(super) fn is_overrun(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_ours = |error: &io::Error| matches!(error.get_ref(), Some(inner) if inner.is::<Overrun>());
    std::iter::successors(Some(error), |error| error.source())
        .any(|error| error.downcast_ref::<io::Error>().is_some_and(is_ours))
}

/// A stream of which no more is read than the allowance has.
#[derive(Debug)]
pub(super) struct Bounded<S> {
    pub(super) stream: S,
    pub(super) peer: SocketAddr,
    pub(super) allowance: Allowance,
    /// Whether TLS is still to begin. Until then it is read byte by byte, so that nobody has read beyond the reply after which
    /// it begins: what anybody on the way put behind that is no TLS, and ends the connection.
    pub(super) is_before_tls: bool,
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.allowance.0.load(Ordering::Relaxed);
        if left == 0 {
            return Poll::Ready(Err(io::Error::other(Overrun)));
        }
        let before = buffer.filled().len();
        if self.is_before_tls {
            let mut byte = [0];
            let mut one = ReadBuf::new(&mut byte);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut one))?;
            buffer.put_slice(one.filled());
        } else {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        }
        let read = buffer.filled().len() - before;
        self.allowance.0.store(left.saturating_sub(read), Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.is_before_tls &= bytes.first() != Some(&HANDSHAKE);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> AsyncTokioStream for Bounded<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}
