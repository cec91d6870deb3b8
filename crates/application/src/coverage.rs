//! Who is covered: statuses of many users for managers, operators and jobs; counts for the whole tenant.

use crate::{AppError, Application, StatusView};
use countersign_domain::actor::{Actor, Principal};
use countersign_domain::context::Context;
use countersign_domain::coverage::{self, Coverage, Facts, FactsAt};
use countersign_domain::denial::Denial;
use countersign_domain::ids::{TeamId, TenantId, UserId, UserRef};
use countersign_domain::policy::Policy;
use countersign_domain::status::{self, TwoFactorState};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{DirectoryEntry, RESET_REQUEST_LIFETIME, ResetRequest, UserState};
use countersign_ports::UserQuery;
use std::sync::Arc;

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

/// What an actor may see.
enum Sight {
    /// Everything: operators and jobs.
    All,
    /// The teams that they manage.
    Teams(DirectoryEntry),
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
        let mut statuses = Vec::with_capacity(users.len());
        for user in users {
            let (state, status) = self.member(tenant, user, None).await?;
            if !sight.covers(&state) {
                return Ok(Err(Denial::ActorNotTeamManager));
            }
            statuses.push(status);
        }
        Ok(Ok(statuses))
    }

    /// A page of statuses after `after`, as they would be at `at`, or are now. A manager names a team of theirs.
    pub async fn list_statuses(
        &self,
        tenant: &TenantId,
        filter: &StatusFilter,
        actor: &Actor,
        at: Option<Timestamp>,
        (after, limit): (Option<UserId>, u32),
    ) -> Result<Result<Vec<MemberStatus>, Denial>, AppError> {
        if !self.sight(tenant, actor).await?.covers_team(filter.team.as_ref()) {
            return Ok(Err(Denial::ActorNotTeamManager));
        }
        let policy = self.current_policy(tenant).await?;
        let now = self.0.deps.clock.now();
        let time = at.unwrap_or(now);
        let facts = Facts::all()
            .filter(|facts| {
                let state = coverage::standing(*facts, &policy, time).state();
                filter.states.is_empty() || filter.states.contains(&state)
            })
            .filter(|facts| !filter.required_only || coverage::is_required(*facts, &policy, time))
            .collect();
        let query = UserQuery {
            tenant: tenant.clone(),
            at: FactsAt::of(&policy, time),
            facts,
            team: filter.team.clone(),
            locked_at: filter.locked_only.then_some(now),
            reset_requested_after: None,
            after,
            limit,
        };
        let mut statuses = Vec::new();
        for user in self.0.deps.queries.list(&query).await? {
            statuses.push(self.member(tenant, &user, at).await?.1);
        }
        Ok(Ok(statuses))
    }

    /// Users by state now or at another time, and how many would be stopped then (B48).
    pub async fn coverage(
        &self,
        tenant: &TenantId,
        actor: &Actor,
        at: Option<Timestamp>,
    ) -> Result<Result<Coverage, Denial>, AppError> {
        if !self.sight(tenant, actor).await?.covers_team(None) {
            return Ok(Err(Denial::ActorNotTeamManager));
        }
        let policy = self.current_policy(tenant).await?;
        let time = at.unwrap_or_else(|| self.0.deps.clock.now());
        let counts = self.0.deps.queries.count(tenant, &FactsAt::of(&policy, time)).await?;
        Ok(Ok(coverage::coverage(counts, &policy, time)))
    }

    /// Open requests for a reset in a team, or, for operators and jobs, in all (B42).
    pub async fn reset_requests(
        &self,
        tenant: &TenantId,
        team: Option<TeamId>,
        actor: &Actor,
        (after, limit): (Option<UserId>, u32),
    ) -> Result<Result<Vec<(UserId, ResetRequest)>, Denial>, AppError> {
        if !self.sight(tenant, actor).await?.covers_team(team.as_ref()) {
            return Ok(Err(Denial::ActorNotTeamManager));
        }
        let now = self.0.deps.clock.now();
        let query = UserQuery {
            tenant: tenant.clone(),
            at: FactsAt { groups: Vec::new(), grace_cutoff: now },
            facts: Facts::all().collect(),
            team,
            locked_at: None,
            reset_requested_after: Some(now.minus(RESET_REQUEST_LIFETIME)),
            after,
            limit,
        };
        let mut requests = Vec::new();
        for user in self.0.deps.queries.list(&query).await? {
            let (state, _) = self.member(tenant, &user, None).await?;
            requests.extend(state.settled(now).reset_request.map(|request| (user, request)));
        }
        Ok(Ok(requests))
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
        let ctx = Context { user: &subject, policy: &snapshot.policy, digests: self.digests(), now };
        let status = status::status(&snapshot.loaded.state, &ctx);
        let view = StatusView { status, version: snapshot.loaded.version };
        Ok((snapshot.loaded.state, MemberStatus { user: user.clone(), view }))
    }

    async fn current_policy(&self, tenant: &TenantId) -> Result<Arc<Policy>, AppError> {
        let record = self.policy(tenant, None).await?;
        self.0.policies.get(self.0.deps.policies.as_ref(), tenant, record.revision).await
    }

    async fn sight(&self, tenant: &TenantId, actor: &Actor) -> Result<Sight, AppError> {
        let Principal::User(user) = &actor.principal else { return Ok(Sight::All) };
        let user = UserRef { tenant: tenant.clone(), user: user.clone() };
        let own = self.0.snapshot(&user).await?.loaded.state.directory.unwrap_or_default();
        Ok(Sight::Teams(own))
    }
}

impl Sight {
    fn covers(&self, state: &UserState) -> bool {
        match self {
            Self::All => true,
            Self::Teams(own) => {
                !own.disabled && state.directory.as_ref().is_some_and(|entry| own.manages(entry, true))
            }
        }
    }

    /// Whether a list may be drawn: without a team it covers the whole tenant.
    fn covers_team(&self, team: Option<&TeamId>) -> bool {
        match self {
            Self::All => true,
            Self::Teams(own) => !own.disabled && team.is_some_and(|team| own.manages_team(team)),
        }
    }
}
