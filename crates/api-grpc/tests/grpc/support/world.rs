//! A service in memory, and connections to it.

use super::faults::{Fault, FaultyStore, SlowLog};
use super::frames::Frames;
use countersign_api::v1::account_service_client::AccountServiceClient;
use countersign_api::v1::login_service_client::LoginServiceClient;
use countersign_api_grpc::{
    CallLimits, Callers, Grants, GrpcService, Options, Peer, PeerCertificate, STREAM_WINDOW, Tenants, service,
};
use countersign_application::{Application, Deps};
use countersign_domain::event::EventType;
use countersign_domain::policy::{PolicyDocument, Preset};
use countersign_domain::time::Timestamp;
use countersign_ports::{
    ChangeSet, Clock, Commit, EventLog, EventQuery, EventRecord, Maintenance, PolicyStore, SmsSender,
    UserStore,
};
use countersign_testkit::{ManualClock, MemoryStore, SeededRandom, deps_in_memory, fixtures};
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint, Server};

/// Holds every scope for every tenant.
pub(crate) const EVERYTHING: &str = "spiffe://test/everything";

/// Where the peers of the tests are.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);

/// A service with everything behind it.
pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) app: Application,
    pub(crate) service: GrpcService,
    pub(crate) store: Arc<MemoryStore>,
    random: Arc<SeededRandom>,
    faulty: Arc<FaultyStore>,
    log: Arc<SlowLog>,
    connections: mpsc::UnboundedSender<io::Result<Connection>>,
}

/// Clients of both services on one connection.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) login: LoginServiceClient<Channel>,
    pub(crate) account: AccountServiceClient<Channel>,
    pub(crate) channel: Channel,
}

/// Callers of the tests: one with everything, and the given ones.
pub(crate) fn callers(
    more: impl IntoIterator<Item = (&'static str, Vec<(&'static str, Tenants)>)>,
) -> Callers {
    let mut callers = HashMap::from([(EVERYTHING.to_owned(), Grants::all())]);
    for (name, grants) in more {
        let grants = grants.into_iter().map(|(scope, tenants)| (scope.to_owned(), tenants));
        callers.insert(name.to_owned(), Grants::new(grants).unwrap());
    }
    Callers::Certificates(callers)
}

/// The options that most tests use.
pub(crate) fn options(callers: Callers) -> Options {
    let limits = CallLimits {
        max_in_flight: 64,
        default_deadline: Duration::from_secs(10),
        max_deadline: Duration::from_secs(30),
        ..CallLimits::default()
    };
    Options { limits, ..Options::new(callers) }
}

/// The same with other limits.
pub(crate) fn limited(callers: Callers, change: impl FnOnce(&mut CallLimits)) -> Options {
    let mut options = options(callers);
    change(&mut options.limits);
    options
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(options(callers([])))
    }

    pub(crate) fn with(options: Options) -> Self {
        Self::with_all(options, None)
    }

    /// A world with somebody who delivers text messages.
    pub(crate) fn with_gateway(gateway: Arc<dyn SmsSender>) -> Self {
        Self::with_all(options(callers([])), Some(gateway))
    }

    /// The same within these limits.
    pub(crate) fn with_gateway_and(gateway: Arc<dyn SmsSender>, options: Options) -> Self {
        Self::with_all(options, Some(gateway))
    }

    fn with_all(options: Options, text_messages: Option<Arc<dyn SmsSender>>) -> Self {
        let store = Arc::new(MemoryStore::new());
        let faulty = Arc::new(FaultyStore {
            inner: Arc::clone(&store),
            load: Mutex::default(),
            commit: Mutex::default(),
            commits: AtomicUsize::new(0),
        });
        let log = Arc::new(SlowLog {
            inner: Arc::clone(&store),
            takes: Mutex::default(),
            held: Mutex::default(),
            held_up: AtomicUsize::new(0),
        });
        let clock = Arc::new(ManualClock::default());
        let random = Arc::new(SeededRandom::new(1));
        let deps = deps_in_memory!(store, clock.clone(), random.clone());
        let app =
            Application::new(Deps { users: faulty.clone(), events: log.clone(), text_messages, ..deps });
        let service = service(app.clone(), options).unwrap();
        let (connections, incoming) = mpsc::unbounded_channel();
        let incoming = UnboundedReceiverStream::new(incoming);
        // As the server has it; without, tonic lets a connection make as many errors as it likes.
        let server = Server::builder()
            .http2_max_local_error_reset_streams(Some(1_024))
            .initial_stream_window_size(STREAM_WINDOW);
        tokio::spawn(server.serve_with_incoming(service.clone(), incoming));
        Self { clock, app, service, store, random, faulty, log, connections }
    }

    /// A connection of a peer who shows a certificate with these names, or none.
    pub(crate) async fn connect(&self, names: Option<&[&str]>) -> Client {
        self.connect_from(LOOPBACK, names).await
    }

    /// The same, of a peer at that address.
    pub(crate) async fn connect_from(&self, address: SocketAddr, names: Option<&[&str]>) -> Client {
        let mut ours = Some(self.wire(address, names));
        let connector = tower::service_fn(move |_| {
            let io = ours.take().map(TokioIo::new).ok_or_else(|| io::Error::other("one connection a test"));
            std::future::ready(io)
        });
        let endpoint = Endpoint::from_static("http://countersign.test");
        let channel = endpoint.connect_with_connector(connector).await.unwrap();
        Client {
            login: LoginServiceClient::new(channel.clone()),
            account: AccountServiceClient::new(channel.clone()),
            channel,
        }
    }

    /// A connection without anything that speaks over it.
    pub(crate) fn wire(&self, address: SocketAddr, names: Option<&[&str]>) -> DuplexStream {
        let certificate = names
            .map(|names| PeerCertificate { names: names.iter().map(|name| (*name).to_owned()).collect() });
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let peer = Peer { address: Some(address), certificate };
        self.connections.send(Ok(Connection { io: theirs, peer })).unwrap();
        ours
    }

    /// A connection of the caller who holds everything, frame by frame.
    pub(crate) async fn frames(&self) -> Frames {
        Frames::begin(self.wire(LOOPBACK, Some(&[EVERYTHING]))).await
    }

    /// A connection of the caller who holds everything.
    pub(crate) async fn client(&self) -> Client {
        self.connect(Some(&[EVERYTHING])).await
    }

    /// A tenant named after its preset.
    pub(crate) async fn tenant(&self, preset: Preset) {
        self.tenant_with(preset.id(), preset, |_| ()).await;
    }

    /// A tenant whose policy departs from its preset.
    pub(crate) async fn tenant_with(&self, id: &str, preset: Preset, edit: impl FnOnce(&mut PolicyDocument)) {
        let mut record = fixtures::tenant_record(&fixtures::tenant(id), preset);
        edit(&mut record.document);
        record.document.clone().validated().unwrap();
        let change = fixtures::policy_change(&self.random, &record);
        assert_eq!(
            self.store.put_policy(record, change, countersign_ports::Tell::Nobody).await.unwrap(),
            Commit::Done
        );
    }

    /// Tells so many events of a user in one commit, as another node may.
    pub(crate) async fn tell(&self, tenant: &str, user: &str, events: usize) {
        let user = fixtures::user(tenant, user);
        let record = || fixtures::event_record(&self.random, &user, EventType::UserPut);
        let mut change = ChangeSet::telling(record());
        change.events.resize_with(events, record);
        assert_eq!(self.store.commit(change).await.unwrap(), Commit::Done);
    }

    /// Drops the events that are older than thirty days. Returns how many.
    pub(crate) async fn drop_events(&self) -> u64 {
        self.store.drop_events(self.now().minus(Duration::from_hours(24 * 30))).await.unwrap()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets the app show its next code.
    pub(crate) fn next_step(&self) {
        self.clock.advance(Duration::from_secs(30));
    }

    pub(crate) fn fail_loads(&self, fault: Fault) {
        *self.faulty.load.lock().unwrap() = fault;
    }

    pub(crate) fn fail_commits(&self, fault: Fault) {
        *self.faulty.commit.lock().unwrap() = fault;
    }

    /// From now on the log is long: a look at it goes through one event, and takes that long. Time stands still otherwise.
    pub(crate) fn lengthen_log(&self, takes: Duration) {
        self.store.look_through(1);
        *self.log.takes.lock().unwrap() = Some(takes);
    }

    /// From now on looks at the log for some types alone wait for a permit of the semaphore, each for one.
    pub(crate) fn hold_searches(&self) -> Arc<Semaphore> {
        let until = Arc::new(Semaphore::new(0));
        *self.log.held.lock().unwrap() = Some(Arc::clone(&until));
        until
    }

    /// Looks at the log that had to wait so far.
    pub(crate) fn held_up(&self) -> usize {
        self.log.held_up.load(Ordering::SeqCst)
    }

    /// Commits that have begun so far.
    pub(crate) fn commits(&self) -> usize {
        self.faulty.commits.load(Ordering::SeqCst)
    }

    /// The events of a tenant, oldest first.
    pub(crate) async fn events(&self, tenant: &str, kinds: &[EventType]) -> Vec<EventRecord> {
        let query = EventQuery {
            tenant: fixtures::tenant(tenant),
            user: None,
            kinds: kinds.to_vec(),
            start_time: None,
            end_time: None,
            after: None,
            limit: 1_000,
        };
        self.store.events(&query).await.unwrap().into_iter().map(|stored| stored.record).collect()
    }
}

/// The server's end of a connection, with who would be at the other one.
struct Connection {
    io: DuplexStream,
    peer: Peer,
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
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
