//! Lists and counts agree with what is stored. What the facts mean under a policy is the domain's and not tested here.
//!
//! What is expected of random users is computed from their states, in `reference`, which shares nothing with any store.

pub(super) mod reference;

use super::StoreUnderTest;
use crate::SeededRandom;
use crate::fixtures::{self, START, user};
use crate::generate::Generator;
use countersign_domain::coverage::{Facts, FactsAt, Grace};
use countersign_domain::ids::Version;
use countersign_domain::policy::AuthenticatorType;
use countersign_domain::time::Timestamp;
use countersign_domain::user::{Authenticator, Role, Standing, UserState};
use countersign_ports::{Commit, UserQuery};
use reference::{
    TICK, counts, everybody, facts_of, in_groups, in_teams, list, matches, membership, reference, store_all,
    team_id, user_id, with_facts,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Names that careless SQL, JSON or arrays take for something else, and pairs that careless comparisons take for one.
const GROUPS: [&str; 26] = [
    "staff",
    "Staff",
    "STAFF",
    "staff ",
    " staff",
    "staf",
    "",
    " ",
    "'",
    "\"",
    "\\",
    "\\'",
    "'; --",
    "{staff}",
    "a,b",
    "[\"a\"]",
    "{\"a\":1}",
    "NULL",
    "%",
    "_",
    "é",
    "e\u{301}",
    "漢字",
    "🔑",
    "two\nlines",
    "\t",
];

/// R69, B48: users with every combination of facts are counted one by one, and each is listed by their own alone.
pub async fn every_combination_of_facts_is_counted_and_listed(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let at = FactsAt { groups: vec!["staff".to_owned(), "board".to_owned()], grace_cutoff: START };
    let users: Vec<_> = (0..)
        .zip(Facts::all())
        .map(|(number, facts)| (user("acme", &format!("user-{number:02}")), with_facts(&random, facts)))
        .collect();
    store_all(&store, &random, &users).await;

    let counts = counts(&store, &tenant, &at).await;
    assert_eq!(counts, Facts::all().map(|facts| (facts, 1)).collect());
    for ((user, _), facts) in users.iter().zip(Facts::all()) {
        let query = UserQuery { at: at.clone(), facts: vec![facts], ..everybody(&tenant) };
        assert_eq!(list(&store, &query).await, [user.user.as_str()], "{facts:?}");
    }
    let nobody = UserQuery { at, facts: Vec::new(), ..everybody(&tenant) };
    assert_eq!(list(&store, &nobody).await, [""; 0]);
}

/// B48: users who have nothing that serves but security keys are counted, each once, whatever they have that is disabled,
/// and nobody else's.
pub async fn those_with_security_keys_alone_are_counted(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    store.create_tenant("other").await;
    let draw = Generator::new(7_000);
    let users: Vec<_> = (0..240)
        .map(|number| (user(draw.pick(&["acme", "other"]), &format!("user-{number:03}")), draw.state()))
        .collect();
    store_all(&store, draw.random(), &users).await;
    let is_key = |own: &Authenticator| own.kind() == AuthenticatorType::SecurityKey;
    let alone = |state: &UserState| state.has_active() && state.active().all(is_key);
    let of =
        |id: &str| users.iter().filter(|(user, state)| user.tenant.as_str() == id && alone(state)).count();
    assert!(of("acme") > 3 && of("other") > 3, "the states that were drawn have what is looked for");
    assert_eq!(store.queries.with_keys_alone(&tenant).await.expect("a count"), of("acme") as u64);
}

/// B46: a grace period is over when it began at the cutoff or before, to the microsecond, and for cutoffs at the ends
/// of all time.
pub async fn a_grace_period_is_over_from_its_cutoff_on(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let began = [("after", START.plus(TICK)), ("at", START), ("before", START.minus(TICK))];
    let mut users = vec![(user("acme", "never"), in_groups(&[]))];
    for (name, time) in began {
        let mut state = UserState::default();
        state.requirement.grace_started = Some(time);
        users.push((user("acme", name), state));
    }
    store_all(&store, &random, &users).await;

    let ends = [i64::MIN, i64::MAX].map(Timestamp::from_unix_micros);
    for (cutoff, over, running) in [
        (START, vec!["at", "before"], vec!["after"]),
        (START.minus(TICK), vec!["before"], vec!["after", "at"]),
        (START.plus(TICK), vec!["after", "at", "before"], vec![]),
        (ends[0], vec![], vec!["after", "at", "before"]),
        (ends[1], vec!["after", "at", "before"], vec![]),
    ] {
        let at = FactsAt { groups: Vec::new(), grace_cutoff: cutoff };
        for (grace, expected) in
            [(Grace::NotStarted, vec!["never"]), (Grace::Running, running), (Grace::Over, over)]
        {
            let facts = Facts::all().filter(|facts| facts.grace == grace).collect();
            let query = UserQuery { at: at.clone(), facts, ..everybody(&tenant) };
            assert_eq!(list(&store, &query).await, expected, "{grace:?} at {cutoff:?}");
        }
        assert_eq!(counts(&store, &tenant, &at).await, reference(&users, &tenant, &at));
    }
}

/// R45: a group is named byte by byte, whatever its characters mean elsewhere; a user in two of the groups, or one who
/// was put in one twice, is one user.
pub async fn groups_are_named_byte_by_byte(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let id = |number: usize| format!("user-{number:02}");
    let mut users: Vec<_> = (0..)
        .zip(GROUPS)
        .map(|(number, group)| (user("acme", &id(number)), in_groups(&[group, group])))
        .collect();
    users.push((user("acme", "all"), in_groups(&GROUPS)));
    users.push((user("acme", "none"), in_groups(&[])));
    users.push((user("acme", "unknown"), UserState::default()));
    store_all(&store, &random, &users).await;

    let inside: Vec<_> = Facts::all().filter(|facts| facts.in_groups).collect();
    for (number, group) in (0..).zip(GROUPS) {
        let at = FactsAt { groups: vec![group.to_owned()], grace_cutoff: START };
        assert_eq!(counts(&store, &tenant, &at).await, reference(&users, &tenant, &at), "{group:?}");
        let query = UserQuery { at, facts: inside.clone(), ..everybody(&tenant) };
        assert_eq!(list(&store, &query).await, ["all".to_owned(), id(number)], "{group:?}");
    }
    let groups = GROUPS.iter().chain(&GROUPS).map(|group| (*group).to_owned()).collect();
    let at = FactsAt { groups, grace_cutoff: START };
    let counts = counts(&store, &tenant, &at).await;
    assert_eq!(counts, reference(&users, &tenant, &at));
    let query = UserQuery { at, facts: inside, ..everybody(&tenant) };
    assert_eq!(list(&store, &query).await.len(), GROUPS.len() + 1);
}

/// Where no groups are asked for, nobody is in them, not even who is in a group without a name.
pub async fn nobody_is_in_groups_that_are_not_asked_for(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let users =
        [(user("acme", "ann"), in_groups(&["", "staff"])), (user("acme", "bob"), in_groups(&["staff"]))];
    store_all(&store, &random, &users).await;
    for groups in [vec![], vec!["board".to_owned()]] {
        let at = FactsAt { groups, grace_cutoff: START };
        let outside = facts_of(&UserState::default(), &at);
        assert_eq!(counts(&store, &tenant, &at).await, BTreeMap::from([(outside, 2)]));
        let facts = Facts::all().filter(|facts| facts.in_groups).collect();
        let query = UserQuery { at, facts, ..everybody(&tenant) };
        assert_eq!(list(&store, &query).await, [""; 0]);
    }
}

/// B37, R43: a team's list holds its members and its managers; not who is in a team of almost the same name, nor who
/// is in the same team of another tenant.
pub async fn a_team_lists_its_members_and_its_managers(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    store.create_tenant("other").await;
    let random = SeededRandom::new(1);
    let blue = [("blue", Role::Member)];
    let users = [
        (user("acme", "boss"), in_teams(&[("blue", Role::Manager)])),
        (user("acme", "both"), in_teams(&[("red", Role::Manager), ("blue", Role::Member)])),
        (user("acme", "member"), in_teams(&blue)),
        (user("acme", "near-1"), in_teams(&[("Blue", Role::Member), ("blue2", Role::Member)])),
        (user("acme", "near-2"), in_teams(&[("blu", Role::Manager), ("b_ue", Role::Manager)])),
        (user("acme", "unknown"), UserState::default()),
    ];
    store_all(&store, &random, &users).await;
    let others = [(user("other", "member"), in_teams(&[])), (user("other", "stranger"), in_teams(&blue))];
    store_all(&store, &random, &others).await;

    let of = |team| UserQuery { team: Some(team_id(team)), ..everybody(&tenant) };
    assert_eq!(list(&store, &of("blue")).await, ["boss", "both", "member"]);
    assert_eq!(list(&store, &of("red")).await, ["both"]);
    assert_eq!(list(&store, &of("green")).await, [""; 0]);

    // Who leaves the team leaves the list.
    let [_, (both, state), ..] = &users;
    let left = in_teams(&[("red", Role::Member)]);
    assert_eq!(store.step(&random, both, 1, state, &left).await.expect("an answer"), Commit::Done);
    assert_eq!(list(&store, &of("blue")).await, ["boss", "member"]);
    assert_eq!(list(&store, &of("red")).await, ["both"]);
}

/// R14: a user is locked until exactly the end of the lock, whatever else is on.
pub async fn a_lock_ends_at_its_time(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let locked = |until: Timestamp| {
        let mut state = fixtures::user_with_totp(&random);
        state.failures.locked_until = Some(until);
        state
    };
    let users = [
        (user("acme", "ended"), locked(START)),
        (user("acme", "ends"), locked(START.plus(TICK))),
        (user("acme", "later"), locked(START.plus(Duration::from_hours(1)))),
        (user("acme", "never"), fixtures::user_with_totp(&random)),
    ];
    store_all(&store, &random, &users).await;
    let at = |time| UserQuery { locked_at: Some(time), ..everybody(&tenant) };
    assert_eq!(list(&store, &at(START)).await, ["ends", "later"]);
    assert_eq!(list(&store, &at(START.minus(TICK))).await, ["ended", "ends", "later"]);
    assert_eq!(list(&store, &at(START.plus(Duration::from_hours(1)))).await, [""; 0]);
    let off = Facts::all().filter(|facts| !facts.on).collect();
    assert_eq!(list(&store, &UserQuery { facts: off, ..at(START) }).await, [""; 0]);
}

/// R13: whoever has lost all that took codes is locked at any time, until a manager unlocks them: also beside a security
/// key, which still serves. Not who has something else that takes codes, nor who has security keys alone.
pub async fn whom_only_a_manager_can_unlock_is_locked(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    store.create_tenant("other").await;
    let random = SeededRandom::new(1);
    let disabled =
        |own: Authenticator| Authenticator { standing: Standing::Disabled { since: START }, ..own };
    let app = || fixtures::totp_authenticator(&random, "app");
    let telephone = || fixtures::sms_authenticator(&random, "telephone");
    let key = || fixtures::security_key_authenticator(&random, "key");
    let owning = |authenticators: Vec<_>| UserState { authenticators, ..in_teams(&[("blue", Role::Member)]) };
    let mut waiting = owning(vec![app()]);
    waiting.failures.locked_until = Some(START.plus(TICK));
    let users = [
        (user("acme", "app"), owning(vec![disabled(app())])),
        (user("acme", "both"), owning(vec![disabled(app()), disabled(telephone())])),
        (user("acme", "has-a-key"), owning(vec![disabled(app()), key()])),
        (user("acme", "has-an-app"), owning(vec![app(), disabled(telephone())])),
        (user("acme", "keys"), owning(vec![disabled(key())])),
        (user("acme", "waiting"), waiting),
    ];
    store_all(&store, &random, &users).await;
    store.store_user(&random, &user("other", "app"), &owning(vec![disabled(app())])).await;

    for team in [None, Some(team_id("blue"))] {
        let at = |time| UserQuery { team: team.clone(), locked_at: Some(time), ..everybody(&tenant) };
        assert_eq!(list(&store, &at(START)).await, ["app", "both", "has-a-key", "waiting"]);
        let later = at(START.plus(Duration::from_hours(24)));
        assert_eq!(list(&store, &later).await, ["app", "both", "has-a-key"]);
        let page = UserQuery { after: Some(user_id("app")), limit: 1, ..at(START) };
        assert_eq!(list(&store, &page).await, ["both"]);
        let off = Facts::all().filter(|facts| !facts.on).collect();
        assert_eq!(list(&store, &UserQuery { facts: off, ..later }).await, [""; 0]);
    }
    let [(app, locked), ..] = &users;
    let mut unlocked = locked.clone();
    unlocked.authenticators[0].standing = Standing::Active;
    assert_eq!(store.step(&random, app, 1, locked, &unlocked).await.expect("an answer"), Commit::Done);
    let query = UserQuery { locked_at: Some(START), ..everybody(&tenant) };
    assert_eq!(list(&store, &query).await, ["both", "has-a-key", "waiting"]);
}

/// R45, R47: pages follow on each other in byte order, whatever their size; a page may begin after an id that nobody
/// has, and holds no more than its limit.
pub async fn pages_follow_in_byte_order(store: StoreUnderTest) {
    const ORDER: [&str; 19] =
        ["+", "-", "-a", ".", "0", "10", "9", ":", "@", "A", "A~", "B", "Z", "_", "a", "a-", "aA", "b", "~"];
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let members = in_teams(&[("blue", Role::Member)]);
    let mut users = ORDER.map(|id| (user("acme", id), members.clone()));
    users.reverse();
    store_all(&store, &random, &users).await;

    for team in [None, Some(team_id("blue"))] {
        let all = UserQuery { team, ..everybody(&tenant) };
        assert_eq!(list(&store, &all).await, ORDER);
        for limit in [1, 2, 7, 18, 19, 20] {
            let mut query = UserQuery { limit, ..all.clone() };
            let mut listed: Vec<String> = Vec::new();
            loop {
                let page = list(&store, &query).await;
                assert!(page.len() <= limit as usize);
                let Some(last) = page.last() else { break };
                query.after = Some(user_id(last));
                listed.extend(page);
                assert!(listed.len() <= ORDER.len(), "in pages of {limit}: {listed:?}");
            }
            assert_eq!(listed, ORDER, "in pages of {limit}");
        }
        for (after, first) in [("1", "10"), ("AA", "A~"), ("a~", "b"), ("+", "-")] {
            let query = UserQuery { after: Some(user_id(after)), limit: 1, ..all.clone() };
            assert_eq!(list(&store, &query).await, [first]);
        }
    }
}

/// R43: users of another tenant, with the same ids, teams and groups, are neither listed nor counted; a tenant that
/// does not exist has nobody.
pub async fn lists_and_counts_keep_to_their_tenant(store: StoreUnderTest) {
    let random = SeededRandom::new(1);
    let mut of_tenant = Vec::new();
    for (tenant, size) in [("acme", 5), ("acme-2", 3), ("other", 4)] {
        let id = store.create_tenant(tenant).await;
        let mut state = in_groups(&["staff"]);
        state.directory.as_mut().expect("just set").teams.push(membership("blue", Role::Member));
        state.failures.locked_until = Some(START.plus(TICK));
        let users: Vec<_> =
            (0..size).map(|number| (user(tenant, &format!("user-{number}")), state.clone())).collect();
        store_all(&store, &random, &users).await;
        of_tenant.push((id, size));
    }
    of_tenant.push((fixtures::tenant("nowhere"), 0));
    for (tenant, size) in of_tenant {
        let at = FactsAt { groups: vec!["staff".to_owned()], grace_cutoff: START };
        assert_eq!(counts(&store, &tenant, &at).await.values().sum::<u64>(), size);
        let query = UserQuery { at, ..everybody(&tenant) };
        let in_team = UserQuery { team: Some(team_id("blue")), ..query.clone() };
        let locked = UserQuery { locked_at: Some(START), ..query.clone() };
        for query in [query, in_team, locked] {
            assert_eq!(list(&store, &query).await.len() as u64, size);
        }
    }
}

/// B48: what a commit changes is listed and counted when it is acknowledged, what a conflict would have changed is
/// not. Who has nothing left is still a user, unless nobody knows them; a disabled authenticator is still a second factor.
pub async fn lists_and_counts_follow_commits(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let at = FactsAt { groups: vec!["staff".to_owned()], grace_cutoff: START };
    assert_eq!(counts(&store, &tenant, &at).await, BTreeMap::new());

    let enrolled = fixtures::user_with_totp(&random);
    let mut disabled = enrolled.clone();
    disabled.authenticators[0].standing = Standing::Disabled { since: START };
    let mut obliged = UserState::default();
    obliged.requirement.must_enroll = true;
    let mut graced = in_groups(&["board", "staff"]);
    graced.requirement.grace_started = Some(START);
    let moved = UserState { directory: in_groups(&["board"]).directory, ..enrolled.clone() };
    let states = [
        UserState::default(),
        enrolled,
        disabled,
        obliged,
        graced,
        moved,
        in_groups(&["staff"]),
        in_groups(&[]),
        UserState::default(),
    ];
    let mut old = UserState::default();
    for (version, next) in (0..).zip(states) {
        let known = next != UserState::default();
        let expected = (version > 0).then_some(Version(version));
        store.done(fixtures::change_set(&random, &ann, expected, &old, &next)).await;
        let facts = facts_of(&next, &at);
        let expected = known.then_some((facts, 1)).into_iter().collect();
        assert_eq!(counts(&store, &tenant, &at).await, expected, "version {version}");
        let query = UserQuery { at: at.clone(), facts: vec![facts], ..everybody(&tenant) };
        assert_eq!(list(&store, &query).await.len(), usize::from(known), "version {version}");
        old = next;
    }
    let mut stale = old.clone();
    stale.requirement.must_enroll = true;
    store.conflicts(fixtures::change_set(&random, &ann, Some(Version(1)), &old, &stale)).await;
    assert_eq!(counts(&store, &tenant, &at).await, BTreeMap::new());
}

/// R69: any users, narrowed in any way, are listed and counted as their states say.
pub async fn any_narrowing_agrees_with_the_states(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    store.create_tenant("other").await;
    let draw = Generator::new(6_000);
    let mut users = Vec::new();
    for number in 0..240 {
        let prefix = draw.pick(&["A", "a", "~", "_", "B-", "b."]);
        let tenant = if draw.one_in(6) { "other" } else { "acme" };
        let mut state = draw.state();
        if let Some(entry) = &mut state.directory {
            entry.groups = draw.some(5, |draw| draw.pick(&GROUPS).to_owned());
        }
        users.push((user(tenant, &format!("{prefix}{number}")), state));
    }
    store_all(&store, draw.random(), &users).await;

    for round in 0..150 {
        let at =
            FactsAt { groups: draw.some(4, |draw| draw.pick(&GROUPS).to_owned()), grace_cutoff: draw.time() };
        assert_eq!(counts(&store, &tenant, &at).await, reference(&users, &tenant, &at), "round {round}");
        let often = draw.one_in(2);
        let query = UserQuery {
            tenant: tenant.clone(),
            at,
            facts: Facts::all().filter(|_| often || draw.one_in(3)).collect(),
            team: draw.one_in(3).then(|| team_id(draw.pick(&["team-9", "team-6", "team-4", "team-0"]))),
            locked_at: draw.one_in(4).then(|| draw.time()),
            after: draw.one_in(3).then(|| user_id(draw.pick(&["A", "B", "_5", "a199", "b.", "~2"]))),
            limit: draw.pick(&[1, 10, 100, 1_000]),
        };
        let mut expected: Vec<_> = users
            .iter()
            .filter(|(user, state)| user.tenant == tenant && matches(&user.user, state, &query))
            .map(|(user, _)| user.user.as_str())
            .collect();
        expected.sort_unstable();
        expected.truncate(query.limit as usize);
        assert_eq!(list(&store, &query).await, expected, "round {round}: {query:?}");
    }
}
