//! Two tenants whose users have the same ids share statements, and nothing else. Row-level security does not help there
//! (ADR 20).

use crate::group::{Group, done};
use crate::states::{after_a_code, after_a_login, full};
use countersign_domain::ids::{PolicyRevision, UserRef, Version};
use countersign_domain::user::UserState;
use countersign_ports::{Loaded, RequestRecord, UserStore};
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::fixtures::{self, user};
use countersign_testkit::generate::Generator;
use std::sync::Arc;

const TENANTS: [&str; 2] = ["acme", "other"];

/// R43: what two tenants own under the same ids is loaded and changed for each by itself, although statements have both in
/// them; by the statement of nothing but logins by a code, and by the one of all else.
#[tokio::test]
async fn tenants_under_the_same_ids_share_statements_and_nothing_else() {
    for by_a_code_only in [true, false] {
        let draw = Generator::new(43);
        let (group, requests) = twins(&draw, 10).await;
        let stored = |(_, state): &(_, UserState)| Loaded {
            policy_revision: PolicyRevision(1),
            version: Some(Version(1)),
            state: state.clone(),
            earlier: None,
        };
        let mut expected: Vec<_> = group.users.iter().map(stored).collect();
        assert_loaded(&group, &requests, &expected).await;
        // One tenant's alone, and so at the versions that the other one's have; then the other one's; then both.
        for changed in [&TENANTS[..1], &TENANTS[1..], &TENANTS] {
            let mut changes = Vec::new();
            for (at, (user, _)) in group.users.iter().enumerate() {
                if !changed.contains(&user.tenant.as_str()) {
                    continue;
                }
                let number = at / 2;
                let by_a_code = by_a_code_only || number.is_multiple_of(2);
                let it = &mut expected[at];
                let next = if by_a_code { after_a_code } else { after_a_login }(&draw, number, &it.state);
                let mut change = fixtures::change_set(draw.random(), user, it.version, &it.state, &next);
                change.request = it.earlier.is_none().then(|| requests[at].clone());
                it.version = it.version.map(|Version(version)| Version(version + 1));
                it.state = next;
                it.earlier = Some(requests[at].clone());
                changes.push(change);
            }
            let answers = group.commit(&changes).await;
            assert!(answers.iter().all(done), "{answers:?}");
            assert!(group.written_together(changed[0]).await >= 5, "they were together");
            assert_loaded(&group, &requests, &expected).await;
        }
    }
}

/// So many users in each of the tenants, one of one and one of the other in turn. Both, what they own, and the request of each
/// have the same ids, and nothing else in common.
async fn twins(draw: &Generator, size: usize) -> (Group, Vec<RequestRecord>) {
    let mut group = Group::of(0).await;
    let mut requests: Vec<RequestRecord> = Vec::new();
    let suite = StoreUnderTest::new(group.database.store().await);
    suite.create_tenant("other").await;
    for number in 0..size {
        let state = full(draw);
        let twin = with_ids_of(full(draw), &state);
        for (tenant, state) in TENANTS.into_iter().zip([state, twin]) {
            let user = user(tenant, &format!("user-{number}"));
            suite.store_user(draw.random(), &user, &state).await;
            let mut request = fixtures::request_record(draw.random(), &user);
            if let Some(first) = requests.get(2 * number) {
                request.key.id = first.key.id;
            }
            requests.push(request);
            group.users.push((user, state));
        }
    }
    (group, requests)
}

/// The state, but what it owns has the ids of what `other` owns.
fn with_ids_of(mut state: UserState, other: &UserState) -> UserState {
    macro_rules! take_ids {
        ($($of:ident),*) => {
            $(state.$of.iter_mut().zip(&other.$of).for_each(|(own, other)| own.id = other.id);)*
        };
    }
    take_ids!(authenticators, pending, recovery, challenges, tickets, clients);
    state
}

/// Loads all users at the same time, each with its request, and compares.
async fn assert_loaded(group: &Group, requests: &[RequestRecord], expected: &[Loaded]) {
    let load = |(user, request): (&UserRef, &RequestRecord)| {
        let (store, user, key) = (Arc::clone(&group.store), user.clone(), request.key.clone());
        tokio::spawn(async move { store.load(&user, Some(&key)).await })
    };
    let users = group.users.iter().map(|(user, _)| user);
    let tasks: Vec<_> = users.clone().zip(requests).map(load).collect();
    for (task, (user, expected)) in tasks.into_iter().zip(users.zip(expected)) {
        let loaded = task.await.unwrap().unwrap();
        assert_eq!(loaded.as_ref(), Some(expected), "{user:?}");
    }
    assert!(group.store.group_stats().loads.largest >= 5, "they were together");
}
