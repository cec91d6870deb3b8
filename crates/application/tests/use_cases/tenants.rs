//! Tenants and their policies: when a revision was made, and how a change ends when stores and callers fail.

use crate::world::meta;
use async_trait::async_trait;
use countersign_application::{AppError, Application, Deps};
use countersign_domain::actor::{Actor, Principal};
use countersign_domain::event::EventType;
use countersign_domain::ids::{PolicyRevision, TenantId};
use countersign_domain::policy::Preset;
use countersign_domain::text::Issuer;
use countersign_domain::time::Timestamp;
use countersign_ports::{ChangeSet, Clock, Commit, PolicyStore, StoreError, Tell, TenantRecord};
use countersign_testkit::{ManualClock, MemoryStore, SeededRandom, deps_in_memory, fixtures};
use metrics_exporter_prometheus::PrometheusBuilder;
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
    let (tenant, ops): (_, Actor) = (fixtures::tenant("acme"), Principal::Operator("ops".into()).into());
    let preset = Preset::SelfServiceCode;
    let document = preset.document(Issuer::parse("Example").expect("an issuer"));
    let created = app.create_tenant(meta(None), &ops, tenant.clone(), preset, document).await;
    assert_eq!(created.expect("it is created").create_time, fixtures::START);
    let current = app.policy(&tenant, None).await.expect("the policy");
    assert_eq!(current.create_time, fixtures::START);

    let mut document = current.document.clone();
    "help@example.com".clone_into(&mut document.notices.support_contact);
    let update = app.preview_policy(&current, document, true).await.expect("a valid policy");
    app.update_policy(meta(None), &ops, &update).await.expect("it is put");
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

/// An application over such policies, with the tenant that the tests change and who changes it.
fn over(loses_replies: bool) -> (Application, TenantId, Actor) {
    let store = Arc::new(MemoryStore::new());
    let (clock, random) = (Arc::new(ManualClock::default()), Arc::new(SeededRandom::new(1)));
    let deps = deps_in_memory!(store, clock, random);
    let app = Application::new(Deps { policies: Arc::new(Faulty { inner: store, loses_replies }), ..deps });
    (app, fixtures::tenant("acme"), Principal::Operator("ops".into()).into())
}

async fn create(app: &Application, tenant: &TenantId, ops: &Actor) -> Result<TenantRecord, AppError> {
    let preset = Preset::SelfServiceCode;
    let document = preset.document(Issuer::parse("Example").expect("an issuer"));
    app.create_tenant(meta(None), ops, tenant.clone(), preset, document).await
}

async fn update(app: &Application, tenant: &TenantId, ops: &Actor) -> Result<(), AppError> {
    let current = app.policy(tenant, None).await?;
    let mut document = current.document.clone();
    document.lockout.free_failures = 2;
    let update = app.preview_policy(&current, document, true).await?;
    app.update_policy(meta(None), ops, &update).await
}

/// R60, R53: a change of a tenant whose reply was lost is found by its event, told as what it is, and counted once.
#[tokio::test]
async fn a_lost_reply_to_a_change_of_a_tenant_is_resolved_by_its_event() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let (app, tenant, ops) = over(true);
    assert_eq!(create(&app, &tenant, &ops).await.expect("it is created").revision, PolicyRevision(1));
    update(&app, &tenant, &ops).await.expect("it is changed");
    let current = app.policy(&tenant, None).await.expect("the policy");
    assert_eq!(current.revision, PolicyRevision(2));
    app.delete_tenant(meta(None), &ops, &current).await.expect("it is deleted");
    let counted = recorder.handle().render();
    for kind in [EventType::TenantCreated, EventType::PolicyUpdated, EventType::TenantDeleted] {
        let line = counted.lines().find(|line| line.contains(kind.name())).expect("it is counted");
        assert!(line.ends_with(" 1"), "{line}");
    }
}

/// R17: a caller who leaves changes nothing about a change of a tenant that is under way.
#[tokio::test]
async fn a_caller_who_leaves_does_not_undo_a_change_of_a_tenant() {
    let (app, tenant, ops) = over(false);
    create(&app, &tenant, &ops).await.expect("it is created");
    let mut call = Box::pin(update(&app, &tenant, &ops));
    // Polled once, so that it is under way, and then dropped like the handler of a cancelled call.
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(call.as_mut().poll(&mut cx).is_pending());
    drop(call);
    app.drained().await;
    assert_eq!(app.policy(&tenant, None).await.expect("the policy").revision, PolicyRevision(2));
}
