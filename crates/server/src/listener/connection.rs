//! A connection that reached HTTP/2: its bytes, the preface given back in front of them, its place among those allowed,
//! and who its peer is.

use countersign_api_grpc::{Peer, PeerCertificate};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

/// A connection to serve.
pub(crate) struct Connection {
    stream: Stream,
    /// What was read ahead and not yet given out.
    ahead: &'static [u8],
    /// From where the peer is, and what its certificate says where it showed one.
    peer: Peer,
    // Held for the limit that it counts towards.
    _place: OwnedSemaphorePermit,
}

enum Stream {
    Plain(TcpStream),
    // Far larger than the other.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// Plain text, with a peer at that address.
    pub(super) fn plain(
        stream: TcpStream,
        ahead: &'static [u8],
        place: OwnedSemaphorePermit,
        address: SocketAddr,
    ) -> Self {
        let peer = Peer { address: Some(address), certificate: None };
        Self { stream: Stream::Plain(stream), ahead, peer, _place: place }
    }

    /// TLS, with a peer at that address, and the names in its certificate where it showed one.
    pub(super) fn tls(
        stream: TlsStream<TcpStream>,
        ahead: &'static [u8],
        place: OwnedSemaphorePermit,
        address: SocketAddr,
        names: Option<Vec<String>>,
    ) -> Self {
        let certificate = names.map(|names| PeerCertificate { names: names.into() });
        let peer = Peer { address: Some(address), certificate };
        Self { stream: Stream::Tls(Box::new(stream)), ahead, peer, _place: place }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let (now, later) = self.ahead.split_at(self.ahead.len().min(buf.remaining()));
            buf.put_slice(now);
            self.ahead = later;
            return Poll::Ready(Ok(()));
        }
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
