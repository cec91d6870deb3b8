//! What is committed is what is loaded.

use super::StoreUnderTest;
use super::guards::used;
use crate::SeededRandom;
use crate::fixtures::{self, START, user};
use crate::generate::Generator;
use countersign_domain::ids::{PolicyRevision, Version};
use countersign_domain::user::{DirectoryEntry, UserState};
use countersign_ports::Commit;
use std::time::Duration;

/// A user whom no commit stored yet has no version and the default state, in a tenant that tells its revision.
pub async fn a_user_who_was_never_stored_has_the_default_state(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let loaded = store.load(&user("acme", "ann")).await;
    assert_eq!(loaded.version, None);
    assert_eq!(loaded.state, UserState::default());
    assert_eq!(loaded.policy_revision, PolicyRevision(1));
    assert_eq!(loaded.earlier, None);
}

/// R43: a tenant that does not exist is an answer, not a failure.
pub async fn a_tenant_that_does_not_exist_loads_as_none(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    assert_eq!(store.users.load(&user("acme2", "ann"), None).await.expect("the store answers"), None);
    let absent = store.policies.policy(&fixtures::tenant("acme2"), None).await;
    assert_eq!(absent.expect("the store answers"), None);
}

/// A load gives exactly what was committed, field by field, along long chains of changes of many users.
pub async fn every_field_of_a_state_comes_back(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    for seed in 0..12 {
        let draw = Generator::new(seed);
        let ann = user("acme", &format!("ann-{seed}"));
        let mut state = draw.state();
        store.store_user(draw.random(), &ann, &state).await;
        for version in 1..25 {
            let loaded = store.load(&ann).await;
            assert_eq!(loaded.version, Some(Version(version)), "seed {seed}");
            assert_eq!(loaded.state, state, "seed {seed}, version {version}");
            let next = draw.evolve(&state);
            let answer = store.step(draw.random(), &ann, version, &state, &next).await;
            assert_eq!(answer.expect("the store answers"), Commit::Done, "seed {seed}, version {version}");
            state = next;
        }
    }
}

/// A load gives exactly what was committed also where two states have nothing in common, the empty one included.
pub async fn any_state_follows_on_any_other(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let draw = Generator::new(1_000);
    let ann = user("acme", "ann");
    let mut state = UserState::default();
    store.store_user(draw.random(), &ann, &state).await;
    for version in 1..60 {
        let next = if draw.one_in(5) { UserState::default() } else { draw.state() };
        let answer = store.step(draw.random(), &ann, version, &state, &next).await;
        assert_eq!(answer.expect("the store answers"), Commit::Done, "version {version}");
        assert_eq!(store.load(&ann).await.state, next, "version {version}");
        state = next;
    }
}

/// The oldest challenge is the one to push out, so order is state: ids that do not ascend and rows that are replaced
/// keep the order of their coming.
pub async fn rows_keep_their_order_and_their_place(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let draw = Generator::new(2_000);
    let ann = user("acme", "ann");
    let mut full = draw.state();
    while full.challenges.len() < 4 || full.clients.len() < 4 || full.authenticators.len() < 3 {
        full = draw.state();
    }
    full.challenges.sort_by_key(|row| std::cmp::Reverse(row.id));
    full.clients.sort_by_key(|row| std::cmp::Reverse(row.id));
    full.authenticators.sort_by_key(|row| std::cmp::Reverse(row.id));
    store.store_user(draw.random(), &ann, &full).await;
    assert_eq!(store.load(&ann).await.state, full);

    let mut next = full.clone();
    next.clients[1].generation ^= 1;
    next.authenticators[0].named = !next.authenticators[0].named;
    next.challenges.remove(0);
    let answer = store.step(draw.random(), &ann, 1, &full, &next).await;
    assert_eq!(answer.expect("the store answers"), Commit::Done);
    assert_eq!(store.load(&ann).await.state, next);
}

/// Ruling 9: the authenticator that takes another one's place may take its name in the same commit.
pub async fn a_name_changes_hands_within_one_commit(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let old = fixtures::user_with_totp(&random);
    let next = fixtures::user_with_totp(&random);
    assert_eq!(old.authenticators[0].display_name, next.authenticators[0].display_name);
    store.store_user(&random, &ann, &old).await;
    let answer = store.step(&random, &ann, 1, &old, &next).await;
    assert_eq!(answer.expect("the store answers"), Commit::Done);
    assert_eq!(store.load(&ann).await.state, next);
}

/// R34: when a first factor changed stands in the user's own row and outlives what other changes write there, a use of an
/// authenticator and a directory entry alike; another report replaces it, and an erasure takes it away.
pub async fn the_change_of_a_first_factor_outlives_other_changes(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let reported = fixtures::user_with_totp(&random);
    assert_eq!(reported.first_factor_since, Some(START));
    store.store_user(&random, &ann, &reported).await;
    let used = used(&reported, 5);
    let put = UserState { directory: Some(DirectoryEntry::default()), ..used.clone() };
    let again = UserState { first_factor_since: Some(START.plus(Duration::from_mins(1))), ..put.clone() };
    let mut old = reported;
    for (version, next) in (1..).zip([used, put, again, UserState::default()]) {
        let answer = store.step(&random, &ann, version, &old, &next).await;
        assert_eq!(answer.expect("the store answers"), Commit::Done, "version {version}");
        assert_eq!(store.load(&ann).await.state, next, "version {version}");
        old = next;
    }
}

/// R45: ids that differ in case alone are two users.
pub async fn user_ids_are_byte_exact(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let state = fixtures::user_with_totp(&random);
    store.store_user(&random, &user("acme", "Ann"), &state).await;
    assert_eq!(store.load(&user("acme", "ann")).await.version, None);
    store.store_user(&random, &user("acme", "ann"), &UserState::default()).await;
    assert_eq!(store.load(&user("acme", "Ann")).await.state, state);
}
