//! Lists and counts: every user is looked at, which a store in memory may do.

use super::MemoryStore;
use async_trait::async_trait;
use countersign_domain::coverage::{Facts, FactsAt, Grace};
use countersign_domain::ids::{TenantId, UserId};
use countersign_domain::user::UserState;
use countersign_ports::{StoreError, UserQueries, UserQuery};
use std::collections::BTreeMap;

/// The facts of one user.
fn facts(state: &UserState, at: &FactsAt) -> Facts {
    let groups = state.directory.iter().flat_map(|entry| &entry.groups);
    Facts {
        on: state.is_on(),
        must_enroll: state.requirement.must_enroll,
        in_groups: groups.into_iter().any(|group| at.groups.contains(group)),
        grace: match state.requirement.grace_started {
            None => Grace::NotStarted,
            Some(started) if started <= at.grace_cutoff => Grace::Over,
            Some(_) => Grace::Running,
        },
    }
}

fn matches(state: &UserState, query: &UserQuery) -> bool {
    let teams = state.directory.iter().flat_map(|entry| &entry.teams);
    let mut teams = teams.map(|membership| &membership.team);
    query.facts.contains(&facts(state, &query.at))
        && query.team.as_ref().is_none_or(|team| teams.any(|own| own == team))
        && query.locked_at.is_none_or(|at| state.failures.locked_until(at).is_some())
        && query.reset_requested_after.is_none_or(|after| {
            state.reset_request.as_ref().is_some_and(|request| request.create_time > after)
        })
}

#[async_trait]
impl UserQueries for MemoryStore {
    async fn list(&self, query: &UserQuery) -> Result<Vec<UserId>, StoreError> {
        let everything = self.lock();
        let users = everything.tenants.get(&query.tenant).into_iter().flat_map(|tenant| &tenant.users);
        let wanted = |(user, (_, state)): &(&UserId, &(_, UserState))| {
            query.after.as_ref().is_none_or(|after| *user > after) && matches(state, query)
        };
        let mut ids: Vec<_> = users.filter(wanted).map(|(user, _)| user.clone()).collect();
        ids.sort();
        ids.truncate(query.limit as usize);
        Ok(ids)
    }

    async fn count(&self, tenant: &TenantId, at: &FactsAt) -> Result<Vec<(Facts, u64)>, StoreError> {
        let everything = self.lock();
        let mut counts = BTreeMap::new();
        for (_, state) in everything.tenants.get(tenant).into_iter().flat_map(|tenant| tenant.users.values())
        {
            *counts.entry(facts(state, at)).or_default() += 1;
        }
        Ok(counts.into_iter().collect())
    }
}
