//! A service over TCP in this process, a user of it, and a proxy in front of it that can be told to misbehave.

use countersign_api_grpc::{CallLimits, Callers, Grants, Options, Rate, service};
use countersign_application::Application;
use countersign_client::{Client, Login, v1};
use countersign_domain::event::EventType;
use countersign_domain::policy::Preset;
use countersign_domain::time::Timestamp;
use countersign_ports::{Clock, Commit, EventLog, EventQuery, PolicyStore, Tell};
use countersign_testkit::{
    ManualClock, MemoryStore, SeededRandom, VirtualAuthenticator, deps_in_memory, fixtures,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_stream::wrappers::TcpListenerStream;

pub(crate) const TENANT: &str = "self-service-code";

/// A service on a port of its own.
pub(crate) struct World {
    pub(crate) address: String,
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
}

impl World {
    pub(crate) async fn new(options: Options) -> Self {
        Self::serving(options, tonic::transport::Server::builder()).await
    }

    /// The same, where connections are closed at this age.
    pub(crate) async fn with_connection_age(options: Options, age: Duration) -> Self {
        let server = tonic::transport::Server::builder();
        Self::serving(options, server.max_connection_age(age).max_connection_age_grace(age)).await
    }

    async fn serving(options: Options, server: tonic::transport::Server) -> Self {
        let (store, clock) = (Arc::new(MemoryStore::new()), Arc::new(ManualClock::default()));
        let random = Arc::new(SeededRandom::new(1));
        let app = Application::new(deps_in_memory!(store, clock.clone(), random.clone()));
        let record = fixtures::tenant_record(&fixtures::tenant(TENANT), Preset::SelfServiceCode);
        let change = fixtures::policy_change(&random, &record);
        assert_eq!(store.put_policy(record, change, Tell::Nobody).await.unwrap(), Commit::Done);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let service = service(app, options).unwrap();
        tokio::spawn(server.serve_with_incoming(service, TcpListenerStream::new(listener)));
        Self { address, clock, store }
    }

    /// Options under which the caller has a rate. Loopback callers have none, so that this one shows a token.
    pub(crate) fn with_rate(per_second: u32, burst: u32) -> Options {
        #[derive(Debug)]
        struct Anybody;
        #[tonic::async_trait]
        impl countersign_api_grpc::TokenVerifier for Anybody {
            async fn verify(&self, _: &str) -> Result<String, &'static str> {
                Ok("spiffe://test/login".to_owned())
            }
        }
        let callers = Callers::Certificates([("spiffe://test/login".to_owned(), Grants::all())].into());
        let rate = Some(Rate { per_second, burst });
        let limits = CallLimits { rate, ..CallLimits::default() };
        Options { limits, tokens: Some(Arc::new(Anybody)), ..Options::new(callers) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// When the password of the test passed: now, by the service's clock.
    pub(crate) fn passed_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(u64::try_from(self.now().unix_seconds()).unwrap())
    }

    pub(crate) fn login(&self) -> Login {
        Login::after_password(TENANT, "ann", self.passed_at()).device("203.0.113.7", "Browser/1", "web")
    }

    /// How many events of that type there are.
    pub(crate) async fn events(&self, kind: EventType) -> usize {
        let query = EventQuery {
            tenant: fixtures::tenant(TENANT),
            user: None,
            kinds: vec![kind],
            start_time: None,
            end_time: None,
            after: None,
            limit: 1_000,
        };
        self.store.events(&query).await.unwrap().len()
    }

    /// Enrols an app for the user, and lets it come to its next code.
    pub(crate) async fn enroll(&self, client: &Client) -> VirtualAuthenticator {
        let actor = v1::Actor {
            principal: Some(v1::actor::Principal::UserId("ann".to_owned())),
            first_factor: self.login().into_request().first_factor,
            ..v1::Actor::default()
        };
        let begin = v1::BeginTotpEnrollmentRequest {
            tenant_id: TENANT.to_owned(),
            user_id: "ann".to_owned(),
            authority: Some(v1::begin_totp_enrollment_request::Authority::Actor(actor.clone())),
            account_label: "ann".to_owned(),
            ..v1::BeginTotpEnrollmentRequest::default()
        };
        let enrollment = client.call(begin).await.unwrap();
        let app = VirtualAuthenticator::scan(&enrollment.otpauth_uri).unwrap();
        let code = app.code_at(self.now());
        let confirm = v1::ConfirmEnrollmentRequest {
            tenant_id: TENANT.to_owned(),
            user_id: "ann".to_owned(),
            authority: Some(v1::confirm_enrollment_request::Authority::Actor(actor)),
            enrollment_id: enrollment.enrollment_id,
            proof: Some(v1::Proof { kind: Some(v1::proof::Kind::Code(code)) }),
            ..v1::ConfirmEnrollmentRequest::default()
        };
        client.call(confirm).await.unwrap();
        self.clock.advance(Duration::from_secs(30));
        app
    }
}

const FORWARD: u8 = 0;
const LOSE: u8 = 1;
const HOLD: u8 = 2;
const REFUSE: u8 = 3;

/// A proxy that forwards bytes, until it is told otherwise.
pub(crate) struct Proxy {
    pub(crate) address: String,
    shared: Arc<Shared>,
}

struct Shared {
    mode: AtomicU8,
    /// Whether the client said something since replies are to be lost.
    asked: AtomicBool,
    lost: AtomicUsize,
    /// How often all connections were broken.
    breaks: AtomicUsize,
    /// How often all connections fell silent.
    mutes: AtomicUsize,
    changed: Notify,
    store: Arc<MemoryStore>,
    /// Logins that were allowed when replies began to be lost.
    before: AtomicUsize,
}

impl Proxy {
    pub(crate) async fn to(world: &World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            mode: AtomicU8::new(FORWARD),
            asked: AtomicBool::new(false),
            lost: AtomicUsize::new(0),
            breaks: AtomicUsize::new(0),
            mutes: AtomicUsize::new(0),
            changed: Notify::new(),
            store: Arc::clone(&world.store),
            before: AtomicUsize::new(0),
        });
        let (target, proxied) = (world.address.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if proxied.mode.load(Ordering::SeqCst) != REFUSE {
                    tokio::spawn(Arc::clone(&proxied).forward(stream, target.clone()));
                }
            }
        });
        Self { address, shared }
    }

    /// Breaks the connection in the place of the next reply to a login that was allowed.
    pub(crate) fn lose_the_next_reply(&self) {
        self.shared.lost.store(0, Ordering::SeqCst);
        self.shared.asked.store(false, Ordering::SeqCst);
        self.set(LOSE);
    }

    /// Replies that were lost.
    pub(crate) fn lost(&self) -> usize {
        self.shared.lost.load(Ordering::SeqCst)
    }

    /// Forwards no replies.
    pub(crate) fn hold(&self) {
        self.set(HOLD);
    }

    /// Breaks all connections, and takes new ones.
    pub(crate) fn break_all(&self) {
        self.shared.breaks.fetch_add(1, Ordering::SeqCst);
        self.shared.changed.notify_waiters();
    }

    /// Says nothing more on the connections that there are, without closing them. New ones are as ever.
    pub(crate) fn mute(&self) {
        self.shared.mutes.fetch_add(1, Ordering::SeqCst);
    }

    /// Breaks all connections, and takes no new ones.
    pub(crate) fn refuse(&self) {
        self.set(REFUSE);
    }

    /// Behaves.
    pub(crate) fn accept(&self) {
        self.set(FORWARD);
    }

    fn set(&self, mode: u8) {
        self.shared.mode.store(mode, Ordering::SeqCst);
        self.shared.changed.notify_waiters();
    }
}

impl Shared {
    async fn forward(self: Arc<Self>, client: TcpStream, target: String) {
        let server = TcpStream::connect(target).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let mutes = self.mutes.load(Ordering::SeqCst);
        let asks = async {
            let mut buffer = [0; 16 * 1024];
            while let Ok(len @ 1..) = from_client.read(&mut buffer).await {
                if self.mode.load(Ordering::SeqCst) == LOSE && !self.asked.swap(true, Ordering::SeqCst) {
                    self.before.store(self.allowed().await, Ordering::SeqCst);
                }
                if to_server.write_all(&buffer[..len]).await.is_err() {
                    break;
                }
            }
        };
        let answers = async {
            let mut buffer = [0; 16 * 1024];
            while let Ok(len @ 1..) = from_server.read(&mut buffer).await {
                if self.mutes.load(Ordering::SeqCst) != mutes {
                    continue;
                }
                match self.mode.load(Ordering::SeqCst) {
                    // A reply leaves after the commit, so that what comes when it is there may be the reply.
                    LOSE if self.asked.load(Ordering::SeqCst)
                        && self.allowed().await > self.before.load(Ordering::SeqCst) =>
                    {
                        self.lost.fetch_add(1, Ordering::SeqCst);
                        self.mode.store(FORWARD, Ordering::SeqCst);
                        break;
                    }
                    HOLD => continue,
                    REFUSE => break,
                    _ => {}
                }
                if to_client.write_all(&buffer[..len]).await.is_err() {
                    break;
                }
            }
        };
        let breaks = self.breaks.load(Ordering::SeqCst);
        let refused = async {
            while self.mode.load(Ordering::SeqCst) != REFUSE && self.breaks.load(Ordering::SeqCst) == breaks {
                self.changed.notified().await;
            }
        };
        tokio::select! {
            () = asks => {}
            () = answers => {}
            () = refused => {}
        }
    }

    async fn allowed(&self) -> usize {
        let query = EventQuery {
            tenant: fixtures::tenant(TENANT),
            user: None,
            kinds: vec![EventType::LoginAllowed],
            start_time: None,
            end_time: None,
            after: None,
            limit: 1_000,
        };
        self.store.events(&query).await.unwrap().len()
    }
}
