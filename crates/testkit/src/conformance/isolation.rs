//! Tenants share nothing (R43).

use super::StoreUnderTest;
use super::guards::used;
use crate::SeededRandom;
use crate::fixtures::{self, user};
use crate::generate::Generator;
use countersign_domain::ids::{UserRef, Version};
use countersign_domain::user::UserState;
use countersign_ports::Commit;

/// R43: the same user id, with the very same ids of everything it owns, is another user in another tenant.
pub async fn tenants_share_nothing_under_the_same_ids(store: StoreUnderTest) {
    let draw = Generator::new(4_000);
    let (acme, other) = (store.create_tenant("acme").await, store.create_tenant("other").await);
    let (here, there) = (user("acme", "ann"), user("other", "ann"));
    let mut state = draw.state();
    while state.authenticators.is_empty() || state.challenges.is_empty() || state.recovery.is_none() {
        state = draw.state();
    }
    store.store_user(draw.random(), &here, &state).await;
    assert_eq!(store.load(&there).await.version, None);

    // The whole change set again in the other tenant, ids included.
    let mut change = fixtures::change_set(draw.random(), &here, None, &UserState::default(), &state);
    change.request = Some(fixtures::request_record(draw.random(), &here));
    change.tenant = other.clone();
    change.users[0].user = there.clone();
    change.events[0].tenant = other.clone();
    change.request.as_mut().expect("just set").key.user = there.clone();
    let event = change.events[0].id;
    store.done(change).await;
    assert!(store.is_committed(&other, event).await);
    assert!(!store.is_committed(&acme, event).await);
    assert_eq!(store.settled_events(draw.random(), &acme).await.len(), 2, "the tenant's and the user's");

    // What happens to one of them happens to that one alone.
    let answer = store.step(draw.random(), &there, 1, &state, &UserState::default()).await;
    assert_eq!(answer.expect("the store answers"), Commit::Done);
    assert_eq!(store.load(&there).await.state, UserState::default());
    let loaded = store.load(&here).await;
    assert_eq!((loaded.version, loaded.state), (Some(Version(1)), state));
}

/// R43: a change set whose parts belong to two tenants is not committed, neither here nor there.
pub async fn a_change_set_of_two_tenants_is_refused(store: StoreUnderTest) {
    let (_, other) = (store.create_tenant("acme").await, store.create_tenant("other").await);
    let random = SeededRandom::new(1);
    let (here, there) = (user("acme", "ann"), user("other", "ann"));
    let old = fixtures::user_with_totp(&random);
    store.store_user(&random, &here, &old).await;
    store.store_user(&random, &there, &old).await;

    let plain = || fixtures::change_set(&random, &here, Some(Version(1)), &old, &used(&old, 5));
    let mut user_elsewhere = plain();
    user_elsewhere.users[0].user = there.clone();
    let mut event_elsewhere = plain();
    event_elsewhere.events[0].tenant = other;
    let mut request_elsewhere = plain();
    request_elsewhere.request = Some(fixtures::request_record(&random, &there));
    for change in [user_elsewhere, event_elsewhere, request_elsewhere] {
        let event = change.events[0].id;
        assert_ne!(store.users.commit(change).await.ok(), Some(Commit::Done));
        for UserRef { tenant, user } in [here.clone(), there.clone()] {
            assert!(!store.is_committed(&tenant, event).await);
            let loaded = store.load(&UserRef { tenant, user }).await;
            assert_eq!((loaded.version, loaded.state), (Some(Version(1)), old.clone()));
        }
    }
}
