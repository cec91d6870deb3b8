//! A world for use-case tests: the memory store for state, mocks for the clock, randomness and the notifier.

use async_trait::async_trait;
use countersign_application::{
    Answer, AppError, Application, Begun, Changed, Deps, Impact, Meta, Request, Weakening,
};
use countersign_domain::actor::{Actor, Principal};
use countersign_domain::denial::Denial;
use countersign_domain::enrollment::{Authority, BeginTotp, Confirm, Confirmed};
use countersign_domain::ids::{CallerId, RequestId, UserRef};
use countersign_domain::login::{CheckLogin, Verdict};
use countersign_domain::otp::{Step, TotpKey, TotpParameters, generate};
use countersign_domain::policy::{FirstFactorMethod, Policy, PolicyDocument, Preset};
use countersign_domain::presented::PresentedProof;
use countersign_domain::secret::SecretBytes;
use countersign_domain::text::{AccountLabel, Issuer};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{ChallengePurpose, ClientClaims, FirstFactor};
use countersign_ports::{Clock, Letter, Notifier, NotifyError, Random, UserStore};
use countersign_testkit::{MemoryStore, deps_in_memory, fixtures};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

mockall::mock! {
    pub Clock {}
    impl Clock for Clock {
        fn now(&self) -> Timestamp;
        fn is_trusted(&self) -> bool;
    }
}
mockall::mock! {
    pub Random {}
    impl Random for Random { fn fill(&self, bytes: &mut [u8]); }
}
mockall::mock! {
    pub Notifier {}
    #[async_trait]
    impl Notifier for Notifier { async fn notify(&self, letter: &Letter) -> Result<(), NotifyError>; }
}

/// Everything that one test needs.
pub struct World {
    pub app: Application,
    /// What it is made of, for another one beside it.
    pub deps: Deps,
    pub store: Arc<MemoryStore>,
    now: Arc<AtomicI64>,
    /// Whether the clock can be relied on.
    pub trusted: Arc<AtomicBool>,
}

/// An enrolled app, as the phone knows it.
pub struct Phone {
    key: TotpKey,
}

impl Phone {
    /// The code at that time, counted in steps from the current one.
    pub fn code(&self, now: Timestamp, steps: i64) -> PresentedProof {
        let parameters = TotpParameters::default();
        let step = Step::at(now.unix_seconds() + steps * 30, parameters.period);
        PresentedProof::Otp(generate(&self.key, parameters, step))
    }

    /// The `n`-th wrong code: none that the window accepts.
    pub fn wrong(&self, now: Timestamp, n: usize) -> PresentedProof {
        let right: Vec<_> = (-1..=1).map(|steps| self.code(now, steps)).collect();
        (0..)
            .filter_map(|guess: usize| PresentedProof::parse(&format!("{guess:06}")).ok())
            .filter(|guess| !right.contains(guess))
            .nth(n)
            .expect("there are enough wrong codes")
    }
}

impl World {
    /// A tenant with the preset and nobody in it, over the plain memory store.
    pub async fn new(preset: Preset) -> Self {
        Self::over(preset, |store| store).await
    }

    /// The same, with something between the application and the store of users.
    pub async fn over<S: UserStore + 'static>(
        preset: Preset,
        wrap: impl FnOnce(Arc<MemoryStore>) -> Arc<S>,
    ) -> Self {
        let store = Arc::new(MemoryStore::new());
        let now = Arc::new(AtomicI64::new(fixtures::START.unix_micros()));
        let mut clock = MockClock::new();
        let shown = Arc::clone(&now);
        let trusted = Arc::new(AtomicBool::new(true));
        let told = Arc::clone(&trusted);
        clock.expect_is_trusted().returning(move || told.load(Ordering::SeqCst));
        clock.expect_now().returning(move || Timestamp::from_unix_micros(shown.load(Ordering::SeqCst)));
        let mut random = MockRandom::new();
        let drawn = AtomicU64::new(0);
        random.expect_fill().returning(move |bytes| {
            for chunk in bytes.chunks_mut(8) {
                // A counter, spread: never the same twice, which is all that tests need of randomness.
                let next = (drawn.fetch_add(1, Ordering::SeqCst) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                chunk.copy_from_slice(&next.to_be_bytes()[..chunk.len()]);
            }
        });
        let deps = deps_in_memory!(store, Arc::new(clock), Arc::new(random));
        let deps = Deps { users: wrap(Arc::clone(&store)), ..deps };
        let world = Self { app: Application::new(deps.clone()), deps, store, now, trusted };
        world.tenant("acme", preset, |_| ()).await;
        world
    }

    /// Another tenant with the preset, changed.
    pub async fn tenant(&self, id: &str, preset: Preset, change: impl FnOnce(&mut PolicyDocument)) {
        let mut document = preset.document(Issuer::parse("Example").expect("an issuer"));
        change(&mut document);
        let (ops, policy) = (operator(), valid(&document));
        let meta = meta(None);
        let created = self.app.create_tenant(&meta, &ops, fixtures::tenant(id), preset, &policy);
        created.await.expect("the tenant is created");
    }

    /// The policy in force of the tenant that is always there.
    pub async fn policy(&self) -> PolicyDocument {
        self.app.policy(&fixtures::tenant("acme"), None).await.expect("the tenant is there").document
    }

    /// What another policy would do in its place.
    pub async fn preview(&self, document: &PolicyDocument) -> Impact {
        let make = |_: &_| Ok::<_, Infallible>(valid(document));
        let update = self.app.preview_policy(&fixtures::tenant("acme"), Weakening::Allowed, make).await;
        let Ok(update) = update.expect("an answer");
        update.impact()
    }

    /// Puts another policy in its place.
    pub async fn put_policy(&self, document: &PolicyDocument) -> Impact {
        let (tenant, make) = (fixtures::tenant("acme"), |_: &_| Ok::<_, Infallible>(valid(document)));
        let meta = meta(None);
        let update = self.app.update_policy(&meta, &operator(), &tenant, Weakening::Allowed, make).await;
        let Ok(update) = update.expect("an answer");
        update.impact()
    }

    /// The time that the clock shows.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.now.load(Ordering::SeqCst))
    }

    /// Turns the clock.
    pub fn set(&self, now: Timestamp) {
        self.now.store(now.unix_micros(), Ordering::SeqCst);
    }

    /// Lets time pass.
    pub fn advance(&self, span: Duration) {
        let micros = i64::try_from(span.as_micros()).expect("a span of a test");
        self.now.fetch_add(micros, Ordering::SeqCst);
    }

    /// A password that passed just now.
    pub fn first_factor(&self) -> FirstFactor {
        FirstFactor {
            method: FirstFactorMethod::Password,
            verify_time: self.now(),
            identity_provider: String::new(),
            amr: Vec::new(),
        }
    }

    /// The user in their own session.
    pub fn session(&self, user: &UserRef) -> Actor {
        Actor {
            principal: Principal::User(user.user.clone()),
            permissions: Vec::new(),
            first_factor: Some(self.first_factor()),
            client: ClientClaims::default(),
        }
    }

    /// A login with or without a code.
    pub fn login(&self, answer: Option<PresentedProof>) -> CheckLogin {
        CheckLogin {
            first_factor: Some(self.first_factor()),
            client: ClientClaims::default(),
            client_token: None,
            answer,
            remember_client: false,
            purpose: ChallengePurpose::Login,
        }
    }

    /// Checks a login and gives its verdict.
    pub async fn check(&self, user: &UserRef, answer: Option<PresentedProof>) -> Verdict {
        let encode = Box::new(|_: &_| Vec::new());
        let answer = self.app.check_login(meta(None), user.clone(), self.login(answer), encode).await;
        fresh(answer).expect("no denial")
    }

    /// Enrolls an app and lets a step pass, so that its next code is fresh.
    pub async fn enroll(&self, user: &UserRef) -> (Phone, Confirmed) {
        let authority = Authority::Session(self.session(user));
        let begin = BeginTotp {
            authority: authority.clone(),
            account_label: AccountLabel::parse("ann@example.com").expect("a label"),
            replaces: None,
            code: None,
        };
        let encode = Box::new(|_: &_| Vec::new());
        let pending: Begun =
            fresh(self.app.begin_totp_enrollment(meta(None), user.clone(), begin, encode).await)
                .expect("the enrollment begins");
        let phone = Phone { key: pending.begun.key };
        let confirm = Confirm {
            id: pending.begun.id,
            authority,
            code: phone.code(self.now(), 0),
            existing_code: None,
            display_name: None,
        };
        let encode = Box::new(|_: &_| Vec::new());
        let confirmed: Changed<Confirmed> =
            fresh(self.app.confirm_enrollment(meta(None), user.clone(), confirm, encode).await)
                .expect("the enrollment is confirmed");
        self.advance(Duration::from_mins(1));
        (phone, confirmed.value)
    }
}

/// Somebody who operates the service.
pub fn operator() -> Actor {
    Principal::Operator("ops".into()).into()
}

/// A policy of which the test says that it is valid.
pub fn valid(document: &PolicyDocument) -> Policy {
    document.clone().validated().expect("a valid policy")
}

/// A call of one workload.
pub fn meta(request: Option<Request>) -> Meta {
    Meta {
        caller: CallerId::parse("spiffe://example/login").expect("a caller"),
        request,
        trace_id: String::new(),
    }
}

/// A request id with these arguments.
pub fn request(id: u8, arguments: &[u8]) -> Request {
    let id = RequestId::from_uuid(uuid::Uuid::from_bytes([id; 16]));
    Request { id, arguments: SecretBytes::new(arguments.to_vec()).into() }
}

/// The outcome of an answer that must have been decided just now.
pub fn fresh<T>(answer: Result<Answer<T>, AppError>) -> Result<T, Denial> {
    match answer.expect("an answer") {
        Answer::Fresh(outcome, _) => outcome.map(|done| done.value),
        Answer::Repeated(_) => panic!("answered before"),
    }
}
