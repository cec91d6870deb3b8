//! Who is covered: statuses and counts of many users. Managers see the teams that they manage, operators and jobs
//! everybody.

mod sight;

use crate::{AppError, Application, StatusView};
use countersign_domain::actor::Actor;
use countersign_domain::context::Context;
use countersign_domain::coverage::{self, Coverage, Facts, FactsAt};
use countersign_domain::denial::Denial;
use countersign_domain::ids::{ResetRequestId, TeamId, TenantId, UserId, UserRef};
use countersign_domain::policy::Policy;
use countersign_domain::status::{self, TwoFactorState};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{RESET_REQUEST_LIFETIME, ResetRequest, UserState};
use countersign_ports::{StoreError, UserQuery};
use futures::future::try_join_all;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many users are asked of the store at a time where all of them are wanted; the port gives no more.
const PAGE: u32 = 1_000;
/// How many users are loaded at a time: a page, and the one that tells whether there is another.
const TOGETHER: usize = 201;

/// A user in a list.
#[derive(Debug, Clone)]
pub struct MemberStatus {
    /// The user.
    pub user: UserId,
    /// Their status.
    pub view: StatusView,
}

/// Which users to list; all of it narrows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusFilter {
    /// Only these states; all where empty.
    pub states: Vec<TwoFactorState>,
    /// Only this team.
    pub team: Option<TeamId>,
    /// Only users whose codes are not evaluated now.
    pub locked_only: bool,
    /// Only users for whom the requirement has begun.
    pub required_only: bool,
}

impl Application {
    /// Statuses of named users. A manager sees members of teams they manage; anybody else's is denied.
    pub async fn statuses(
        &self,
        tenant: &TenantId,
        users: &[UserId],
        actor: &Actor,
    ) -> Result<Result<Vec<MemberStatus>, Denial>, AppError> {
        let sight = self.sight(tenant, actor).await?;
        let members = self.members(tenant, users, None).await?;
        if members.iter().any(|(state, _)| !sight.covers(state)) {
            return Ok(Err(Denial::ActorNotTeamManager));
        }
        Ok(Ok(members.into_iter().map(|(_, status)| status).collect()))
    }

    /// A page of statuses after `after`, as they would be at `at`, or are now. Without a team a manager's covers all of
    /// theirs.
    pub async fn list_statuses(
        &self,
        tenant: &TenantId,
        filter: &StatusFilter,
        actor: &Actor,
        at: Option<Timestamp>,
        (after, limit): (Option<UserId>, u32),
    ) -> Result<Result<Vec<MemberStatus>, Denial>, AppError> {
        let Some(teams) = self.sight(tenant, actor).await?.scope(filter.team.clone()) else {
            return Ok(Err(Denial::ActorNotTeamManager));
        };
        let policy = self.current_policy(tenant).await?;
        let now = self.now();
        let time = at.unwrap_or(now);
        let facts = Facts::all()
            .filter(|facts| {
                let state = coverage::standing(*facts, &policy, time).state();
                filter.states.is_empty() || filter.states.contains(&state)
            })
            .filter(|facts| !filter.required_only || coverage::is_required(*facts, &policy, time))
            .collect();
        let query = UserQuery {
            facts,
            locked_at: filter.locked_only.then_some(now),
            after,
            limit,
            ..everybody(tenant, FactsAt::of(&policy, time))
        };
        let users = self.in_teams(query, &teams).await?;
        let members = self.members(tenant, &users, at).await?;
        Ok(Ok(members.into_iter().map(|(_, status)| status).collect()))
    }

    /// Users by state now or at another time, and how many would be stopped then (B48). A manager's counts cover the
    /// teams that they manage.
    pub async fn coverage(
        &self,
        tenant: &TenantId,
        actor: &Actor,
        at: Option<Timestamp>,
    ) -> Result<Result<Coverage, Denial>, AppError> {
        let Some(teams) = self.sight(tenant, actor).await?.scope(None) else {
            return Ok(Err(Denial::ActorNotTeamManager));
        };
        let policy = self.current_policy(tenant).await?;
        let time = at.unwrap_or_else(|| self.now());
        let at = FactsAt::of(&policy, time);
        let counts = if teams.iter().any(Option::is_none) {
            self.0.deps.queries.count(tenant, &at).await?
        } else {
            self.count_in_teams(tenant, &at, &teams).await?
        };
        Ok(Ok(coverage::coverage(counts, &policy, time)))
    }

    /// Open requests for a reset after `after`, the oldest first: of a team, or of all that the actor may see (B42).
    pub async fn reset_requests(
        &self,
        tenant: &TenantId,
        team: Option<TeamId>,
        actor: &Actor,
        (after, limit): (Option<(Timestamp, ResetRequestId)>, usize),
    ) -> Result<Result<Vec<(UserId, ResetRequest)>, Denial>, AppError> {
        let Some(teams) = self.sight(tenant, actor).await?.scope(team) else {
            return Ok(Err(Denial::ActorNotTeamManager));
        };
        let now = self.now();
        let query = UserQuery {
            reset_requested_after: Some(now.minus(RESET_REQUEST_LIFETIME)),
            ..everybody(tenant, FactsAt { groups: Vec::new(), grace_cutoff: now })
        };
        let mut requests = Vec::new();
        for users in self.all_in_teams(query, &teams).await?.chunks(TOGETHER) {
            for (state, member) in self.members(tenant, users, None).await? {
                requests.extend(state.settled(now).reset_request.map(|request| (member.user, request)));
            }
        }
        let place = |request: &ResetRequest| (request.create_time, request.id);
        requests.retain(|(_, request)| after.is_none_or(|after| place(request) > after));
        requests.sort_by_key(|(_, request)| place(request));
        requests.truncate(limit);
        Ok(Ok(requests))
    }

    /// The page of users that the query asks for, over these teams together.
    async fn in_teams(
        &self,
        mut query: UserQuery,
        teams: &[Option<TeamId>],
    ) -> Result<Vec<UserId>, StoreError> {
        let mut users = BTreeSet::new();
        for team in teams {
            query.team.clone_from(team);
            users.extend(self.0.deps.queries.list(&query).await?);
        }
        Ok(users.into_iter().take(query.limit as usize).collect())
    }

    /// All users that the query asks for, over these teams together.
    async fn all_in_teams(
        &self,
        mut query: UserQuery,
        teams: &[Option<TeamId>],
    ) -> Result<Vec<UserId>, StoreError> {
        let mut all = Vec::new();
        loop {
            let users = self.in_teams(query.clone(), teams).await?;
            let last = users.last().filter(|_| users.len() >= query.limit as usize).cloned();
            all.extend(users);
            match last {
                Some(last) => query.after = Some(last),
                None => return Ok(all),
            }
        }
    }

    /// How many users of these teams together have each combination of facts.
    async fn count_in_teams(
        &self,
        tenant: &TenantId,
        at: &FactsAt,
        teams: &[Option<TeamId>],
    ) -> Result<Vec<(Facts, u64)>, StoreError> {
        let mut counts = Vec::new();
        for facts in Facts::all() {
            let query = UserQuery { facts: vec![facts], ..everybody(tenant, at.clone()) };
            counts.push((facts, self.all_in_teams(query, teams).await?.len() as u64));
        }
        Ok(counts)
    }

    /// These users in their order. All are loaded at the same time, which a store may do as one statement.
    async fn members(
        &self,
        tenant: &TenantId,
        users: &[UserId],
        at: Option<Timestamp>,
    ) -> Result<Vec<(UserState, MemberStatus)>, AppError> {
        let mut members = Vec::with_capacity(users.len());
        for some in users.chunks(TOGETHER) {
            members.extend(try_join_all(some.iter().map(|user| self.member(tenant, user, at))).await?);
        }
        Ok(members)
    }

    async fn member(
        &self,
        tenant: &TenantId,
        user: &UserId,
        at: Option<Timestamp>,
    ) -> Result<(UserState, MemberStatus), AppError> {
        let subject = UserRef { tenant: tenant.clone(), user: user.clone() };
        let snapshot = self.0.snapshot(&subject).await?;
        let now = at.unwrap_or(snapshot.now);
        let ctx = Context {
            user: &subject,
            policy: &snapshot.policy,
            digests: self.digests(),
            keys: self.keys(),
            now,
        };
        let status = status::status(&snapshot.loaded.state, &ctx);
        let view = StatusView { status, version: snapshot.loaded.version };
        Ok((snapshot.loaded.state, MemberStatus { user: user.clone(), view }))
    }

    async fn current_policy(&self, tenant: &TenantId) -> Result<Arc<Policy>, AppError> {
        let record = self.policy(tenant, None).await?;
        self.0.policies.get(self.0.deps.policies.as_ref(), tenant, record.revision).await
    }
}

/// A query that nothing narrows.
fn everybody(tenant: &TenantId, at: FactsAt) -> UserQuery {
    UserQuery {
        tenant: tenant.clone(),
        at,
        facts: Facts::all().collect(),
        team: None,
        locked_at: None,
        reset_requested_after: None,
        after: None,
        limit: PAGE,
    }
}
