//! Lists of requests for a reset, in the order of their age.

use super::StoreUnderTest;
use super::queries::reference::{TICK, in_teams, is_in, store_all, team_id};
use crate::SeededRandom;
use crate::fixtures::{START, user};
use crate::generate::Generator;
use countersign_domain::ids::{ResetRequestId, TeamId, TenantId};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{ResetRequest, Role, UserState};
use countersign_ports::ResetRequestQuery;

fn all(tenant: &TenantId, made_after: Timestamp) -> ResetRequestQuery {
    ResetRequestQuery { tenant: tenant.clone(), teams: None, made_after, after: None, limit: 1_000 }
}

fn asked(id: ResetRequestId, create_time: Timestamp, team: &str) -> UserState {
    let reset_request = Some(ResetRequest { id, reason: "a new 'phone'".to_owned(), create_time });
    UserState { reset_request, ..in_teams(&[(team, Role::Member)]) }
}

async fn listed(store: &StoreUnderTest, query: &ResetRequestQuery) -> Vec<String> {
    let requests = store.queries.reset_requests(query).await.expect("the store answers");
    requests.into_iter().map(|(user, _)| user.as_str().to_owned()).collect()
}

/// B42, ruling 15: requests made after a time are listed, one made at that time is not; of the teams that are asked
/// for, and of the tenant alone.
pub async fn requests_for_a_reset_are_listed_after_their_time(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    store.create_tenant("other").await;
    let random = SeededRandom::new(1);
    let id = |time| ResetRequestId::at(time, random.bytes());
    let later = START.plus(TICK);
    let users = [
        (user("acme", "at"), asked(id(START), START, "blue")),
        (user("acme", "later"), asked(id(later), later, "blue")),
        (user("acme", "never"), in_teams(&[("blue", Role::Member)])),
        (user("acme", "red"), asked(id(later), later.plus(TICK), "red")),
        (user("other", "stranger"), asked(id(later), later, "blue")),
    ];
    store_all(&store, &random, &users).await;
    for (made_after, blue) in
        [(START.minus(TICK), vec!["at", "later"]), (START, vec!["later"]), (later, vec![])]
    {
        let everybody: Vec<_> = blue.iter().copied().chain(["red"]).collect();
        assert_eq!(listed(&store, &all(&tenant, made_after)).await, everybody);
        let of = |teams: &[&str]| ResetRequestQuery {
            teams: Some(teams.iter().map(|team| team_id(team)).collect()),
            ..all(&tenant, made_after)
        };
        assert_eq!(listed(&store, &of(&["blue"])).await, blue);
        assert_eq!(listed(&store, &of(&["blue", "green", "red"])).await, everybody);
        assert_eq!(listed(&store, &of(&["green"])).await, [""; 0]);
        assert_eq!(listed(&store, &of(&[])).await, [""; 0]);
    }
    let listed = store.queries.reset_requests(&all(&tenant, START)).await.expect("the store answers");
    assert_eq!(Some(&listed[0].1), users[1].1.reset_request.as_ref());
}

/// B42: whoever asks again, is reset, or is erased leaves the list in the commit that says so.
pub async fn requests_follow_commits(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let first = asked(ResetRequestId::at(START, random.bytes()), START, "blue");
    let time = START.plus(TICK);
    let again = asked(ResetRequestId::at(time, random.bytes()), time, "blue");
    let states = [UserState::default(), first, again, UserState::default()];
    let mut old = UserState::default();
    store.store_user(&random, &ann, &old).await;
    for (version, next) in (1..).zip(states) {
        assert_eq!(
            store.step(&random, &ann, version, &old, &next).await.expect("an answer"),
            countersign_ports::Commit::Done
        );
        let requests = store.queries.reset_requests(&all(&tenant, START.minus(TICK))).await;
        let requests: Vec<_> =
            requests.expect("the store answers").into_iter().map(|(_, request)| request).collect();
        assert_eq!(requests, Vec::from_iter(next.reset_request.clone()), "version {version}");
        old = next;
    }
}

/// R47, R69: the pages of any list follow on each other in the order of time and id, also where many asked at one time.
pub async fn pages_of_requests_follow_in_the_order_of_their_age(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let draw = Generator::new(11_000);
    let mut users = Vec::new();
    for number in 0..60 {
        let time = START.plus(TICK * draw.pick(&[1, 2, 3, 5_000_000]));
        let id = ResetRequestId::at(START, draw.random().bytes());
        let team = draw.pick(&["blue", "red", "green"]);
        users.push((user("acme", &format!("user-{number}")), asked(id, time, team)));
    }
    store_all(&store, draw.random(), &users).await;
    let both: Vec<TeamId> = vec![team_id("blue"), team_id("red")];
    for teams in [None, Some(both)] {
        for made_after in [START, START.plus(TICK), START.plus(TICK * 2)] {
            let mut expected: Vec<_> = users
                .iter()
                .filter(|(_, state)| {
                    teams.as_ref().is_none_or(|teams| teams.iter().any(|team| is_in(state, team)))
                })
                .filter_map(|(user, state)| Some((state.reset_request.as_ref()?, user)))
                .filter(|(request, _)| request.create_time > made_after)
                .collect();
            expected.sort_by_key(|(request, _)| (request.create_time, request.id));
            let expected: Vec<_> =
                expected.into_iter().map(|(request, user)| (user.user.clone(), request.clone())).collect();
            for limit in [1, 7, 59, 60, 61] {
                let mut query = ResetRequestQuery { teams: teams.clone(), limit, ..all(&tenant, made_after) };
                let mut read = Vec::new();
                loop {
                    let page = store.queries.reset_requests(&query).await.expect("the store answers");
                    assert!(page.len() <= limit as usize);
                    let Some((_, last)) = page.last() else { break };
                    query.after = Some((last.create_time, last.id));
                    read.extend(page);
                    assert!(read.len() <= expected.len(), "in pages of {limit}");
                }
                assert_eq!(read, expected, "in pages of {limit}");
            }
        }
    }
}
