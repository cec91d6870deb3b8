//! A connection to the server: TLS and HTTP/2, and nothing around them. tonic's channel would put each call through a
//! queue, a buffer and a balancer, which costs as much as the call itself, and on the cores of the server.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response, Uri};

use crate::Trouble;
use crate::authority::SERVER;

/// How long a server may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// One connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Line(http2::SendRequest<Body>);

impl Line {
    /// Connects, and shows the caller's certificate.
    pub(crate) async fn connect(address: &str, tls: Arc<ClientConfig>) -> Result<Self, Trouble> {
        tokio::time::timeout(PATIENCE, Self::handshake(address, tls)).await?
    }

    async fn handshake(address: &str, tls: Arc<ClientConfig>) -> Result<Self, Trouble> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let stream = TlsConnector::from(tls).connect(ServerName::try_from(SERVER)?, stream).await?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        // It ends with the last clone; whoever calls over a broken one is told.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self(sender))
    }

    /// What its requests are addressed to.
    pub(crate) fn origin() -> Uri {
        Uri::from_static("https://localhost")
    }
}

impl Service<Request<Body>> for Line {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
