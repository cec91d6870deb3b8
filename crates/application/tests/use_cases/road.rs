//! The one road of every change: what is charged, committed, repeated and found out when stores and callers fail.

use crate::world::{World, fresh, meta, request};
use async_trait::async_trait;
use countersign_application::{Answer, AppError, Application, DeniedCall};
use countersign_domain::event::EventType;
use countersign_domain::ids::{CallerId, EventId, TenantId, UserRef};
use countersign_domain::login::{Assurance, RefusedReason, Verdict};
use countersign_domain::policy::Preset;
use countersign_domain::presented::PresentedProof;
use countersign_ports::{ChangeSet, Commit, EventLog, EventQuery, Loaded, RequestKey, StoreError, UserStore};
use countersign_testkit::{ManualClock, MemoryStore, SeededRandom, deps_in_memory, fixtures};
use futures::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusBuilder;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

async fn events(world: &World, kind: EventType) -> usize {
    let query = EventQuery {
        tenant: fixtures::tenant("acme"),
        user: None,
        kinds: vec![kind],
        start_time: None,
        end_time: None,
        after: None,
        limit: 1_000,
    };
    world.store.events(&query).await.expect("the log").len()
}

fn assurance(verdict: &Verdict) -> Option<Assurance> {
    match verdict {
        Verdict::Allowed(allowed) => Some(allowed.ground.assurance()),
        _ => None,
    }
}

/// R4, R5: of two hundred parallel uses of one code exactly one is allowed, and every verdict has its event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_code_allows_one_login() {
    let world = Arc::new(World::new(Preset::SelfServiceCode).await);
    let user = fixtures::user("acme", "ann");
    let (phone, _) = world.enroll(&user).await;
    let code = phone.code(world.now(), 0);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (world, user, code) = (Arc::clone(&world), user.clone(), code.clone());
        tasks.spawn(async move { world.check(&user, Some(code)).await });
    }
    let verdicts = tasks.join_all().await;
    let allowed = verdicts.iter().filter(|verdict| assurance(verdict) == Some(Assurance::Verified)).count();
    let refused =
        verdicts.iter().filter(|verdict| **verdict == Verdict::Refused(RefusedReason::CodeNotAccepted));
    assert_eq!((allowed, refused.count()), (1, 199));
    assert_eq!(events(&world, EventType::LoginAllowed).await, 1);
    assert_eq!(events(&world, EventType::LoginRefused).await, 199);
}

/// R65: while the clock cannot be relied on no code is evaluated, no step consumed and no failure charged; afterwards the
/// same code is good.
#[tokio::test]
async fn nothing_is_decided_by_a_clock_that_jumped() {
    let world = World::new(Preset::SelfServiceCode).await;
    let user = fixtures::user("acme", "ann");
    let (phone, _) = world.enroll(&user).await;
    let before = world.store.load(&user, None).await.unwrap();
    let code = phone.code(world.now(), 0);
    world.trusted.store(false, Ordering::SeqCst);
    for code in [code.clone(), phone.wrong(world.now(), 0)] {
        let login = world.login(Some(code));
        let encode = Box::new(|_: &_| Vec::new());
        let answer = world.app.check_login(meta(None), user.clone(), login, encode).await;
        assert!(matches!(answer, Err(AppError::ClockUntrusted)));
    }
    assert_eq!(world.store.load(&user, None).await.unwrap(), before);
    world.trusted.store(true, Ordering::SeqCst);
    assert_eq!(assurance(&world.check(&user, Some(code)).await), Some(Assurance::Verified));
}

/// R50, R55: a user whose rows do not open is refused, and the log of events says so once a minute, however often it is tried.
#[tokio::test]
async fn a_broken_seal_refuses_and_is_told_once_a_minute() {
    let world = World::over(Preset::SelfServiceCode, |store| Arc::new(Broken(store))).await;
    let user = fixtures::user("acme", "ann");
    for minute in 1..=2 {
        let mut woken = std::pin::pin!(world.app.committed(&user.tenant));
        woken.as_mut().enable();
        for _ in 0..3 {
            let encode = Box::new(|_: &_| Vec::new());
            let answer = world.app.check_login(meta(None), user.clone(), world.login(None), encode).await;
            assert!(matches!(answer, Err(AppError::Store(StoreError::SealBroken { .. }))));
        }
        assert_eq!(events(&world, EventType::SealOpenFailed).await, minute);
        assert!(futures::poll!(woken).is_ready(), "whoever follows the log is woken");
        world.advance(std::time::Duration::from_mins(1));
    }
}

/// A store in which every user's rows were edited.
struct Broken(Arc<MemoryStore>);

#[async_trait]
impl UserStore for Broken {
    async fn load(&self, _: &UserRef, _: Option<&RequestKey>) -> Result<Option<Loaded>, StoreError> {
        Err(StoreError::SealBroken { entity: "authenticator", id: String::new() })
    }

    async fn commit(&self, change: ChangeSet) -> Result<Commit, StoreError> {
        self.0.commit(change).await
    }

    async fn is_committed(&self, tenant: &TenantId, event: EventId) -> Result<bool, StoreError> {
        self.0.is_committed(tenant, event).await
    }
}

/// R11: of a hundred parallel wrong codes three are evaluated, at the default budget.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_guesses_stay_within_the_budget() {
    let world = Arc::new(World::new(Preset::SelfServiceCode).await);
    let user = fixtures::user("acme", "ann");
    let (phone, _) = world.enroll(&user).await;
    let mut tasks = tokio::task::JoinSet::new();
    for guess in 0..100 {
        let (world, user, code) = (Arc::clone(&world), user.clone(), phone.wrong(world.now(), guess));
        tasks.spawn(async move { world.check(&user, Some(code)).await });
    }
    let verdicts = tasks.join_all().await;
    let evaluated = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Refused(_))).count();
    let locked = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::LockedOut(_))).count();
    assert_eq!((evaluated, locked), (3, 97));
    let state = world.store.load(&user, None).await.unwrap().unwrap().state;
    assert_eq!(state.failures.consecutive, 3);
}

/// A store whose next commits end as the test says.
struct Faulty {
    inner: Arc<MemoryStore>,
    /// Commits that happen and whose reply is lost.
    lose_replies: AtomicUsize,
    /// Commits that are lost before they happen, with the same error.
    lose_commits: AtomicUsize,
    /// Commits that another node beats, again and again.
    beat: AtomicUsize,
    /// What another node does between the decision and its commit, once.
    meanwhile: Mutex<Option<BoxFuture<'static, ()>>>,
    commits: AtomicUsize,
}

impl Faulty {
    fn over(inner: Arc<MemoryStore>) -> Arc<Self> {
        let zero = || AtomicUsize::new(0);
        Arc::new(Self {
            inner,
            lose_replies: zero(),
            lose_commits: zero(),
            beat: zero(),
            meanwhile: Mutex::default(),
            commits: zero(),
        })
    }
}

fn take_one(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[async_trait]
impl UserStore for Faulty {
    async fn load(&self, user: &UserRef, request: Option<&RequestKey>) -> Result<Option<Loaded>, StoreError> {
        self.inner.load(user, request).await
    }

    async fn commit(&self, change: ChangeSet) -> Result<Commit, StoreError> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        let meanwhile = self.meanwhile.lock().expect("nobody panics with it").take();
        if let Some(meanwhile) = meanwhile {
            meanwhile.await;
        }
        if take_one(&self.beat) {
            return Ok(Commit::Conflict);
        }
        if take_one(&self.lose_commits) {
            return Err(StoreError::OutcomeUnknown("the connection broke before".into()));
        }
        let done = self.inner.commit(change).await;
        if take_one(&self.lose_replies) {
            return Err(StoreError::OutcomeUnknown("the connection broke after".into()));
        }
        done
    }

    async fn is_committed(&self, tenant: &TenantId, event: EventId) -> Result<bool, StoreError> {
        self.inner.is_committed(tenant, event).await
    }
}

async fn faulty() -> (World, Arc<Faulty>, UserRef, PresentedProof) {
    let mut faulty = None;
    let world =
        World::over(Preset::SelfServiceCode, |store| faulty.insert(Faulty::over(store)).clone()).await;
    let user = fixtures::user("acme", "ann");
    let (phone, _) = world.enroll(&user).await;
    let code = phone.code(world.now(), 0);
    (world, faulty.expect("just made"), user, code)
}

/// R60: a commit whose reply was lost is found by its event, and the login is told the truth, once.
#[tokio::test]
async fn a_lost_commit_reply_is_resolved_by_its_event() {
    let (world, faulty, user, code) = faulty().await;
    faulty.lose_replies.store(1, Ordering::SeqCst);
    let verdict = world.check(&user, Some(code.clone())).await;
    assert_eq!(assurance(&verdict), Some(Assurance::Verified));
    assert_eq!(events(&world, EventType::LoginAllowed).await, 1);
    assert_eq!(world.check(&user, Some(code)).await, Verdict::Refused(RefusedReason::CodeNotAccepted));
}

/// R60, R42, R53: a denied call whose commit's reply was lost is found by its event, told once and counted once.
#[tokio::test]
async fn a_lost_reply_to_a_denied_call_is_resolved_by_its_event() {
    let (world, faulty, ..) = faulty().await;
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    faulty.lose_replies.store(1, Ordering::SeqCst);
    world.app.note_denial(DeniedCall {
        tenant: fixtures::tenant("acme"),
        caller: CallerId::parse("shop").expect("a caller"),
        is_configured: true,
        reason: "CALLER_SCOPE_MISSING",
        method: "/countersign.v1.LoginService/CheckLogin".to_owned(),
        trace_id: String::new(),
    });
    world.app.drained().await;
    world.app.tell_denials(true).await;
    assert_eq!(faulty.lose_replies.load(Ordering::SeqCst), 0, "it was lost");
    assert_eq!(events(&world, EventType::CallerDenied).await, 1);
    let counted = recorder.handle().render();
    let line = counted.lines().find(|line| line.contains(EventType::CallerDenied.name()));
    assert!(line.expect("it is counted").ends_with(" 1"), "{counted}");
}

/// R60, R63: a commit that cannot be found is refused and never tried again blindly.
#[tokio::test]
async fn a_commit_that_cannot_be_found_is_refused() {
    let (world, faulty, user, code) = faulty().await;
    let before = faulty.commits.load(Ordering::SeqCst);
    faulty.lose_commits.store(1, Ordering::SeqCst);
    let encode = Box::new(|_: &_| Vec::new());
    let answer = world.app.check_login(meta(None), user, world.login(Some(code)), encode).await;
    assert!(matches!(answer, Err(AppError::Store(StoreError::Unavailable(_)))));
    assert_eq!(faulty.commits.load(Ordering::SeqCst), before + 1);
    assert_eq!(events(&world, EventType::LoginAllowed).await, 0);
}

/// The one idea, R4, R5: a command that another node beats decides again on what that node left. Here it left a code that is
/// used up, though it was good when this node first looked.
#[tokio::test]
async fn a_conflict_decides_again() {
    let (world, faulty, user, code) = faulty().await;
    let other = Application::new(deps_in_memory!(
        world.store,
        Arc::new(ManualClock::at(world.now())),
        Arc::new(SeededRandom::new(9))
    ));
    let (login, whose) = (world.login(Some(code.clone())), user.clone());
    *faulty.meanwhile.lock().unwrap() = Some(Box::pin(async move {
        let encode = Box::new(|_: &_| Vec::new());
        let verdict = fresh(other.check_login(meta(None), whose, login, encode).await).expect("no denial");
        assert_eq!(assurance(&verdict), Some(Assurance::Verified), "the other node is first");
    }));
    let before = faulty.commits.load(Ordering::SeqCst);
    assert_eq!(world.check(&user, Some(code)).await, Verdict::Refused(RefusedReason::CodeNotAccepted));
    assert_eq!(faulty.commits.load(Ordering::SeqCst), before + 2, "the first one lost");
    assert_eq!(events(&world, EventType::LoginAllowed).await, 1);
    assert_eq!(events(&world, EventType::LoginRefused).await, 1);
}

/// A command that others beat again and again gives up within bounds, and leaves nothing of itself.
#[tokio::test]
async fn conflicts_without_end_are_given_up() {
    let (world, faulty, user, code) = faulty().await;
    faulty.beat.store(usize::MAX, Ordering::SeqCst);
    let before = (world.store.load(&user, None).await.unwrap(), faulty.commits.load(Ordering::SeqCst));
    let encode = Box::new(|_: &_| Vec::new());
    let login = world.login(Some(code.clone()));
    let answer = world.app.check_login(meta(None), user.clone(), login, encode).await;
    assert!(matches!(answer, Err(AppError::Contended)));
    assert_eq!(world.store.load(&user, None).await.unwrap(), before.0);
    assert_eq!(faulty.commits.load(Ordering::SeqCst), before.1 + 16);

    // Fewer in a row are nobody's business.
    faulty.beat.store(15, Ordering::SeqCst);
    assert_eq!(assurance(&world.check(&user, Some(code)).await), Some(Assurance::Verified));
}

/// R17: a caller who leaves at any point neither saves nor loses the charge.
#[tokio::test]
async fn a_cancelled_guess_is_charged() {
    let world = World::new(Preset::SelfServiceCode).await;
    let user = fixtures::user("acme", "ann");
    let (phone, _) = world.enroll(&user).await;
    for guess in 0..3 {
        let encode = Box::new(|_: &_| Vec::new());
        let command = world.login(Some(phone.wrong(world.now(), guess)));
        let mut call = Box::pin(world.app.check_login(meta(None), user.clone(), command, encode));
        // Polled once, so that it is under way, and then dropped like the handler of a cancelled call.
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_pending());
        drop(call);
    }
    world.app.drained().await;
    let state = world.store.load(&user, None).await.unwrap().unwrap().state;
    assert_eq!(state.failures.consecutive, 3);
    assert!(matches!(world.check(&user, Some(phone.code(world.now(), 0))).await, Verdict::LockedOut(_)));
}

/// R60, ruling 8: the same request gets the same answer and has one effect; with other arguments it is refused; after
/// ten minutes it is a new one.
#[tokio::test]
async fn a_request_id_has_one_effect() {
    let world = World::new(Preset::SelfServiceCode).await;
    let user = fixtures::user("acme", "ann");
    let (phone, _) = world.enroll(&user).await;
    let code = phone.code(world.now(), 0);
    let call = |arguments: &'static [u8]| {
        let encode = Box::new(|_: &_| b"the answer".to_vec());
        world.app.check_login(
            meta(Some(request(1, arguments))),
            user.clone(),
            world.login(Some(code.clone())),
            encode,
        )
    };
    let first = fresh(call(b"a").await).expect("no denial");
    assert_eq!(assurance(&first), Some(Assurance::Verified));
    match call(b"a").await.expect("an answer") {
        Answer::Repeated(bytes) => assert_eq!(bytes.expose(), b"the answer"),
        Answer::Fresh(..) => panic!("decided twice"),
    }
    assert!(matches!(call(b"b").await, Err(AppError::RequestIdReused)));
    assert_eq!(events(&world, EventType::LoginAllowed).await, 1);

    world.advance(std::time::Duration::from_mins(10));
    assert!(matches!(call(b"b").await.expect("an answer"), Answer::Fresh(_, Some(_))));
}

/// B25, R43: the code of one user never lets another one in, and an unknown tenant is none.
#[tokio::test]
async fn codes_stay_with_their_user() {
    let world = World::new(Preset::SelfServiceCode).await;
    let (ann, bob) = (fixtures::user("acme", "ann"), fixtures::user("acme", "bob"));
    let (phone, _) = world.enroll(&ann).await;
    world.enroll(&bob).await;
    let code = phone.code(world.now(), 0);
    assert_eq!(world.check(&bob, Some(code)).await, Verdict::Refused(RefusedReason::CodeNotAccepted));

    let encode = Box::new(|_: &_| Vec::new());
    let stranger = fixtures::user("other", "ann");
    let answer = world.app.check_login(meta(None), stranger, world.login(None), encode).await;
    assert!(matches!(answer, Err(AppError::TenantNotFound)));
}
