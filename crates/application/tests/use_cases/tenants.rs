//! Tenants and their policies: when a revision was made, what it is made of, and how a change ends when stores and callers
//! fail.

use crate::world::{meta, operator, request, valid};
use async_trait::async_trait;
use countersign_application::{AppError, Application, Deps, PolicyUpdate, Request, Weakening};
use countersign_domain::actor::Principal;
use countersign_domain::event::EventType;
use countersign_domain::ids::{PolicyRevision, TenantId};
use countersign_domain::policy::Preset;
use countersign_domain::text::Issuer;
use countersign_domain::time::Timestamp;
use countersign_ports::{ChangeSet, Clock, Commit, PolicyStore, StoreError, Tell, TenantRecord};
use countersign_testkit::{ManualClock, MemoryStore, SeededRandom, deps_in_memory, fixtures};
use metrics_exporter_prometheus::PrometheusBuilder;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// A clock that jumps ahead whenever it is read without being judged.
struct Jumping;

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        fixtures::START.plus(Duration::from_hours(24 * 365))
    }

    fn trusted_now(&self) -> Option<Timestamp> {
        Some(fixtures::START)
    }
}

/// R65, R7: a tenant and a revision of its policy are as old as the clock said when it was judged, not as it says besides.
#[tokio::test]
async fn a_revision_has_the_time_that_was_judged() {
    let store = Arc::new(MemoryStore::new());
    let app = Application::new(deps_in_memory!(store, Arc::new(Jumping), Arc::new(SeededRandom::new(1))));
    let tenant = fixtures::tenant("acme");
    let created = create(&app, None).await.expect("it is created");
    assert_eq!(created.create_time, fixtures::START);
    assert_eq!(app.policy(&tenant, None).await.expect("the policy").create_time, fixtures::START);
    update(&app, None, 2).await.expect("it is changed");
    let revised = app.policy(&tenant, None).await.expect("the policy");
    assert_eq!((revised.revision.0, revised.create_time), (2, fixtures::START));
}

/// Policies over the memory store, whose changes happen. Their replies can be lost.
struct Faulty {
    inner: Arc<MemoryStore>,
    loses_replies: bool,
}

impl Faulty {
    async fn answer(
        &self,
        change: impl Future<Output = Result<Commit, StoreError>>,
    ) -> Result<Commit, StoreError> {
        // A caller who leaves has left by now.
        tokio::task::yield_now().await;
        let done = change.await?;
        if self.loses_replies {
            return Err(StoreError::OutcomeUnknown("the connection broke after".into()));
        }
        Ok(done)
    }
}

#[async_trait]
impl PolicyStore for Faulty {
    async fn policy(
        &self,
        tenant: &TenantId,
        revision: Option<PolicyRevision>,
    ) -> Result<Option<TenantRecord>, StoreError> {
        self.inner.policy(tenant, revision).await
    }

    async fn put_policy(
        &self,
        record: TenantRecord,
        change: ChangeSet,
        tell: Tell,
    ) -> Result<Commit, StoreError> {
        self.answer(self.inner.put_policy(record, change, tell)).await
    }

    async fn delete_tenant(&self, current: PolicyRevision, change: ChangeSet) -> Result<Commit, StoreError> {
        self.answer(self.inner.delete_tenant(current, change)).await
    }

    async fn tenants(&self, after: Option<&TenantId>, limit: u32) -> Result<Vec<TenantRecord>, StoreError> {
        self.inner.tenants(after, limit).await
    }
}

/// An application over such policies.
fn over(loses_replies: bool) -> Application {
    let store = Arc::new(MemoryStore::new());
    let (clock, random) = (Arc::new(ManualClock::default()), Arc::new(SeededRandom::new(1)));
    let deps = deps_in_memory!(store, clock, random);
    Application::new(Deps { policies: Arc::new(Faulty { inner: store, loses_replies }), ..deps })
}

async fn create(app: &Application, request: Option<Request>) -> Result<TenantRecord, AppError> {
    let preset = Preset::SelfServiceCode;
    let policy = valid(&preset.document(Issuer::parse("Example").expect("an issuer")));
    app.create_tenant(&meta(request), &operator(), fixtures::tenant("acme"), preset, &policy).await
}

/// Changes how many failures are free, by whoever may weaken the policy or may not.
async fn change(
    app: &Application,
    request: Option<Request>,
    weakening: Weakening,
    free_failures: u32,
) -> Result<PolicyUpdate, AppError> {
    let make = |current: &TenantRecord| {
        let mut document = current.document.clone();
        document.lockout.free_failures = free_failures;
        Ok::<_, Infallible>(valid(&document))
    };
    let (meta, tenant) = (meta(request), fixtures::tenant("acme"));
    let Ok(update) = app.update_policy(&meta, &operator(), &tenant, weakening, make).await?;
    Ok(update)
}

async fn update(
    app: &Application,
    request: Option<Request>,
    free_failures: u32,
) -> Result<PolicyUpdate, AppError> {
    change(app, request, Weakening::Denied, free_failures).await
}

async fn delete(app: &Application, request: Option<Request>) -> Result<(), AppError> {
    app.delete_tenant(&meta(request), &operator(), &fixtures::tenant("acme"), |_| true).await
}

/// The number of the revision in force.
async fn revision(app: &Application) -> u32 {
    app.policy(&fixtures::tenant("acme"), None).await.expect("the policy").revision.0
}

/// R60, R53: a change of a tenant whose reply was lost is found by its event, told as what it is, and counted once.
#[tokio::test]
async fn a_lost_reply_to_a_change_of_a_tenant_is_resolved_by_its_event() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let app = over(true);
    assert_eq!(create(&app, None).await.expect("it is created").revision, PolicyRevision(1));
    let update = update(&app, None, 2).await.expect("it is changed");
    assert_eq!((update.after().revision.0, revision(&app).await), (2, 2));
    delete(&app, None).await.expect("it is deleted");
    let counted = recorder.handle().render();
    for kind in [EventType::TenantCreated, EventType::PolicyUpdated, EventType::TenantDeleted] {
        let line = counted.lines().find(|line| line.contains(kind.name())).expect("it is counted");
        assert!(line.ends_with(" 1"), "{line}");
    }
}

/// R17: a caller who leaves changes nothing about a change of a tenant that is under way.
#[tokio::test]
async fn a_caller_who_leaves_does_not_undo_a_change_of_a_tenant() {
    let app = over(false);
    create(&app, None).await.expect("it is created");
    let mut call = Box::pin(update(&app, None, 2));
    // Polled once, so that it is under way, and then dropped like the handler of a cancelled call.
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(call.as_mut().poll(&mut cx).is_pending());
    drop(call);
    app.drained().await;
    assert_eq!(revision(&app).await, 2);
}

/// R37: a change that asks less is refused to whoever may not make one, whatever made it; a change of nothing is no revision.
#[tokio::test]
async fn a_change_is_compared_with_what_is_in_force() {
    let app = over(false);
    create(&app, None).await.expect("it is created");
    match update(&app, None, 5).await {
        Err(AppError::WeakeningDenied { fields }) => assert_eq!(fields, ["lockout.free_failures"]),
        other => panic!("{other:?}"),
    }
    let same = update(&app, None, 3).await.expect("nothing changes");
    assert_eq!((same.before(), same.after().revision.0, revision(&app).await), (same.after(), 1, 1));
}

/// R60: a change that others overtake is made of what they left.
#[tokio::test]
async fn an_overtaken_change_is_made_again() {
    let app = over(false);
    create(&app, None).await.expect("it is created");
    let put = |free_failures| change(&app, None, Weakening::Allowed, free_failures);
    let (one, other) = futures::join!(put(1), put(2));
    let mut updates = [one.expect("it is changed"), other.expect("it is changed")];
    updates.sort_by_key(|update| update.after().revision);
    let [first, second] = updates;
    assert_eq!((first.after().revision.0, second.after().revision.0), (2, 3));
    assert_eq!(second.before(), first.after());
}

/// R60, ruling 8: a request that is asked again is answered as what it did, and refused where somebody else asks, or for
/// something else.
#[tokio::test]
async fn a_repeated_change_is_of_the_same_actor() {
    let app = over(false);
    let (tenant, somebody) = (fixtures::tenant("acme"), Principal::Operator("somebody".into()).into());
    let [created, updated, deleted] = [1, 2, 3].map(|id| Some(request(id, b"")));
    for _ in 0..2 {
        assert_eq!(create(&app, created.clone()).await.expect("it is created").revision.0, 1);
    }
    let (preset, meta_of) = (Preset::SelfServiceCode, |request: &Option<Request>| meta(request.clone()));
    let policy = valid(&preset.document(Issuer::parse("Example").expect("an issuer")));
    let by_another = app.create_tenant(&meta_of(&created), &somebody, tenant.clone(), preset, &policy).await;
    assert!(matches!(by_another, Err(AppError::RequestIdReused)));

    for _ in 0..2 {
        let update = update(&app, updated.clone(), 2).await.expect("it is changed");
        assert_eq!((update.before().revision.0, update.after().revision.0), (1, 2));
    }
    assert!(matches!(update(&app, updated.clone(), 1).await, Err(AppError::RequestIdReused)));
    let make = |current: &TenantRecord| {
        let mut document = current.document.clone();
        document.lockout.free_failures = 2;
        Ok::<_, Infallible>(valid(&document))
    };
    let by_another = app.update_policy(&meta_of(&updated), &somebody, &tenant, Weakening::Denied, make).await;
    assert!(matches!(by_another, Err(AppError::RequestIdReused)));

    for _ in 0..2 {
        delete(&app, deleted.clone()).await.expect("it is deleted");
    }
    let by_another = app.delete_tenant(&meta_of(&deleted), &somebody, &tenant, |_| true).await;
    assert!(matches!(by_another, Err(AppError::RequestIdReused)));
    assert!(matches!(delete(&app, None).await, Err(AppError::TenantNotFound)));
    assert!(matches!(create(&app, created).await, Err(AppError::TenantExists)), "its id is taken for ever");
}

/// R60: of two tries of one deletion at the same moment both are told of it.
#[tokio::test]
async fn a_deletion_that_is_asked_twice_at_once_is_told_twice() {
    let app = over(false);
    create(&app, None).await.expect("it is created");
    let asked = Some(request(1, b""));
    let (first, second) = futures::join!(delete(&app, asked.clone()), delete(&app, asked));
    first.expect("it is deleted");
    second.expect("it is deleted");
}
