//! Seals leave at least once and in order, retention waits for them, and whoever follows the log is woken.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and this is what tests share")]

use crate::world::{World, fresh, meta, operator};
use async_trait::async_trait;
use countersign_application::audit::{
    Dropped, Dumped, Evidence, Export, ExportFailure, HeldUp, Judge, Piece, SealKey, SealWhen, Sound, Span,
    dump, seal_next,
};
use countersign_application::{AppError, DeniedCall};
use countersign_domain::audit::{Finding, LoggedEvent, Problem, Seal, Statement};
use countersign_domain::digest::KeyId;
use countersign_domain::event::EventType;
use countersign_domain::ids::{CallerId, TenantId};
use countersign_domain::policy::Preset;
use countersign_ports::{
    AuditLog, ClaimErasure, Commit, EventPosition, EventQuery, ExportError, Exported, Kept, Outbox,
    SealExporter, StoreError,
};
use countersign_testkit::fixtures;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

/// An exporter that remembers nothing, or what it took; and that can be down.
#[derive(Default)]
struct Taking {
    seals: Mutex<Vec<Seal>>,
    down: AtomicBool,
    keeps: bool,
}

#[async_trait]
impl SealExporter for Taking {
    fn name(&self) -> &'static str {
        "taking"
    }

    async fn kept(&self, _: &TenantId) -> Result<Kept, ExportError> {
        if !self.keeps {
            return Ok(Kept::InStore);
        }
        let last = self.seals.lock().unwrap().last().map(|seal| Exported {
            number: seal.number,
            hash: Statement::parse(&seal.statement).unwrap().hash(),
        });
        Ok(Kept::Here(last))
    }

    async fn export(&self, _: &TenantId, seal: &Seal) -> Result<(), ExportError> {
        // Taken, and then the answer is lost: it comes again.
        self.seals.lock().unwrap().push(seal.clone());
        if self.down.load(Ordering::SeqCst) { Err(ExportError("no answer".into())) } else { Ok(()) }
    }
}

impl Taking {
    fn numbers(&self) -> Vec<u64> {
        self.seals.lock().unwrap().iter().map(|seal| seal.number).collect()
    }
}

fn key() -> SealKey {
    SealKey { key: (KeyId(1), [9; 32]), sign: Arc::new(|_| [7; 64]) }
}

/// Seals whatever is in the log by now, event by event.
async fn seal(world: &World, tenant: &TenantId) {
    let when = SealWhen { events: 1, age: Duration::ZERO };
    while seal_next(world.store.as_ref(), tenant, &key(), when, world.now()).await.unwrap().is_some() {}
}

/// A world whose tenant has a seal for each of a few events.
async fn sealed() -> (World, TenantId) {
    let world = World::new(Preset::SelfServiceCode).await;
    world.enroll(&fixtures::user("acme", "ann")).await;
    let tenant = fixtures::tenant("acme");
    seal(&world, &tenant).await;
    (world, tenant)
}

fn export<'a>(world: &'a World, exporter: &'a Taking) -> Export<'a> {
    Export { log: world.store.as_ref(), progress: world.store.as_ref(), exporter }
}

/// R56: every seal leaves once and in order where nothing fails, and goes on where it stood, whoever remembers that.
#[tokio::test]
async fn seals_leave_in_order_and_once() {
    for keeps in [false, true] {
        let (world, tenant) = sealed().await;
        let exporter = Taking { keeps, ..Taking::default() };
        let first = world.store.last_seal(&tenant).await.unwrap().unwrap().number;
        assert!(first > 2, "there is something to hand out");
        assert_eq!(export(&world, &exporter).catch_up(&tenant).await.seals, first);
        assert_eq!(export(&world, &exporter).catch_up(&tenant).await.seals, 0);
        world.enroll(&fixtures::user("acme", "bob")).await;
        seal(&world, &tenant).await;
        let last = world.store.last_seal(&tenant).await.unwrap().unwrap().number;
        assert!(last > first);
        assert_eq!(export(&world, &exporter).catch_up(&tenant).await.seals, last - first);
        assert_eq!(exporter.numbers(), (1..=last).collect::<Vec<_>>());
    }
}

/// R56: a seal whose taking is not confirmed comes again, and none before it is left out.
#[tokio::test]
async fn a_seal_that_was_not_confirmed_comes_again() {
    let (world, tenant) = sealed().await;
    let exporter = Taking { down: true.into(), ..Taking::default() };
    for _ in 0..2 {
        let handed = export(&world, &exporter).catch_up(&tenant).await;
        assert_eq!(handed.seals, 0);
        let (made, failure) = handed.stuck.unwrap();
        assert_eq!(made, Some(world.now()), "the age of what waits is known");
        assert!(matches!(failure, ExportFailure::Exporter(_)));
    }
    exporter.down.store(false, Ordering::SeqCst);
    assert!(export(&world, &exporter).catch_up(&tenant).await.stuck.is_none());
    assert_eq!(exporter.numbers()[..4], [1, 1, 1, 2]);
}

/// R56: a chain that was made anew does not leave under the numbers of the old one: it is an alarm.
#[tokio::test]
async fn another_chain_does_not_leave() {
    let (world, tenant) = sealed().await;
    let exporter = Taking { keeps: true, ..Taking::default() };
    let mut other = world.store.seals(&tenant, 0, 1).await.unwrap().remove(0);
    other.statement = other.statement.replace("tenant: acme", "tenant: other");
    exporter.seals.lock().unwrap().push(other);
    let (_, failure) = export(&world, &exporter).catch_up(&tenant).await.stuck.unwrap();
    assert!(matches!(failure, ExportFailure::Diverged { number: 1 }), "{failure}");
    assert_eq!(exporter.numbers(), [1]);
}

/// Judges the log of the tenant.
async fn judged(world: &World, tenant: &TenantId) -> Sound {
    judge(world.store.as_ref(), tenant).await.unwrap()
}

async fn judge(log: &dyn AuditLog, tenant: &TenantId) -> Result<Sound, Finding> {
    let keys = |id: KeyId| (id == KeyId(1)).then_some([9; 32]);
    let check = |_: &[u8; 32], _: &[u8], _: &[u8; 64]| true;
    let judge = Judge { keys: &keys, check: &check, exported: BTreeMap::new(), part: false };
    judge.judge(log, tenant).await.unwrap()
}

type Change = fn(Seal) -> Option<Seal>;

/// A log to which something happens while it is looked at: somebody changes the last seal between two looks at it, or all of it
/// is sealed and retention goes on when events are first read, or first behind a place.
struct Changing<'a> {
    world: &'a World,
    looks: AtomicU32,
    change: Change,
    retention: Mutex<Option<Evidence>>,
    behind: Option<EventPosition>,
}

impl<'a> Changing<'a> {
    fn new(world: &'a World, change: Change, retention: Option<Evidence>) -> Self {
        Self { world, looks: AtomicU32::new(0), change, retention: Mutex::new(retention), behind: None }
    }
}

#[async_trait]
impl AuditLog for Changing<'_> {
    async fn audited_tenants(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        self.world.store.audited_tenants(after, limit).await
    }

    async fn foreign_tenants(&self) -> Result<u64, StoreError> {
        self.world.store.foreign_tenants().await
    }

    async fn logged_events(
        &self,
        tenant: &TenantId,
        after: Option<EventPosition>,
        limit: u32,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let is_time = self.behind.is_none() || after == self.behind;
        let retention = if is_time { self.retention.lock().unwrap().take() } else { None };
        if let Some(evidence) = retention {
            seal(self.world, tenant).await;
            let store = self.world.store.as_ref();
            let kept = self.world.app.keep_sealed_events(store, Some(DAY * 30), &evidence).await;
            assert!(kept.unwrap().pieces > 0);
        }
        self.world.store.logged_events(tenant, after, limit).await
    }

    async fn seals(&self, tenant: &TenantId, after: u64, limit: u32) -> Result<Vec<Seal>, StoreError> {
        let last = self.world.store.last_seal(tenant).await?.unwrap().number;
        let seals = self.world.store.seals(tenant, after, limit).await?.into_iter();
        // The first look is at an end when there is nothing behind the last one.
        let looks = self.looks.fetch_add(u32::from(after == last), Ordering::SeqCst);
        let changed = |seal: Seal| {
            if looks > 0 && seal.number == last { (self.change)(seal) } else { Some(seal) }
        };
        Ok(seals.filter_map(changed).collect())
    }

    async fn last_seal(&self, tenant: &TenantId) -> Result<Option<Seal>, StoreError> {
        self.world.store.last_seal(tenant).await
    }

    async fn append_seal(&self, tenant: &TenantId, seal: &Seal) -> Result<Commit, StoreError> {
        self.world.store.append_seal(tenant, seal).await
    }
}

/// R56: a seal that is edited or removed while the log is judged is a finding, and not left out; nor is one believed that
/// another was put in the place of, though it reads.
#[tokio::test]
async fn a_seal_that_changes_meanwhile_is_found() {
    let (world, tenant) = sealed().await;
    let last = world.store.last_seal(&tenant).await.unwrap().unwrap().number;
    let changes: [(Change, Problem); 4] = [
        (|seal| Some(Seal { statement: "something else".to_owned(), ..seal }), Problem::SealEdited),
        (|_| None, Problem::SealMissing),
        // By somebody who has the key.
        (|seal| Some(edited(seal, |statement| statement.time = fixtures::START)), Problem::SealEdited),
        (
            |seal| Some(edited(seal, |statement| statement.public_key = [8; 32])),
            Problem::UnknownKey(KeyId(1)),
        ),
    ];
    for (change, problem) in changes {
        let log = Changing::new(&world, change, None);
        let finding = judge(&log, &tenant).await.unwrap_err();
        assert_eq!((finding.seal, finding.problem), (last, problem));
    }
}

fn edited(seal: Seal, edit: impl FnOnce(&mut Statement)) -> Seal {
    let mut statement = Statement::parse(&seal.statement).unwrap();
    edit(&mut statement);
    Seal { statement: statement.text(), ..seal }
}

/// Delivers what is on its way: a notice would hold its event for another reason.
async fn deliver(world: &World) {
    loop {
        // One after the other of a user.
        let leased = world.store.lease(world.now(), world.now().plus(DAY), 10).await.unwrap();
        if leased.is_empty() {
            return;
        }
        let ids: Vec<_> = leased.iter().map(|entry| entry.notice.id).collect();
        world.store.delivered(&ids).await.unwrap();
    }
}

/// A world with somebody enrolled long ago and no notice on its way.
async fn long_ago(span: Duration) -> World {
    let world = World::new(Preset::SelfServiceCode).await;
    world.enroll(&fixtures::user("acme", "ann")).await;
    deliver(&world).await;
    world.advance(span);
    world
}

fn evidence(world: &World, exporters: Vec<Arc<dyn SealExporter>>) -> Evidence {
    Evidence { log: world.store.clone(), progress: world.store.clone(), key: key(), exporters }
}

/// R56: nothing is dropped that is not sealed, nor whose seal has not left; what is dropped is announced in the chain, once,
/// and the log is good afterwards.
#[tokio::test]
async fn retention_waits_for_seals_and_their_export() {
    let world = long_ago(DAY * 40).await;
    let tenant = fixtures::tenant("acme");
    let exporter = Arc::new(Taking::default());
    let evidence = evidence(&world, vec![exporter.clone()]);
    let keep = async || {
        let kept = world.app.keep_sealed_events(world.store.as_ref(), Some(DAY * 30), &evidence);
        kept.await.unwrap()
    };
    let none = |held_up| Dropped { pieces: 0, held_up };
    assert_eq!(keep().await, none(Some(HeldUp::Unsealed)));
    seal(&world, &tenant).await;
    assert_eq!(keep().await, none(Some(HeldUp::NotLeft("taking"))));
    let sealed = export(&world, &exporter).catch_up(&tenant).await.seals;
    world.enroll(&fixtures::user("acme", "bob")).await;

    assert_eq!(keep().await, Dropped { pieces: sealed, held_up: None }, "younger ones stay");
    assert_eq!(keep().await, none(None));
    let sound = judged(&world, &tenant).await;
    assert_eq!((sound.dropped, sound.seals), (sealed, sealed + 1), "one mark");
    assert!(sound.dropped_before.is_some() && sound.unsealed > 0);
}

/// R56: what retention drops while a log is judged is no finding, and an export that it happened to is not taken for a whole
/// one.
#[tokio::test]
async fn retention_that_goes_on_meanwhile_is_no_finding() {
    let world = long_ago(DAY * 40).await;
    let (tenant, key) = (fixtures::tenant("acme"), key());
    seal(&world, &tenant).await;
    let kept = || Changing::new(&world, Some, Some(evidence(&world, Vec::new())));
    let export = async |log: &dyn AuditLog| {
        dump(log, &tenant, &key, Span::default(), world.now(), |_| Ok::<_, StoreError>(())).await.unwrap()
    };
    let sealed = judged(&world, &tenant).await.events;
    assert!(matches!(export(world.store.as_ref()).await, Dumped::All(_)));
    assert!(matches!(export(&kept()).await, Dumped::Outdated));
    assert!(matches!(export(world.store.as_ref()).await, Dumped::All(_)), "the mark is part of it");

    world.enroll(&fixtures::user("acme", "bob")).await;
    deliver(&world).await;
    seal(&world, &tenant).await;
    world.advance(DAY * 40);
    let sound = judge(&kept(), &tenant).await.unwrap();
    assert!(sound.events == 0 && sound.dropped > sealed, "{sound:?}");
}

/// R56: an export of what retention does not reach is a whole one, though retention goes on meanwhile.
#[tokio::test]
async fn retention_before_the_time_of_an_export_leaves_it_whole() {
    let world = long_ago(DAY * 40).await;
    let (tenant, key) = (fixtures::tenant("acme"), key());
    let span = Span { from: Some(world.now()), to: None };
    world.enroll(&fixtures::user("acme", "bob")).await;
    seal(&world, &tenant).await;
    let log = Changing::new(&world, Some, Some(evidence(&world, Vec::new())));
    let mut events = 0;
    let count = |piece: Piece<'_>| {
        events += u32::from(matches!(piece, Piece::Event(_)));
        Ok::<_, StoreError>(())
    };
    let dumped = dump(&log, &tenant, &key, span, world.now(), count).await.unwrap();
    assert!(matches!(dumped, Dumped::All(_)), "{dumped:?}");
    assert!(events > 0);
    assert!(judged(&world, &tenant).await.dropped > 0, "retention did go on");
}

/// R56, R58: an erasure is no finding whose event retention drops after the rows were read that it erased.
#[tokio::test]
async fn an_erasure_that_is_dropped_meanwhile_is_no_finding() {
    let (world, tenant) = sealed().await;
    let ann = fixtures::user("acme", "ann");
    let erased = world.app.erase_user(meta(None), ann, operator(), Box::new(|_: &_| Vec::new())).await;
    fresh(erased).unwrap();
    let erasing = world.store.pending_erasure(None).await.unwrap().unwrap();
    assert_eq!(world.store.erase_claims(&erasing, 100).await.unwrap(), None);
    deliver(&world).await;
    world.advance(DAY * 40);

    let last = world.store.last_seal(&tenant).await.unwrap().unwrap();
    let through = Statement::parse(&last.statement).unwrap().through;
    assert!(through < erasing.told, "it is not sealed yet");
    let retention = Some(evidence(&world, Vec::new()));
    let log = Changing { behind: Some(through), ..Changing::new(&world, Some, retention) };
    let sound = judge(&log, &tenant).await.unwrap();
    assert!(sound.events == 0 && sound.dropped > 0, "{sound:?}");
}

/// An exporter that does not answer.
struct Hanging;

#[async_trait]
impl SealExporter for Hanging {
    fn name(&self) -> &'static str {
        "hanging"
    }

    async fn kept(&self, _: &TenantId) -> Result<Kept, ExportError> {
        std::future::pending().await
    }

    async fn export(&self, _: &TenantId, _: &Seal) -> Result<(), ExportError> {
        std::future::pending().await
    }
}

/// R48, R56: an exporter that does not answer keeps what is old, and holds up neither the round nor those that follow.
#[tokio::test(start_paused = true)]
async fn retention_does_not_wait_for_an_exporter_without_end() {
    let world = long_ago(DAY * 40).await;
    let evidence = evidence(&world, vec![Arc::new(Hanging)]);
    seal(&world, &fixtures::tenant("acme")).await;
    for _ in 0..2 {
        let kept = world.app.keep_sealed_events(world.store.as_ref(), Some(DAY * 30), &evidence).await;
        assert_eq!(kept.unwrap(), Dropped { pieces: 0, held_up: Some(HeldUp::Unknown("hanging")) });
    }
}

/// R49: retention drops whole days.
#[tokio::test]
async fn retention_drops_whole_days() {
    let world = long_ago(DAY * 30 + DAY / 24).await;
    let evidence = evidence(&world, Vec::new());
    seal(&world, &fixtures::tenant("acme")).await;
    let keep = async |days: Option<u32>| {
        let retention = days.map(|days| DAY * days);
        world.app.keep_sealed_events(world.store.as_ref(), retention, &evidence).await.unwrap().pieces
    };
    assert_eq!(keep(None).await, 0, "for ever");
    assert_eq!(keep(Some(31)).await, 0, "not old enough");
    assert_eq!(keep(Some(30)).await, 0, "the day is not over");
    world.advance(DAY);
    assert!(keep(Some(30)).await > 0);
}

/// R65, R56: by a clock that jumped ahead all of the log would be old: it announces nothing in the chain and drops nothing.
#[tokio::test]
async fn retention_does_nothing_by_a_clock_that_is_not_trusted() {
    let world = long_ago(DAY * 60).await;
    let tenant = fixtures::tenant("acme");
    let evidence = evidence(&world, Vec::new());
    seal(&world, &tenant).await;
    let seals = world.store.last_seal(&tenant).await.unwrap();
    let events = world.app.look_at_events(&whole_log()).await.unwrap().events;
    let keep = async || world.app.keep_sealed_events(world.store.as_ref(), Some(DAY * 30), &evidence).await;

    world.trusted.store(false, Ordering::SeqCst);
    assert!(matches!(keep().await, Err(AppError::ClockUntrusted)));
    assert_eq!(world.app.look_at_events(&whole_log()).await.unwrap().events, events);
    assert_eq!(world.store.last_seal(&tenant).await.unwrap(), seals, "no mark");

    world.trusted.store(true, Ordering::SeqCst);
    assert_eq!(keep().await.unwrap().pieces, events.len() as u64, "they were old");
}

/// R42, R55: whoever follows the log is woken by a denied call as by any other commit.
#[tokio::test]
async fn a_denied_call_wakes_whoever_follows_the_log() {
    let world = World::new(Preset::SelfServiceCode).await;
    let tenant = fixtures::tenant("acme");
    let mut woken = std::pin::pin!(world.app.committed(&tenant));
    woken.as_mut().enable();
    world.app.note_denial(DeniedCall {
        tenant: fixtures::tenant("acme"),
        caller: CallerId::parse("shop").unwrap(),
        is_configured: true,
        reason: "CALLER_SCOPE_MISSING",
        method: "/countersign.v1.LoginService/CheckLogin".to_owned(),
        trace_id: String::new(),
    });
    // It hangs where nobody is woken.
    tokio::time::timeout(Duration::from_secs(30), woken).await.unwrap();
    let events = world.app.look_at_events(&whole_log()).await.unwrap().events;
    assert_eq!(events.last().unwrap().record.event.kind, EventType::CallerDenied);
}

fn whole_log() -> EventQuery {
    EventQuery {
        tenant: fixtures::tenant("acme"),
        user: None,
        kinds: Vec::new(),
        start_time: None,
        end_time: None,
        after: None,
        limit: 100,
    }
}
