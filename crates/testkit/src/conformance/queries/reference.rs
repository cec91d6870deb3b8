//! Users to list and count, and what the lists and counts must be. No rule is written here.

use super::super::StoreUnderTest;
use crate::SeededRandom;
use crate::fixtures::{self, START, user};
use countersign_domain::coverage::{Facts, FactsAt, Grace};
use countersign_domain::event::EventType;
use countersign_domain::ids::{TeamId, TenantId, UserId, UserRef};
use countersign_domain::user::{DirectoryEntry, Role, TeamMembership, UserState};
use countersign_ports::UserQuery;
use std::collections::BTreeMap;
use std::time::Duration;

/// The smallest difference between two times.
pub(super) const TICK: Duration = Duration::from_micros(1);

pub(super) fn user_id(id: &str) -> UserId {
    UserId::parse(id).expect("a plain user id")
}

pub(super) fn team_id(id: &str) -> TeamId {
    TeamId::parse(id).expect("a plain team id")
}

pub(super) fn membership(team: &str, role: Role) -> TeamMembership {
    TeamMembership { team: team_id(team), role }
}

pub(super) fn in_teams(teams: &[(&str, Role)]) -> UserState {
    let teams = teams.iter().map(|(team, role)| membership(team, *role)).collect();
    UserState {
        directory: Some(DirectoryEntry { teams, ..DirectoryEntry::default() }),
        ..UserState::default()
    }
}

pub(super) fn in_groups(groups: &[&str]) -> UserState {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    UserState {
        directory: Some(DirectoryEntry { groups, ..DirectoryEntry::default() }),
        ..UserState::default()
    }
}

/// A user with these facts, against a cutoff at [`START`] and the group "staff".
pub(super) fn with_facts(random: &SeededRandom, facts: Facts) -> UserState {
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
pub(super) async fn store_all(store: &StoreUnderTest, random: &SeededRandom, users: &[(UserRef, UserState)]) {
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
pub(super) fn everybody(tenant: &TenantId) -> UserQuery {
    UserQuery {
        tenant: tenant.clone(),
        at: FactsAt { groups: Vec::new(), grace_cutoff: START },
        facts: Facts::all().collect(),
        team: None,
        locked_at: None,
        reset_requested_after: None,
        after: None,
        limit: 1_000,
    }
}

pub(super) async fn list(store: &StoreUnderTest, query: &UserQuery) -> Vec<String> {
    let listed = store.queries.list(query).await.expect("the store answers");
    listed.iter().map(|user| user.as_str().to_owned()).collect()
}

/// The counts, without combinations that nobody has; each combination may come once.
pub(super) async fn counts(store: &StoreUnderTest, tenant: &TenantId, at: &FactsAt) -> BTreeMap<Facts, u64> {
    let counts = store.queries.count(tenant, at).await.expect("the store answers");
    let known = counts.len();
    let mut counts: BTreeMap<_, _> = counts.into_iter().collect();
    assert_eq!(counts.len(), known, "a combination was counted twice");
    counts.retain(|_, count| *count > 0);
    counts
}

/// The counts that the states give.
pub(super) fn reference(
    users: &[(UserRef, UserState)],
    tenant: &TenantId,
    at: &FactsAt,
) -> BTreeMap<Facts, u64> {
    let mut counts = BTreeMap::new();
    for (_, state) in users.iter().filter(|(user, _)| user.tenant == *tenant) {
        *counts.entry(facts_of(state, at)).or_default() += 1;
    }
    counts
}

pub(super) fn facts_of(state: &UserState, at: &FactsAt) -> Facts {
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

pub(super) fn matches(user: &UserId, state: &UserState, query: &UserQuery) -> bool {
    let in_team = |team: &TeamId| {
        state.directory.as_ref().is_some_and(|entry| entry.teams.iter().any(|own| own.team == *team))
    };
    query.facts.contains(&facts_of(state, &query.at))
        && query.team.as_ref().is_none_or(in_team)
        && query.locked_at.is_none_or(|at| state.failures.locked_until.is_some_and(|until| at < until))
        && query.reset_requested_after.is_none_or(|after| {
            state.reset_request.as_ref().is_some_and(|request| after < request.create_time)
        })
        && query.after.as_ref().is_none_or(|after| after.as_str() < user.as_str())
}
