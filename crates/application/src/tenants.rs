//! Tenants and their policies: create from a preset, read, revise with a look at what it does first.

use crate::{AppError, Application, Meta};
use countersign_domain::actor::Actor;
use countersign_domain::coverage::{self, Coverage, FactsAt, Stopped};
use countersign_domain::event::{Event, EventType};
use countersign_domain::ids::{PolicyRevision, TenantId};
use countersign_domain::policy::{self, FieldChange, PolicyDocument, Preset};
use countersign_domain::time::Timestamp;
use countersign_ports::{ChangeSet, Commit, EventRecord, Tell, TenantRecord};
use std::sync::Arc;

/// A policy that was changed, or would be.
#[derive(Debug, Clone)]
pub struct PolicyUpdate {
    /// The new revision.
    pub record: TenantRecord,
    /// The fields that differ.
    pub changes: Vec<FieldChange>,
    /// What it does to users now.
    pub impact: Impact,
}

/// What a policy does to the users of its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Impact {
    /// Users of the tenant.
    pub users: u64,
    /// Users whose next login would be stopped under the new policy and would not under the old one.
    pub newly_stopped: u64,
    /// Users who would lose their only usable authenticator. Only a policy by which security keys sign for somebody else, or
    /// for nobody, does that for certain; whatever else is enrolled stays usable under any.
    pub losing_all: u64,
}

/// What is committed of a tenant, beside its event.
enum Change {
    Put(Box<TenantRecord>, Tell),
    /// Of the tenant whose policy in force is this one.
    Delete(PolicyRevision),
}

impl Application {
    /// Creates a tenant with this policy as revision 1.
    pub async fn create_tenant(
        &self,
        meta: Meta,
        actor: &Actor,
        tenant: TenantId,
        preset: Preset,
        document: PolicyDocument,
    ) -> Result<TenantRecord, AppError> {
        document.clone().validated().map_err(AppError::PolicyInvalid)?;
        let record = TenantRecord {
            tenant,
            revision: PolicyRevision(1),
            document,
            preset: preset.id().to_owned(),
            create_time: self.0.trusted_now()?,
        };
        let event = Event::new(EventType::TenantCreated).with("preset", preset.id());
        match self.put(&record, &meta, actor, event, Tell::Nobody).await? {
            Commit::Done => Ok(record),
            Commit::Conflict => Err(AppError::TenantExists),
        }
    }

    /// The policy of a tenant: a revision of it, or the current one.
    pub async fn policy(
        &self,
        tenant: &TenantId,
        revision: Option<PolicyRevision>,
    ) -> Result<TenantRecord, AppError> {
        self.0.deps.policies.policy(tenant, revision).await?.ok_or(AppError::TenantNotFound)
    }

    /// Tenants in byte order of their ids.
    pub async fn tenants(&self, after: Option<&TenantId>, limit: u32) -> Result<Vec<TenantRecord>, AppError> {
        Ok(self.0.deps.policies.tenants(after, limit).await?)
    }

    /// Which fields `document` would change, whether that is allowed, and what it would do to users. The revision that comes
    /// of it is as old as this preview, so the clock must be one that can be relied on (R65).
    pub async fn preview_policy(
        &self,
        current: &TenantRecord,
        document: PolicyDocument,
        may_weaken: bool,
    ) -> Result<PolicyUpdate, AppError> {
        let now = self.0.trusted_now()?;
        let old = current.document.clone().validated().map_err(|_| AppError::PolicyCorrupt)?;
        let new = document.clone().validated().map_err(AppError::PolicyInvalid)?;
        let changes = policy::changes(&old, &new);
        let weaker: Vec<_> =
            changes.iter().filter(|change| change.weaker).map(|change| change.field).collect();
        if !may_weaken && !weaker.is_empty() {
            return Err(AppError::WeakeningDenied { fields: weaker });
        }
        let impact = self.impact(&current.tenant, &old, &new, now).await?;
        let record = TenantRecord {
            revision: PolicyRevision(current.revision.0.saturating_add(1)),
            document,
            create_time: now,
            ..current.clone()
        };
        Ok(PolicyUpdate { record, changes, impact })
    }

    /// What the new policy does to users at their next login.
    async fn impact(
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
        Ok(Impact { users, newly_stopped, losing_all })
    }

    /// Makes a previewed policy the tenant's current one; refused where another revision came first. A policy that
    /// changes nothing makes no revision.
    pub async fn update_policy(
        &self,
        meta: Meta,
        actor: &Actor,
        update: &PolicyUpdate,
    ) -> Result<(), AppError> {
        if update.changes.is_empty() {
            return Ok(());
        }
        let fields: Vec<_> = update.changes.iter().map(|change| change.field).collect();
        let weaker = update.changes.iter().any(|change| change.weaker);
        let event = Event::new(EventType::PolicyUpdated)
            .with("fields", fields.join(" "))
            .with("weaker", if weaker { "true" } else { "false" });
        // In the same commit, and by no choice of who changes it (R37, R58).
        let tell = if weaker { Tell::Managers } else { Tell::Nobody };
        match self.put(&update.record, &meta, actor, event, tell).await? {
            Commit::Done => Ok(()),
            Commit::Conflict => Err(AppError::EtagMismatch),
        }
    }

    /// Deletes a tenant, whose current policy is this: it is gone at once, and its id is not given again.
    pub async fn delete_tenant(
        &self,
        meta: Meta,
        actor: &Actor,
        current: &TenantRecord,
    ) -> Result<(), AppError> {
        let (of, time) = ((&current.tenant, current.revision), self.0.trusted_now()?);
        let event = self.0.event_of(of, (&meta, actor), Event::new(EventType::TenantDeleted), time);
        match self.change_tenant(Change::Delete(current.revision), event).await? {
            Commit::Done => Ok(()),
            Commit::Conflict => Err(AppError::EtagMismatch),
        }
    }

    /// Commits a revision, whose time was judged when it was read.
    async fn put(
        &self,
        record: &TenantRecord,
        meta: &Meta,
        actor: &Actor,
        event: Event,
        tell: Tell,
    ) -> Result<Commit, AppError> {
        let of = (&record.tenant, record.revision);
        let event = self.0.event_of(of, (meta, actor), event, record.create_time);
        self.change_tenant(Change::Put(Box::new(record.clone()), tell), event).await
    }

    /// Commits a change of a tenant with its event, in a task of its own: a caller who leaves changes nothing about it (R17).
    async fn change_tenant(&self, change: Change, event: EventRecord) -> Result<Commit, AppError> {
        let inner = Arc::clone(&self.0);
        self.in_own_task(async move {
            let (policies, told) = (&inner.deps.policies, ChangeSet::telling(event.clone()));
            let ended = match change {
                Change::Put(record, tell) => policies.put_policy(*record, told, tell).await,
                Change::Delete(current) => policies.delete_tenant(current, told).await,
            };
            inner.settle_event(&event, ended).await
        })
        .await
    }
}
