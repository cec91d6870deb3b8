//! Tenants and their policies: when a revision was made.

use crate::world::meta;
use countersign_application::Application;
use countersign_domain::actor::{Actor, Principal};
use countersign_domain::policy::Preset;
use countersign_domain::text::Issuer;
use countersign_domain::time::Timestamp;
use countersign_ports::Clock;
use countersign_testkit::{MemoryStore, SeededRandom, deps_in_memory, fixtures};
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
