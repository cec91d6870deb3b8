//! Counts stay those of a recount, whatever happened before and whatever happens at the same time.

use super::StoreUnderTest;
use super::queries::reference::{
    TICK, counts, counts_in, everybody, facts_of, in_groups, list, reference, reference_in, store_all,
    team_id,
};
use crate::SeededRandom;
use crate::fixtures::{self, START, user};
use crate::generate::Generator;
use countersign_domain::coverage::FactsAt;
use countersign_domain::ids::{Epoch, TenantId, UserRef, Version};
use countersign_domain::time::Timestamp;
use countersign_domain::user::UserState;
use countersign_ports::Commit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

const GROUPS: [&str; 3] = ["staff", "board", "pilot"];
const TEAMS: [&str; 4] = ["team-9", "team-6", "team-4", "team-0"];

/// A time near the beginning of a day and of a minute, where counts that are kept by days and minutes go wrong.
fn near(draw: &Generator) -> Timestamp {
    const DAY: Duration = Duration::from_hours(24);
    let midnight =
        Timestamp::from_unix_micros(START.unix_micros().div_euclid(86_400_000_000) * 86_400_000_000);
    let minute = Duration::from_mins(1);
    let place = draw.pick(&[Duration::ZERO, minute, minute * 2, minute * 1_439, DAY, DAY * 2]);
    let time = midnight.plus(place);
    draw.pick(&[time.minus(TICK), time, time.plus(TICK), time.plus(minute / 2)])
}

/// A state that one commit makes of `old`: anything, nothing (as an erasure leaves it), or what grace periods are about.
fn next(draw: &Generator, old: &UserState) -> UserState {
    let mut state = if draw.one_in(8) { UserState::default() } else { draw.evolve(old) };
    if !draw.one_in(3) {
        state.requirement.grace_started = (!draw.one_in(4)).then(|| near(draw));
    }
    if let Some(entry) = &mut state.directory {
        entry.groups = draw.some(3, |draw| draw.pick(&GROUPS).to_owned());
    }
    state
}

async fn fold_all(store: &StoreUnderTest, limit: u32) {
    while store.maintenance.fold_counts(limit).await.expect("the store answers") == u64::from(limit) {}
}

async fn check(store: &StoreUnderTest, draw: &Generator, users: &[(UserRef, UserState)], tenant: &TenantId) {
    for _ in 0..12 {
        let groups = draw.some(3, |draw| draw.pick(&GROUPS).to_owned());
        let at = FactsAt { groups, grace_cutoff: if draw.one_in(6) { draw.time() } else { near(draw) } };
        assert_eq!(counts(store, tenant, &at).await, reference(users, tenant, &at), "{at:?}");
        let teams = draw.some(4, |draw| team_id(draw.pick(&TEAMS)));
        let counted = counts_in(store, tenant, &at, Some(&teams)).await;
        assert_eq!(counted, reference_in(users, tenant, &at, Some(&teams)), "{at:?} of {teams:?}");
    }
}

/// R69, B48: after any history of users who come, change, are erased and come again, counts are what a recount gives,
/// before, between and after foldings.
pub async fn counts_equal_a_recount_after_any_history(store: StoreUnderTest) {
    let tenants = [store.create_tenant("acme").await, store.create_tenant("other").await];
    let draw = Generator::new(9_000);
    let mut users: Vec<(UserRef, UserState)> = Vec::new();
    let mut versions: Vec<u64> = Vec::new();
    for round in 0..8 {
        for _ in 0..12 {
            let number = users.len();
            let tenant = draw.pick(&["acme", "acme", "other"]);
            users.push((user(tenant, &format!("user-{number}")), UserState::default()));
            versions.push(0);
        }
        for ((user, state), version) in users.iter_mut().zip(&mut versions) {
            if *version > 0 && draw.one_in(2) {
                continue;
            }
            let then = next(&draw, state);
            let expected = (*version > 0).then_some(Version(*version));
            store.done(fixtures::change_set(draw.random(), user, expected, state, &then)).await;
            (*state, *version) = (then, *version + 1);
        }
        for tenant in &tenants {
            check(&store, &draw, &users, tenant).await;
        }
        let folded = store.maintenance.fold_counts(5).await.expect("the store answers");
        assert!(folded <= 5);
        check(&store, &draw, &users, &tenants[0]).await;
        if round % 3 == 2 {
            fold_all(&store, 40).await;
            check(&store, &draw, &users, &tenants[1]).await;
        }
    }
    fold_all(&store, 1_000).await;
    assert_eq!(store.maintenance.fold_counts(1_000).await.expect("the store answers"), 0);
    for tenant in &tenants {
        check(&store, &draw, &users, tenant).await;
    }
}

/// What is not counted is not folded: a login, right or wrong, leaves nothing behind that a later count has to read.
pub async fn a_login_changes_no_count(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let mut state = fixtures::user_with_totp(&random);
    state.requirement.grace_started = Some(START);
    store.store_user(&random, &ann, &state).await;
    fold_all(&store, 100).await;
    for version in 1..=5 {
        let mut next = super::guards::used(&state, version);
        next.failures.consecutive = u32::from(version % 2 == 0);
        next.failures.locked_until = (version % 2 == 0).then_some(START);
        let done = store.step(&random, &ann, version, &state, &next).await.expect("an answer");
        assert_eq!(done, Commit::Done);
        state = next;
    }
    assert_eq!(store.maintenance.fold_counts(100).await.expect("the store answers"), 0);
    let at = FactsAt { groups: Vec::new(), grace_cutoff: START };
    assert_eq!(counts(&store, &tenant, &at).await, [(facts_of(&state, &at), 1)].into());
}

/// B48: what an erasure leaves is nobody's, whoever it was; so is what an erasure or a report writes about an id that nobody
/// has. Who comes back is there again.
pub async fn who_is_erased_is_counted_no_more(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let at = FactsAt { groups: vec!["staff".to_owned()], grace_cutoff: START };
    let enrolled = fixtures::user_with_totp(&random);
    let mut in_grace = UserState::default();
    in_grace.requirement.grace_started = Some(START);
    let mut obliged = UserState::default();
    obliged.requirement.must_enroll = true;
    let states = [
        UserState { directory: in_groups(&["staff"]).directory, ..enrolled.clone() },
        enrolled.clone(),
        // Who switched off and was never put is told from nobody by the time of that alone.
        UserState { state_since: Some(START), ..UserState::default() },
        in_groups(&["staff"]),
        in_grace,
        obliged,
    ];
    let mut users: Vec<_> =
        (0..).zip(states).map(|(number, state)| (user("acme", &format!("user-{number}")), state)).collect();
    let check = async |users: &[(UserRef, UserState)], names: &[&str]| {
        for _ in 0..2 {
            assert_eq!(counts(&store, &tenant, &at).await, reference(users, &tenant, &at), "{names:?}");
            assert_eq!(list(&store, &everybody(&tenant)).await, names);
            fold_all(&store, 100).await;
        }
    };
    store_all(&store, &random, &users).await;
    let names = ["user-0", "user-1", "user-2", "user-3", "user-4", "user-5"];
    check(&users, &names).await;
    for erased in 0..names.len() {
        let next = UserState { epoch: Epoch(1), ..UserState::default() };
        let (user, state) = &mut users[erased];
        assert_eq!(store.step(&random, user, 1, state, &next).await.expect("an answer"), Commit::Done);
        *state = next;
        check(&users, &names[erased + 1..]).await;
    }
    assert_eq!(counts(&store, &tenant, &at).await.len(), 0);

    let reported = UserState { first_factor_since: Some(START), epoch: Epoch(1), ..UserState::default() };
    let erased = UserState { epoch: Epoch(1), ..UserState::default() };
    for (name, state) in [("erased", erased.clone()), ("reported", reported)] {
        store.store_user(&random, &user("acme", name), &state).await;
    }
    check(&users, &[]).await;

    for ((user, state), next) in users.iter_mut().zip([in_groups(&["staff"]), enrolled]) {
        let next = UserState { epoch: Epoch(2), ..next };
        assert_eq!(store.step(&random, user, 2, state, &next).await.expect("an answer"), Commit::Done);
        *state = next;
    }
    check(&users, &names[..2]).await;
}

/// B48: while many users change at the same time and counts are folded by several, every count is that of one moment:
/// nobody is missed and nobody counted twice. Afterwards it is exact.
pub async fn concurrent_commits_and_foldings_lose_nobody(store: StoreUnderTest) {
    const USERS: usize = 40;
    const CHANGES: u64 = 12;
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let off = in_groups(&["staff"]);
    let mut on = UserState { directory: off.directory.clone(), ..fixtures::user_with_totp(&random) };
    on.requirement.grace_started = Some(START);
    let users: Vec<_> = (0..USERS).map(|n| (user("acme", &format!("user-{n}")), off.clone())).collect();
    store_all(&store, &random, &users).await;

    let over = Arc::new(AtomicBool::new(false));
    let mut watching = JoinSet::new();
    for groups in [vec![], vec!["staff".to_owned()]] {
        let (counting, tenant, stop) = (store.clone(), tenant.clone(), Arc::clone(&over));
        watching.spawn(async move {
            let at = FactsAt { groups, grace_cutoff: START };
            while !stop.load(Ordering::Relaxed) {
                let counts = counts(&counting, &tenant, &at).await;
                assert_eq!(counts.values().sum::<u64>(), USERS as u64, "{counts:?}");
                // A store in memory never waits: others must get their turn.
                tokio::task::yield_now().await;
            }
        });
        let (folding, stop) = (store.clone(), Arc::clone(&over));
        watching.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                folding.maintenance.fold_counts(3).await.expect("the store answers");
                tokio::task::yield_now().await;
            }
        });
    }
    let mut changing = JoinSet::new();
    for (number, (user, _)) in users.iter().enumerate() {
        let (store, user, states) = (store.clone(), user.clone(), [off.clone(), on.clone()]);
        changing.spawn(async move {
            let random = SeededRandom::new(100 + number as u64);
            for version in 1..=CHANGES {
                let (old, next) =
                    (&states[usize::from(version % 2 == 0)], &states[usize::from(version % 2 == 1)]);
                let done = store.step(&random, &user, version, old, next).await.expect("an answer");
                assert_eq!(done, Commit::Done);
            }
        });
    }
    while let Some(done) = changing.join_next().await {
        done.expect("all changes commit");
    }
    over.store(true, Ordering::Relaxed);
    while let Some(done) = watching.join_next().await {
        done.expect("every count is whole");
    }
    let at = FactsAt { groups: vec!["staff".to_owned()], grace_cutoff: START };
    assert_eq!(counts(&store, &tenant, &at).await, reference(&users, &tenant, &at));
    fold_all(&store, 100).await;
    assert_eq!(counts(&store, &tenant, &at).await, reference(&users, &tenant, &at));
}
