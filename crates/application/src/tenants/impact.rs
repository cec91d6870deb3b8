//! What a policy does to the users of its tenant.

use crate::{AppError, Application};
use countersign_domain::coverage::{self, Coverage, FactsAt, Stopped};
use countersign_domain::ids::TenantId;
use countersign_domain::policy::{self, PolicyDocument};
use countersign_domain::time::Timestamp;

/// What a policy does to the users of its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Impact {
    /// Users of the tenant.
    pub users: u64,
    /// Users whose next login would be stopped under the new policy and would not under the old one, trusted providers aside.
    pub newly_stopped: u64,
    /// Users who would lose their only usable authenticator because security keys would sign for somebody else, or for
    /// nobody. Who has a telephone that nobody would deliver to, or a key that cannot verify its user, is not counted.
    pub losing_all: u64,
    /// Whether somebody would deliver text messages: this service, or the caller.
    pub delivers_text_messages: bool,
}

impl Application {
    /// What the new policy does to users at their next login.
    pub(super) async fn impact(
        &self,
        tenant: &TenantId,
        old: &PolicyDocument,
        new: &PolicyDocument,
        now: Timestamp,
    ) -> Result<Impact, AppError> {
        let deps = &self.0.deps;
        let counted = |rule: &PolicyDocument, groups: &[String]| {
            let mut rule = rule.clone();
            rule.requirement.groups = groups.to_vec();
            async move {
                let counts = deps.queries.count(tenant, &FactsAt::of(&rule, now), None).await?;
                Ok::<_, AppError>(coverage::coverage(counts, &rule, now))
            }
        };
        let (from, to) = (&old.requirement.groups, &new.requirement.groups);
        let either = coverage::either(from, to);
        let stopped = async |rule: &PolicyDocument| {
            let Coverage { total, stopped: old_groups, .. } = counted(rule, from).await?;
            if from == to {
                return Ok((total, Stopped { old_groups, new_groups: old_groups, either: old_groups }));
            }
            let new_groups = counted(rule, to).await?.stopped;
            let either = counted(rule, &either).await?.stopped;
            Ok::<_, AppError>((total, Stopped { old_groups, new_groups, either }))
        };
        let ((_, before), (users, after)) = (stopped(old).await?, stopped(new).await?);
        let newly_stopped = coverage::newly_stopped(before, after);
        let losing_all = if policy::voids_security_keys(old, new) {
            deps.queries.with_keys_alone(tenant).await?
        } else {
            0
        };
        let delivers_text_messages = new.sms.is_delivered(deps.text_messages.is_some());
        Ok(Impact { users, newly_stopped, losing_all, delivers_text_messages })
    }
}
