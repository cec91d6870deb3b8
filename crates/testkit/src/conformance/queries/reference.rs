//! Users to list and count, and what the lists and counts must be. No rule is written here.

use super::super::StoreUnderTest;
use crate::SeededRandom;
use crate::fixtures::{self, START, user};
use countersign_domain::coverage::{Facts, FactsAt, Grace};
use countersign_domain::event::EventType;
use countersign_domain::ids::{TeamId, TenantId, UserId, UserRef};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{
    Authenticator, Credential, DirectoryEntry, Role, Standing, TeamMembership, UserState,
};
use countersign_ports::UserQuery;
use std::collections::BTreeMap;
use std::time::Duration;

/// The smallest difference between two times.
pub(in crate::conformance) const TICK: Duration = Duration::from_micros(1);

pub(in crate::conformance) fn user_id(id: &str) -> UserId {
    UserId::parse(id).expect("a plain user id")
}

pub(in crate::conformance) fn team_id(id: &str) -> TeamId {
    TeamId::parse(id).expect("a plain team id")
}

pub(in crate::conformance) fn membership(team: &str, role: Role) -> TeamMembership {
    TeamMembership { team: team_id(team), role }
}

pub(in crate::conformance) fn in_teams(teams: &[(&str, Role)]) -> UserState {
    let teams = teams.iter().map(|(team, role)| membership(team, *role)).collect();
    UserState {
        directory: Some(DirectoryEntry { teams, ..DirectoryEntry::default() }),
        ..UserState::default()
    }
}

pub(in crate::conformance) fn in_groups(groups: &[&str]) -> UserState {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    UserState {
        directory: Some(DirectoryEntry { groups, ..DirectoryEntry::default() }),
        ..UserState::default()
    }
}

/// A user with these facts, against a cutoff at [`START`] and the group "staff".
pub(in crate::conformance) fn with_facts(random: &SeededRandom, facts: Facts) -> UserState {
    let mut state = if facts.in_groups { in_groups(&["a", "staff", "z"]) } else { in_groups(&["a"]) };
    if facts.on {
        state.authenticators = vec![fixtures::totp_authenticator(random, "phone")];
    }
    state.requirement.must_enroll = facts.must_enroll;
    state.requirement.grace_started = match facts.grace {
        Grace::NotStarted => None,
        Grace::Running => Some(START.plus(TICK)),
        Grace::Over => Some(START),
    };
    state
}

/// Stores users of one or more tenants for the first time, many in one commit.
pub(in crate::conformance) async fn store_all(
    store: &StoreUnderTest,
    random: &SeededRandom,
    users: &[(UserRef, UserState)],
) {
    let mut of_tenant: BTreeMap<&TenantId, Vec<_>> = BTreeMap::new();
    for (user, state) in users {
        let change = fixtures::user_change(user, None, &UserState::default(), state);
        of_tenant.entry(&user.tenant).or_default().push(change);
    }
    for (tenant, changes) in of_tenant {
        for changes in changes.chunks(40) {
            let nobody = UserRef { tenant: tenant.clone(), ..user("any", "directory") };
            let mut change = fixtures::event_only(random, &nobody, EventType::UserPut);
            change.users = changes.to_vec();
            store.done(change).await;
        }
    }
}

/// The query for all users of a tenant.
pub(in crate::conformance) fn everybody(tenant: &TenantId) -> UserQuery {
    UserQuery {
        tenant: tenant.clone(),
        at: FactsAt { groups: Vec::new(), grace_cutoff: START },
        facts: Facts::all().collect(),
        team: None,
        locked_at: None,
        after: None,
        limit: 1_000,
    }
}

pub(in crate::conformance) async fn list(store: &StoreUnderTest, query: &UserQuery) -> Vec<String> {
    let listed = store.queries.list(query).await.expect("the store answers");
    listed.iter().map(|user| user.as_str().to_owned()).collect()
}

/// The tenant's counts, without combinations that nobody has; each combination may come once.
pub(in crate::conformance) async fn counts(
    store: &StoreUnderTest,
    tenant: &TenantId,
    at: &FactsAt,
) -> BTreeMap<Facts, u64> {
    counts_in(store, tenant, at, None).await
}

/// The same of these teams together.
pub(in crate::conformance) async fn counts_in(
    store: &StoreUnderTest,
    tenant: &TenantId,
    at: &FactsAt,
    teams: Option<&[TeamId]>,
) -> BTreeMap<Facts, u64> {
    let counts = store.queries.count(tenant, at, teams).await.expect("the store answers");
    let known = counts.len();
    let mut counts: BTreeMap<_, _> = counts.into_iter().collect();
    assert_eq!(counts.len(), known, "a combination was counted twice");
    counts.retain(|_, count| *count > 0);
    counts
}

/// The counts that the states give.
pub(in crate::conformance) fn reference(
    users: &[(UserRef, UserState)],
    tenant: &TenantId,
    at: &FactsAt,
) -> BTreeMap<Facts, u64> {
    reference_in(users, tenant, at, None)
}

/// The same of these teams together.
pub(in crate::conformance) fn reference_in(
    users: &[(UserRef, UserState)],
    tenant: &TenantId,
    at: &FactsAt,
    teams: Option<&[TeamId]>,
) -> BTreeMap<Facts, u64> {
    let mut counts = BTreeMap::new();
    let wanted = |state: &UserState| {
        is_known(state) && teams.is_none_or(|teams| teams.iter().any(|team| is_in(state, team)))
    };
    for (_, state) in users.iter().filter(|(user, state)| user.tenant == *tenant && wanted(state)) {
        *counts.entry(facts_of(state, at)).or_default() += 1;
    }
    counts
}

/// Whether lists and counts name the user.
fn is_known(state: &UserState) -> bool {
    let UserState { directory, authenticators, state_since, requirement, .. } = state;
    directory.is_some()
        || !authenticators.is_empty()
        || state_since.is_some()
        || requirement.must_enroll
        || requirement.grace_started.is_some()
}

/// Whether no code of the user is evaluated: until a lock ends, or because nothing is left of what took codes.
fn is_locked(state: &UserState, at: Timestamp) -> bool {
    let mut codes =
        state.authenticators.iter().filter(|own| !matches!(own.credential, Credential::SecurityKey(_)));
    let disabled = |own: &Authenticator| own.standing != Standing::Active;
    state.failures.locked_until.is_some_and(|until| at < until)
        || codes.clone().next().is_some() && codes.all(disabled)
}

/// Whether the user is a member or a manager of the team.
pub(in crate::conformance) fn is_in(state: &UserState, team: &TeamId) -> bool {
    state.directory.as_ref().is_some_and(|entry| entry.teams.iter().any(|own| own.team == *team))
}

pub(in crate::conformance) fn facts_of(state: &UserState, at: &FactsAt) -> Facts {
    let groups = state.directory.as_ref().map_or(&[][..], |entry| entry.groups.as_slice());
    Facts {
        on: !state.authenticators.is_empty(),
        must_enroll: state.requirement.must_enroll,
        in_groups: at.groups.iter().any(|group| groups.contains(group)),
        grace: match state.requirement.grace_started {
            None => Grace::NotStarted,
            Some(began) if began > at.grace_cutoff => Grace::Running,
            Some(_) => Grace::Over,
        },
    }
}

pub(in crate::conformance) fn matches(user: &UserId, state: &UserState, query: &UserQuery) -> bool {
    is_known(state)
        && query.facts.contains(&facts_of(state, &query.at))
        && query.team.as_ref().is_none_or(|team| is_in(state, team))
        && query.locked_at.is_none_or(|at| is_locked(state, at))
        && query.after.as_ref().is_none_or(|after| after.as_str() < user.as_str())
}
