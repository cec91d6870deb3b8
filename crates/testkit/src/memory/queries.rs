//! Lists and counts: every user is looked at, which a store in memory may do.

use super::MemoryStore;
use async_trait::async_trait;
use countersign_domain::coverage::{Facts, FactsAt, Grace};
use countersign_domain::ids::{TeamId, TenantId, UserId};
use countersign_domain::policy::AuthenticatorType;
use countersign_domain::user::{ResetRequest, UserState};
use countersign_ports::{ResetRequestQuery, StoreError, UserQueries, UserQuery};
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

/// Whether the user is in one of the teams; anybody is where there are none.
fn in_teams(state: &UserState, teams: Option<&[TeamId]>) -> bool {
    let mut own = state.directory.iter().flat_map(|entry| &entry.teams);
    teams.is_none_or(|teams| own.any(|membership| teams.contains(&membership.team)))
}

fn matches(state: &UserState, query: &UserQuery) -> bool {
    state.is_known()
        && query.facts.contains(&facts(state, &query.at))
        && in_teams(state, query.team.as_ref().map(std::slice::from_ref))
        && query.locked_at.is_none_or(|at| state.is_locked(at))
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

    async fn count(
        &self,
        tenant: &TenantId,
        at: &FactsAt,
        teams: Option<&[TeamId]>,
    ) -> Result<Vec<(Facts, u64)>, StoreError> {
        let everything = self.lock();
        let users = everything.tenants.get(tenant).into_iter().flat_map(|tenant| tenant.users.values());
        let mut counts = BTreeMap::new();
        for (_, state) in users.filter(|(_, state)| state.is_known() && in_teams(state, teams)) {
            *counts.entry(facts(state, at)).or_default() += 1;
        }
        Ok(counts.into_iter().collect())
    }

    async fn with_keys_alone(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        let everything = self.lock();
        let users = everything.tenants.get(tenant).into_iter().flat_map(|tenant| tenant.users.values());
        let alone = users.filter(|(_, state)| {
            state.has_active() && state.active().all(|own| own.kind() == AuthenticatorType::SecurityKey)
        });
        Ok(alone.count() as u64)
    }

    async fn reset_requests(
        &self,
        query: &ResetRequestQuery,
    ) -> Result<Vec<(UserId, ResetRequest)>, StoreError> {
        let everything = self.lock();
        let users = everything.tenants.get(&query.tenant).into_iter().flat_map(|tenant| &tenant.users);
        let users = users.filter(|(_, (_, state))| in_teams(state, query.teams.as_deref()));
        let requests =
            users.filter_map(|(user, (_, state))| Some((user.clone(), state.reset_request.clone()?)));
        let place = |(_, request): &(UserId, ResetRequest)| (request.create_time, request.id);
        let mut requests: Vec<_> = requests
            .filter(|entry| entry.1.create_time > query.made_after)
            .filter(|entry| query.after.is_none_or(|after| place(entry) > after))
            .collect();
        requests.sort_by_key(place);
        requests.truncate(query.limit as usize);
        Ok(requests)
    }
}
