//! Who is covered: statuses and counts of many users. Managers see the teams that they manage, operators and jobs
//! everybody.

mod sight;

use crate::policies::InForce;
use crate::{AppError, Application};
use countersign_domain::actor::Actor;
use countersign_domain::coverage::{self, Coverage, Facts, FactsAt};
use countersign_domain::denial::Denial;
use countersign_domain::ids::{ResetRequestId, TeamId, TenantId, UserId, UserRef};
use countersign_domain::status::{self, Status, TwoFactorState};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{RESET_REQUEST_LIFETIME, ResetRequest, UserState};
use countersign_ports::{ResetRequestQuery, StoreError, UserQuery};
use futures::future::try_join_all;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many users are loaded at a time: a page, and the one that tells whether there is another.
const TOGETHER: usize = 201;

/// A user in a list.
#[derive(Debug, Clone)]
pub struct MemberStatus {
    /// The user.
    pub user: UserId,
    /// Their status.
    pub status: Status,
}

/// Which users to list; all of it narrows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusFilter {
    /// Only these states; all where empty.
    pub states: Vec<TwoFactorState>,
    /// Only this team.
    pub team: Option<TeamId>,
    /// Only users whose codes are not evaluated then, be it for a while or until a manager unlocks them.
    pub locked_only: bool,
    /// Only users of whom a second factor is required, from now or from a date on.
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
        let time = at.unwrap_or_else(|| self.now());
        let facts = Facts::all()
            .filter(|facts| {
                let state = coverage::standing(*facts, &policy, time).state();
                filter.states.is_empty() || filter.states.contains(&state)
            })
            .filter(|facts| !filter.required_only || coverage::is_required(*facts, &policy))
            .collect();
        let query = UserQuery {
            tenant: tenant.clone(),
            at: FactsAt::of(&policy, time),
            facts,
            team: None,
            locked_at: filter.locked_only.then_some(time),
            after,
            limit,
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
        let counts = self.0.deps.queries.count(tenant, &at, narrowed(teams).as_deref()).await?;
        Ok(Ok(coverage::coverage(counts, &policy, time)))
    }

    /// Open requests for a reset after `after`, the oldest first: of a team, or of all that the actor may see (B42).
    pub async fn reset_requests(
        &self,
        tenant: &TenantId,
        team: Option<TeamId>,
        actor: &Actor,
        (after, limit): (Option<(Timestamp, ResetRequestId)>, u32),
    ) -> Result<Result<Vec<(UserId, ResetRequest)>, Denial>, AppError> {
        let Some(teams) = self.sight(tenant, actor).await?.scope(team) else {
            return Ok(Err(Denial::ActorNotTeamManager));
        };
        // Who does not exist has no requests, and is told so.
        self.policy(tenant, None).await?;
        let query = ResetRequestQuery {
            tenant: tenant.clone(),
            teams: narrowed(teams),
            made_after: self.now().minus(RESET_REQUEST_LIFETIME),
            after,
            limit,
        };
        Ok(Ok(self.0.deps.queries.reset_requests(&query).await?))
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
        let ctx = self.0.context(&subject, &snapshot.policy, at.unwrap_or(snapshot.now));
        let status = status::status(&snapshot.loaded.state, &ctx);
        Ok((snapshot.loaded.state, MemberStatus { user: user.clone(), status }))
    }

    /// The tenant's policy as it is now.
    pub(crate) async fn current_policy(&self, tenant: &TenantId) -> Result<Arc<InForce>, AppError> {
        let record = self.policy(tenant, None).await?;
        self.0.policies.get(tenant, record.revision).await
    }
}

/// These teams, or none where one of them is the whole tenant.
fn narrowed(teams: Vec<Option<TeamId>>) -> Option<Vec<TeamId>> {
    teams.into_iter().collect()
}
