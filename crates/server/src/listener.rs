//! Accepting connections: bounded in number, each with a bounded time to get to HTTP/2. What is said over them is
//! tonic's and the gRPC adapter's business.
//!
//! Own and not tonic's, because its TLS cannot load certificates again and its handshakes have no deadline.

mod connection;

pub(crate) use connection::Connection;

use crate::tls::{self, Reloading};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

/// What every HTTP/2 connection begins with (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Connections that are ready and wait to be served: more wait in their handshake.
const READY: usize = 64;
/// A pause after the system refused a connection, commonly for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// How long after the last refusal of the system it is over.
const CALM: Duration = Duration::from_secs(10);

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
    let mut refusals = Refusals::default();
    loop {
        let accepted = tokio::select! {
            () = ready.closed() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => {
                refusals.over();
                accepted
            }
            // Such a one says that its peer went away meanwhile.
            Err(error) if is_of_the_peer(&error) => {
                tracing::debug!(error = %error, "a connection could not be accepted");
                continue;
            }
            Err(error) => {
                refusals.note(&error);
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                full = false;
                tokio::spawn(prepare(stream, address, place, rules.clone(), ready.clone()));
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

/// Whether a connection failed before it was accepted (accept(2)), which says nothing about this machine.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// That the system gives no connections, told when it begins and when it is over: while it lasts, it is tried many times a
/// second.
#[derive(Default)]
struct Refusals {
    last: Option<Instant>,
}

impl Refusals {
    /// The system gave none.
    fn note(&mut self, error: &io::Error) {
        // Between two that are far apart nothing was refused, whether anybody came meanwhile or not.
        if self.last.replace(Instant::now()).is_none_or(|last| last.elapsed() >= CALM) {
            tracing::error!(alarm = true, error = %error, "connections cannot be accepted; trying again");
        }
    }

    /// The system gave one. That is the end of it only where it has gone well for a while: with few descriptors left every
    /// other connection gets one.
    fn over(&mut self) {
        if self.last.is_some_and(|last| last.elapsed() >= CALM) {
            self.last = None;
            tracing::info!("connections are accepted again");
        }
    }
}

/// Takes a connection to HTTP/2, or drops it. Why a stranger's handshake failed is worth a line for debugging only.
async fn prepare(
    stream: TcpStream,
    address: SocketAddr,
    place: OwnedSemaphorePermit,
    rules: Rules,
    ready: mpsc::Sender<io::Result<Connection>>,
) {
    match tokio::time::timeout(rules.handshake_timeout, handshake(stream, address, place, rules.tls.as_ref()))
        .await
    {
        // Nobody listens any more where the service is being stopped.
        Ok(Ok(connection)) => drop(ready.send(Ok(connection)).await),
        Ok(Err(error)) => tracing::debug!(error = %error, "a handshake failed"),
        Err(_) => tracing::debug!("a handshake took too long"),
    }
}

async fn handshake(
    stream: TcpStream,
    address: SocketAddr,
    place: OwnedSemaphorePermit,
    tls: Option<&Reloading>,
) -> io::Result<Connection> {
    // Small frames that answer one another: waiting to fill packets would only add delay.
    stream.set_nodelay(true)?;
    let Some(tls) = tls else {
        let mut stream = stream;
        expect_preface(&mut stream).await?;
        return Ok(Connection::plain(stream, PREFACE, place, address));
    };
    let config = Arc::clone(&tls.borrow());
    let mut stream = TlsAcceptor::from(config).accept(stream).await?;
    let names = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(tls::names);
    expect_preface(&mut stream).await?;
    Ok(Connection::tls(stream, PREFACE, place, address, names))
}

/// Reads the preface here, inside the time limit: a peer that connects and says nothing would stay for long otherwise.
async fn expect_preface(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<()> {
    let mut start = [0; PREFACE.len()];
    stream.read_exact(&mut start).await?;
    if start == *PREFACE { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidData, "not HTTP/2")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Alarms;
    use countersign_api_grpc::{Callers, Options, Peer};
    use countersign_application::Application;
    use countersign_client::{Client, v1};
    use countersign_testkit::{ManualClock, MemoryStore, SeededRandom, deps_in_memory};
    use tokio::io::AsyncWriteExt as _;
    use tokio_stream::StreamExt as _;
    use tonic::transport::server::Connected as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    async fn listening() -> (SocketAddr, ReceiverStream<io::Result<Connection>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let rules = Rules { tls: None, max_connections: 1, handshake_timeout: Duration::from_mins(1) };
        (address, connections(listener, rules))
    }

    /// R48: a system that gives no connections is an alarm once, however often it is tried, and once more when it comes again
    /// after it was over.
    #[test]
    fn a_system_that_gives_no_connections_is_an_alarm_once() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let page = recorder.handle();
        let alarms = |count: u64| {
            let told = page.render();
            assert!(told.contains(&format!("countersign_alarms_total {count}\n")), "{count}: {told}");
        };
        let story = async {
            let (mut refusals, full) = (Refusals::default(), io::Error::other("too many open files"));
            assert!(!is_of_the_peer(&full) && is_of_the_peer(&io::ErrorKind::ConnectionAborted.into()));
            for _ in 0..20 {
                refusals.note(&full);
                refusals.over();
            }
            alarms(1);
            tokio::time::advance(CALM).await;
            refusals.over();
            refusals.note(&full);
            alarms(2);
            // Whoever came last came too early to say that it is over.
            for _ in 0..2 {
                tokio::time::advance(CALM / 10 * 9).await;
                refusals.over();
                refusals.note(&full);
                alarms(2);
            }
            tokio::time::advance(CALM / 10 * 9).await;
            refusals.over();
            tokio::time::advance(CALM / 10).await;
            refusals.note(&full);
            alarms(3);
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        metrics::with_local_recorder(&recorder, || {
            tracing::subscriber::with_default(tracing_subscriber::registry().with(Alarms), || {
                runtime.unwrap().block_on(story);
            });
        });
    }

    /// R46: what is served knows from where its peer is: the gate of development relies on it.
    #[tokio::test]
    async fn a_connection_knows_its_peer() {
        let (address, mut connections) = listening().await;
        let mut peer = TcpStream::connect(address).await.unwrap();
        peer.write_all(PREFACE).await.unwrap();
        let connection = connections.next().await.unwrap().unwrap();
        let expected = Peer { address: Some(peer.local_addr().unwrap()), certificate: None };
        assert_eq!(connection.connect_info(), expected);
    }

    /// R46: the gate of development lets a peer on loopback in by what this listener says of it, and would let nobody in
    /// where it said nothing.
    #[tokio::test]
    async fn development_lets_in_peers_of_this_listener() {
        let (address, connections) = listening().await;
        let (store, random) = (Arc::new(MemoryStore::new()), Arc::new(SeededRandom::new(1)));
        let app = Application::new(deps_in_memory!(store, Arc::new(ManualClock::default()), random));
        let service = countersign_api_grpc::service(app, Options::new(Callers::Loopback)).unwrap();
        tokio::spawn(tonic::transport::Server::builder().serve_with_incoming(service, connections));
        let client = Client::builder(format!("http://{address}")).connect_lazy().unwrap();
        client.call(v1::ListPolicyPresetsRequest::default()).await.unwrap();
    }
}
