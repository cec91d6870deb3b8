//! Notices: written with the change, delivered at least once and in order, given up on in the end.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and this is what tests share")]

use crate::world::{MockNotifier, World, fresh, meta};
use async_trait::async_trait;
use countersign_application::{AppError, Application, Deps, Dispatched, NoticeRules};
use countersign_domain::event::EventType;
use countersign_domain::ids::UserId;
use countersign_domain::login::{CheckLogin, Verdict};
use countersign_domain::policy::Preset;
use countersign_domain::presented::PresentedProof;
use countersign_domain::text::Issuer;
use countersign_domain::time::Timestamp;
use countersign_ports::{
    DeadLetters, Letter, NoticeId, NoticeRecord, Notifier, NotifyError, Outbox, OutboxEntry, StoreError,
};
use countersign_testkit::{MemoryStore, fixtures};
use mockall::Sequence;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Barrier, Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One round of the dispatcher, to its end.
async fn round(world: &World, notifier: &Arc<dyn Notifier>) -> Dispatched {
    let never = CancellationToken::new();
    world.app.dispatch_notices(notifier, NoticeRules::default(), &never).await.expect("a round")
}

fn enrolled(name: &str) -> countersign_domain::ids::UserRef {
    fixtures::user("acme", name)
}

/// B50: switching on sends exactly one notice, of the change itself and with what the policy says of the service, and
/// settles it.
#[tokio::test]
async fn a_change_is_told_once() {
    let world = World::new(Preset::SelfServiceCode).await;
    world.enroll(&enrolled("ann")).await;
    let mut notifier = MockNotifier::new();
    notifier
        .expect_notify()
        .withf(|letter| {
            letter.entry.event.event.kind == EventType::TwoFactorEnabled
                && letter.entry.attempts == 0
                && letter.service == "Example"
        })
        .times(1)
        .returning(|_| Ok(()));
    let notifier: Arc<dyn Notifier> = Arc::new(notifier);
    assert_eq!(round(&world, &notifier).await, Dispatched { delivered: 1, ..Dispatched::default() });
    assert_eq!(round(&world, &notifier).await, Dispatched::default());
}

/// B50, B28, R58: a login that shows a copied token of a remembered client beside a recovery code is two changes, and the
/// owner is told of both.
#[tokio::test]
async fn two_changes_of_one_login_are_both_told() {
    let world = World::new(Preset::MandatoryManaged).await;
    let ann = enrolled("ann");
    let (phone, confirmed) = world.enroll(&ann).await;
    let check = async |command| {
        let encode = Box::new(|_: &_| Vec::new());
        let verdict = world.app.check_login(meta(None), ann.clone(), command, encode).await;
        let Ok(Verdict::Allowed(allowed)) = fresh(verdict) else { panic!("not allowed") };
        world.advance(Duration::from_mins(2));
        allowed.ground.remembered_client().map(|client| client.token.clone())
    };
    let right = Some(phone.code(world.now(), 0));
    let copied = check(CheckLogin { remember_client: true, ..world.login(right) }).await;
    let showing = |answer| CheckLogin { client_token: copied.clone(), ..world.login(answer) };
    assert!(check(showing(None)).await.is_some(), "it is used once, and so rotated");
    let code = confirmed.recovery_codes.unwrap().codes[0].clone();
    check(showing(Some(PresentedProof::Recovery(code)))).await;

    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    let mut notifier = MockNotifier::new();
    notifier.expect_notify().returning(move |letter| {
        seen.lock().unwrap().push(letter.entry.event.event.kind);
        Ok(())
    });
    let notifier: Arc<dyn Notifier> = Arc::new(notifier);
    while round(&world, &notifier).await.delivered > 0 {}
    let told = told.lock().unwrap();
    for kind in [EventType::ClientTokenReused, EventType::RecoveryCodeUsed] {
        assert_eq!(told.iter().filter(|told| **told == kind).count(), 1, "{told:?}");
    }
}

/// B50, R57: a notice says of the service what the policy said when the event happened, however late it leaves.
#[tokio::test]
async fn a_notice_says_what_the_policy_said_then() {
    let world = World::new(Preset::SelfServiceCode).await;
    let named = [("ann", "First"), ("bob", "Second")];
    for (user, name) in named {
        let mut document = world.policy().await;
        document.totp.issuer = Issuer::parse(name).unwrap();
        document.notices.support_contact = format!("support of {name}");
        document.notices.advice_url = format!("https://example.com/{name}");
        world.put_policy(&document).await;
        world.enroll(&enrolled(user)).await;
    }
    let mut notifier = MockNotifier::new();
    for (user, name) in named {
        notifier
            .expect_notify()
            .withf(move |letter| {
                letter.entry.notice.user.as_str() == user
                    && letter.service == name
                    && letter.support_contact == format!("support of {name}")
                    && letter.advice_url == format!("https://example.com/{name}")
            })
            .times(1)
            .returning(|_| Ok(()));
    }
    let notifier: Arc<dyn Notifier> = Arc::new(notifier);
    assert_eq!(round(&world, &notifier).await, Dispatched { delivered: 2, ..Dispatched::default() });
}

/// R57: a notice that fails for now is tried again later, with the same id.
#[tokio::test]
async fn a_failed_notice_is_tried_again() {
    let world = World::new(Preset::SelfServiceCode).await;
    world.enroll(&enrolled("ann")).await;
    let ids = Arc::new(Mutex::new(Vec::new()));
    let mut notifier = MockNotifier::new();
    let mut order = Sequence::new();
    let seen = Arc::clone(&ids);
    notifier.expect_notify().times(1).in_sequence(&mut order).returning(move |letter| {
        seen.lock().unwrap().push(letter.entry.notice.id);
        Err(NotifyError::Transient("the mail server is down".into()))
    });
    let seen = Arc::clone(&ids);
    notifier.expect_notify().times(1).in_sequence(&mut order).returning(move |letter| {
        seen.lock().unwrap().push(letter.entry.notice.id);
        Ok(())
    });
    let notifier: Arc<dyn Notifier> = Arc::new(notifier);
    assert_eq!(round(&world, &notifier).await, Dispatched { postponed: 1, ..Dispatched::default() });
    assert_eq!(round(&world, &notifier).await, Dispatched::default(), "its pause is not over");
    world.advance(Duration::from_secs(15));
    assert_eq!(round(&world, &notifier).await, Dispatched { delivered: 1, ..Dispatched::default() });
    let ids = ids.lock().unwrap();
    assert_eq!(ids[0], ids[1]);
}

/// R57: retries are bounded, and what is refused for good is not tried again.
#[tokio::test]
async fn a_hopeless_notice_becomes_a_dead_letter() {
    let world = World::new(Preset::SelfServiceCode).await;
    world.enroll(&enrolled("ann")).await;
    world.enroll(&enrolled("bob")).await;
    let ann = enrolled("ann").user;
    let mut notifier = MockNotifier::new();
    notifier.expect_notify().returning(move |letter| {
        let reason = "no".into();
        Err(if letter.entry.notice.user == ann {
            NotifyError::Permanent(reason)
        } else {
            NotifyError::Transient(reason)
        })
    });
    let notifier: Arc<dyn Notifier> = Arc::new(notifier);
    let mut total = Dispatched::default();
    for _ in 0..40 {
        let round = round(&world, &notifier).await;
        total.postponed += round.postponed;
        total.dead += round.dead;
        world.advance(Duration::from_hours(6));
    }
    assert_eq!(total, Dispatched { postponed: 19, dead: 2, ..Dispatched::default() });
}

/// R57: a notice without an address is settled, neither tried for ever nor a dead letter, and holds nobody up.
#[tokio::test]
async fn a_notice_without_an_address_is_settled() {
    let world = World::new(Preset::SelfServiceCode).await;
    world.enroll(&enrolled("ann")).await;
    let mut notifier = MockNotifier::new();
    notifier.expect_notify().times(1).returning(|_| Err(NotifyError::NoAddress));
    let notifier: Arc<dyn Notifier> = Arc::new(notifier);
    assert_eq!(round(&world, &notifier).await, Dispatched { unaddressed: 1, ..Dispatched::default() });
    world.advance(Duration::from_hours(24));
    assert_eq!(round(&world, &notifier).await, Dispatched::default());
}

/// R57: a delivery that panics counts as one that failed.
#[tokio::test]
async fn a_delivery_that_panics_is_tried_again() {
    let world = World::new(Preset::SelfServiceCode).await;
    world.enroll(&enrolled("ann")).await;
    let mut notifier = MockNotifier::new();
    notifier.expect_notify().times(1).returning(|_| panic!("a fault of the channel"));
    let notifier: Arc<dyn Notifier> = Arc::new(notifier);
    assert_eq!(round(&world, &notifier).await, Dispatched { postponed: 1, ..Dispatched::default() });
}

/// R53, R57: what a panic says is not kept with the notice, which is read by operators.
#[tokio::test]
async fn what_a_panic_says_is_not_kept() {
    let world = World::new(Preset::SelfServiceCode).await;
    world.enroll(&enrolled("ann")).await;
    let mut notifier = MockNotifier::new();
    notifier.expect_notify().times(1).returning(|_| panic!("canary"));
    let notifier: Arc<dyn Notifier> = Arc::new(notifier);
    let (never, rules) =
        (CancellationToken::new(), NoticeRules { max_attempts: 1, ..NoticeRules::default() });
    world.app.dispatch_notices(&notifier, rules, &never).await.expect("a round");
    let dead = world.store.dead_letters(None, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].last_error, "delivery failed for now: the delivery panicked");
}

/// Fails its first delivery, and the clock jumps while it does.
struct Jumping {
    world: Arc<World>,
    jump: Duration,
    tries: AtomicUsize,
}

#[async_trait]
impl Notifier for Jumping {
    async fn notify(&self, _: &Letter) -> Result<(), NotifyError> {
        if self.tries.fetch_add(1, Ordering::SeqCst) > 0 {
            return Ok(());
        }
        self.world.trusted.store(false, Ordering::SeqCst);
        self.world.advance(self.jump);
        Err(NotifyError::Transient("the mail server is down".into()))
    }
}

/// R65, R57: a clock that jumped ahead holds no notice until its time has come: nothing is leased by it, and a delivery that
/// fails while it jumps is tried again when its lease ends.
#[tokio::test]
async fn a_clock_that_is_not_trusted_holds_no_notice_back() {
    let world = Arc::new(World::new(Preset::SelfServiceCode).await);
    world.enroll(&enrolled("ann")).await;
    let (began, year) = (world.now(), Duration::from_hours(24 * 365));
    let back = |world: &World, to| {
        world.set(to);
        world.trusted.store(true, Ordering::SeqCst);
    };
    let jumping = Jumping { world: Arc::clone(&world), jump: year, tries: AtomicUsize::new(0) };
    let jumping = Arc::new(jumping);
    let notifier: Arc<dyn Notifier> = jumping.clone();

    world.trusted.store(false, Ordering::SeqCst);
    world.advance(year);
    assert_eq!(round(&world, &notifier).await, Dispatched::default());
    assert_eq!(jumping.tries.load(Ordering::SeqCst), 0, "nothing is leased");
    back(&world, began);

    let (never, rules) = (CancellationToken::new(), NoticeRules::default());
    let failed = world.app.dispatch_notices(&notifier, rules, &never).await;
    assert!(matches!(failed, Err(AppError::ClockUntrusted)), "{failed:?}");
    back(&world, began.plus(rules.delivery_timeout * 2));
    assert_eq!(round(&world, &notifier).await, Dispatched { delivered: 1, ..Dispatched::default() });
}

/// Writes down what it is given; waits first for as many others as the barrier wants.
struct Recorder {
    together: Option<Barrier>,
    running: Mutex<BTreeMap<UserId, usize>>,
    told: Mutex<Vec<(UserId, NoticeId, EventType)>>,
}

impl Recorder {
    fn new(together: Option<Barrier>) -> Arc<Self> {
        Arc::new(Self { together, running: Mutex::default(), told: Mutex::default() })
    }
}

#[async_trait]
impl Notifier for Recorder {
    async fn notify(&self, letter: &Letter) -> Result<(), NotifyError> {
        let (notice, event) = (&letter.entry.notice, &letter.entry.event);
        *self.running.lock().unwrap().entry(notice.user.clone()).or_default() += 1;
        assert_eq!(self.running.lock().unwrap()[&notice.user], 1, "two of one user at once");
        if let Some(together) = &self.together {
            together.wait().await;
        }
        self.running.lock().unwrap().remove(&notice.user);
        self.told.lock().unwrap().push((notice.user.clone(), notice.id, event.event.kind));
        Ok(())
    }
}

/// R57: eight users are told at the same time: the barrier opens only when all of them are under way. Two nodes that work
/// on one outbox share it without telling anything twice.
#[tokio::test]
async fn several_users_are_told_at_once_and_nodes_share_the_work() {
    let world = World::new(Preset::SelfServiceCode).await;
    for number in 0..16 {
        world.enroll(&enrolled(&format!("user-{number}"))).await;
    }
    let recorder = Recorder::new(Some(Barrier::new(8)));
    let notifier: Arc<dyn Notifier> = recorder.clone();
    let (one, other) = tokio::join!(round(&world, &notifier), round(&world, &notifier));
    assert_eq!(one.delivered + other.delivered, 16);
    let mut ids: Vec<_> = recorder.told.lock().unwrap().iter().map(|(_, id, _)| *id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 16);
}

/// R57: a user's notices go out in the order of the changes, all in one round, and never two at once.
#[tokio::test]
async fn the_notices_of_a_user_keep_their_order() {
    let world = World::new(Preset::SelfServiceCode).await;
    let user = enrolled("ann");
    let (phone, _) = world.enroll(&user).await;
    for wrong in 0..3 {
        world.check(&user, Some(phone.wrong(world.now(), wrong))).await;
        world.advance(Duration::from_secs(1));
    }
    let recorder = Recorder::new(None);
    let notifier: Arc<dyn Notifier> = recorder.clone();
    assert_eq!(round(&world, &notifier).await.delivered, 2);
    let kinds: Vec<_> = recorder.told.lock().unwrap().iter().map(|(_, _, kind)| *kind).collect();
    assert_eq!(kinds, [EventType::TwoFactorEnabled, EventType::UserLocked]);
}

/// Never finishes its first delivery.
#[derive(Default)]
struct Stuck {
    tries: AtomicUsize,
    started: Notify,
}

#[async_trait]
impl Notifier for Stuck {
    async fn notify(&self, _: &Letter) -> Result<(), NotifyError> {
        if self.tries.fetch_add(1, Ordering::SeqCst) == 0 {
            self.started.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

/// R57, R67: a node that stops gives back what it cannot finish, at once and not only when its lease ends.
#[tokio::test(start_paused = true)]
async fn a_node_that_stops_releases_what_is_under_way() {
    let world = World::new(Preset::SelfServiceCode).await;
    world.enroll(&enrolled("ann")).await;
    let stuck = Arc::new(Stuck::default());
    let notifier: Arc<dyn Notifier> = stuck.clone();
    let stop = CancellationToken::new();
    let (app, rules) = (world.app.clone(), NoticeRules::default());
    let (handed, stopping) = (Arc::clone(&notifier), stop.clone());
    let node = tokio::spawn(async move { app.dispatch_notices(&handed, rules, &stopping).await });
    stuck.started.notified().await;
    assert_eq!(round(&world, &notifier).await, Dispatched::default(), "the lease keeps others away");
    stop.cancel();
    assert_eq!(node.await.unwrap().expect("a round"), Dispatched::default());
    assert_eq!(round(&world, &notifier).await, Dispatched { delivered: 1, ..Dispatched::default() });
}

/// R57: a delivery that hangs is given up while its lease still holds, and tried again.
#[tokio::test(start_paused = true)]
async fn a_delivery_that_hangs_is_tried_again() {
    let world = World::new(Preset::SelfServiceCode).await;
    world.enroll(&enrolled("ann")).await;
    let notifier: Arc<dyn Notifier> = Arc::new(Stuck::default());
    assert_eq!(round(&world, &notifier).await, Dispatched { postponed: 1, ..Dispatched::default() });
    world.advance(Duration::from_secs(15));
    assert_eq!(round(&world, &notifier).await, Dispatched { delivered: 1, ..Dispatched::default() });
}

/// Tells everybody but `ann`, whose deliveries never end.
struct AllButAnn {
    told: mpsc::UnboundedSender<UserId>,
}

#[async_trait]
impl Notifier for AllButAnn {
    async fn notify(&self, letter: &Letter) -> Result<(), NotifyError> {
        let user = letter.entry.notice.user.clone();
        let hangs = user.as_str().starts_with("ann");
        self.told.send(user).unwrap();
        if hangs { std::future::pending().await } else { Ok(()) }
    }
}

/// R57: slow deliveries hold up their own users alone: who has something to be told a second later is told then, and waits for
/// none of them; also where so many hang that few places are left.
#[tokio::test(start_paused = true)]
async fn a_slow_delivery_holds_up_nobody_else() {
    for slow in [1, 15] {
        let world = World::new(Preset::SelfServiceCode).await;
        for number in 0..slow {
            world.enroll(&enrolled(&format!("ann-{number}"))).await;
        }
        let (sender, mut told) = mpsc::unbounded_channel();
        let notifier: Arc<dyn Notifier> = Arc::new(AllButAnn { told: sender });
        let stop = CancellationToken::new();
        let (app, stopping) = (world.app.clone(), stop.clone());
        // With more time for a delivery than anybody would wait.
        let rules = NoticeRules { delivery_timeout: Duration::from_hours(1), ..NoticeRules::default() };
        let node = tokio::spawn(async move { app.dispatch_notices(&notifier, rules, &stopping).await });
        for _ in 0..slow {
            assert!(told.recv().await.unwrap().as_str().starts_with("ann"));
        }
        world.enroll(&enrolled("bob")).await;
        let began = Instant::now();
        assert_eq!(told.recv().await.unwrap().as_str(), "bob");
        assert!(began.elapsed() <= Duration::from_secs(1), "{slow}: {:?}", began.elapsed());
        stop.cancel();
        assert_eq!(node.await.unwrap().expect("a round").delivered, 1);
    }
}

/// An outbox that remembers when what failed is due again.
struct Remembering {
    outbox: Arc<MemoryStore>,
    due: Mutex<Vec<Option<Timestamp>>>,
}

#[async_trait]
impl Outbox for Remembering {
    async fn lease(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        self.outbox.lease(now, until, limit).await
    }

    async fn delivered(&self, notices: &[NoticeId]) -> Result<(), StoreError> {
        self.outbox.delivered(notices).await
    }

    async fn failed(
        &self,
        notice: &NoticeRecord,
        retry_time: Option<Timestamp>,
        why: &str,
    ) -> Result<(), StoreError> {
        self.due.lock().unwrap().push(retry_time);
        self.outbox.failed(notice, retry_time, why).await
    }
}

/// Fails for now, always.
struct Failing;

#[async_trait]
impl Notifier for Failing {
    async fn notify(&self, _: &Letter) -> Result<(), NotifyError> {
        Err(NotifyError::Transient("the mail server is down".into()))
    }
}

/// A world with one notice, and its application over an outbox that remembers.
async fn remembering() -> (World, Arc<Remembering>) {
    let mut world = World::new(Preset::SelfServiceCode).await;
    world.enroll(&enrolled("ann")).await;
    let outbox = Arc::new(Remembering { outbox: Arc::clone(&world.store), due: Mutex::default() });
    world.app = Application::new(Deps { outbox: outbox.clone(), ..world.deps.clone() });
    (world, outbox)
}

/// Tries until the notice is given up, each time when it is due again; the pauses between the tries.
async fn pauses(world: &World, outbox: &Remembering) -> Vec<Duration> {
    let notifier: Arc<dyn Notifier> = Arc::new(Failing);
    let mut pauses = Vec::new();
    loop {
        let done = round(world, &notifier).await;
        let due = outbox.due.lock().unwrap().pop().expect("it was tried");
        let Some(due) = due else {
            assert_eq!(done, Dispatched { dead: 1, ..Dispatched::default() });
            return pauses;
        };
        assert_eq!(done, Dispatched { postponed: 1, ..Dispatched::default() });
        pauses.push(due.since(world.now()));
        world.set(due);
    }
}

const HOUR: Duration = Duration::from_hours(1);

/// R57: the pauses double from 15 seconds up to six hours, less up to a quarter; after 20 tries, which take 42 to 57 hours, a
/// notice is a dead letter.
#[tokio::test]
async fn pauses_double_until_a_notice_is_given_up() {
    let (world, outbox) = remembering().await;
    let pauses = pauses(&world, &outbox).await;
    assert_eq!(pauses.len(), 19);
    let mut longest = Duration::from_secs(15);
    for pause in &pauses {
        assert!((longest * 3 / 4..=longest).contains(pause), "{pause:?} of {longest:?}");
        longest = (longest * 2).min(6 * HOUR);
    }
    let total: Duration = pauses.iter().sum();
    assert!((42 * HOUR..=57 * HOUR).contains(&total), "{total:?}");
}

/// R57: leases under which nobody could try, as those of a version that does not know the event, use up no life: the notice is
/// given up no sooner than one that was tried each time.
#[tokio::test]
async fn leases_without_a_try_shorten_no_life() {
    let (world, outbox) = remembering().await;
    let began = world.now();
    for _ in 0..25 {
        let until = world.now().plus(Duration::from_mins(2));
        assert_eq!(outbox.lease(world.now(), until, 1).await.unwrap().len(), 1);
        world.set(until);
    }
    let pauses = pauses(&world, &outbox).await;
    assert!(pauses.iter().all(|pause| *pause <= 6 * HOUR), "{pauses:?}");
    let life = world.now().since(began);
    assert!((42 * HOUR..=57 * HOUR).contains(&life), "{life:?}");
}
