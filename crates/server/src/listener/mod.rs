//! Accepting connections: bounded in number, each with a bounded time to get to HTTP/2. What is said over them is
//! tonic's and the gRPC adapter's business.
//!
//! Own and not tonic's, because its TLS cannot load certificates again and its handshakes have no deadline.

mod connection;

pub(crate) use connection::Connection;

use crate::tls::{self, Reloading};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

/// What every HTTP/2 connection begins with (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Connections that are ready and wait to be served: more wait in their handshake.
const READY: usize = 64;
/// A pause after the system refused a connection, commonly for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// How connections are made.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Certificates, or `None` for plain text.
    pub(crate) tls: Option<Reloading>,
    /// Connections open at the same time; one more is closed at once.
    pub(crate) max_connections: usize,
    /// From the accepted connection to the first bytes of HTTP/2.
    pub(crate) handshake_timeout: Duration,
}

/// Connections that are ready to be served. Dropping the stream closes the port.
pub(crate) fn connections(listener: TcpListener, rules: Rules) -> ReceiverStream<io::Result<Connection>> {
    let (ready, stream) = mpsc::channel(READY);
    tokio::spawn(accept(listener, rules, ready));
    ReceiverStream::new(stream)
}

async fn accept(listener: TcpListener, rules: Rules, ready: mpsc::Sender<io::Result<Connection>>) {
    let places = Arc::new(Semaphore::new(rules.max_connections));
    let mut full = false;
    loop {
        let accepted = tokio::select! {
            () = ready.closed() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                full = false;
                tokio::spawn(prepare(stream, place, rules.clone(), ready.clone()));
            }
            // Told once each time it gets full: a storm must not become a storm of log lines.
            Err(_) if full => {}
            Err(_) => {
                full = true;
                tracing::warn!(max_connections = rules.max_connections, "no room for another connection");
            }
        }
    }
}

/// Takes a connection to HTTP/2, or drops it. Why a stranger's handshake failed is worth a line for debugging only.
async fn prepare(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    rules: Rules,
    ready: mpsc::Sender<io::Result<Connection>>,
) {
    match tokio::time::timeout(rules.handshake_timeout, handshake(stream, place, rules.tls.as_ref())).await {
        // Nobody listens any more where the service is being stopped.
        Ok(Ok(connection)) => drop(ready.send(Ok(connection)).await),
        Ok(Err(error)) => tracing::debug!(error = %error, "a handshake failed"),
        Err(_) => tracing::debug!("a handshake took too long"),
    }
}

async fn handshake(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    tls: Option<&Reloading>,
) -> io::Result<Connection> {
    // Small frames that answer one another: waiting to fill packets would only add delay.
    stream.set_nodelay(true)?;
    let Some(tls) = tls else {
        let mut stream = stream;
        expect_preface(&mut stream).await?;
        return Ok(Connection::plain(stream, PREFACE, place));
    };
    let config = Arc::clone(&tls.borrow());
    let mut stream = TlsAcceptor::from(config).accept(stream).await?;
    let names = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(tls::names);
    expect_preface(&mut stream).await?;
    Ok(Connection::tls(stream, PREFACE, place, names))
}

/// Reads the preface here, inside the time limit: a peer that connects and says nothing would stay for long otherwise.
async fn expect_preface(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<()> {
    let mut start = [0; PREFACE.len()];
    stream.read_exact(&mut start).await?;
    if start == *PREFACE { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidData, "not HTTP/2")) }
}
