//! How a policy changes: read the one in force, make the new one of it, look at what that does, commit it in its place.
//!
//! Nothing is committed but what was made and compared here, so that no change goes by R37.

use super::{Change, Impact, MAX_ROUNDS};
use crate::{AppError, Application, Meta};
use countersign_domain::actor::Actor;
use countersign_domain::event::{Event, EventType};
use countersign_domain::ids::{PolicyRevision, TenantId};
use countersign_domain::policy::{self, FieldChange, Policy, PolicyDocument};
use countersign_ports::{Commit, Tell, TenantRecord};

/// Whether a change of a policy may ask less of users (R37).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakening {
    /// It may.
    Allowed,
    /// It is refused where it does.
    Denied,
}

/// A policy that was changed, or would be.
#[derive(Debug, Clone)]
pub struct PolicyUpdate {
    before: TenantRecord,
    after: TenantRecord,
    impact: Impact,
}

impl PolicyUpdate {
    /// The revision that it changes.
    pub const fn before(&self) -> &TenantRecord {
        &self.before
    }

    /// The revision that comes of it: the one before where nothing changes.
    pub const fn after(&self) -> &TenantRecord {
        &self.after
    }

    /// What it does to users now.
    pub const fn impact(&self) -> Impact {
        self.impact
    }
}

/// A change on its way: with the fields that differ.
struct Draft {
    update: PolicyUpdate,
    changes: Vec<FieldChange>,
}

impl Application {
    /// What a change of the policy in force would do, and whether it is allowed. `make` makes the new policy of the one in
    /// force, or refuses.
    ///
    /// A revision is as old as the look at what it does, so the clock must be one that can be relied on (R65).
    pub async fn preview_policy<E>(
        &self,
        tenant: &TenantId,
        weakening: Weakening,
        make: impl Fn(&TenantRecord) -> Result<Policy, E>,
    ) -> Result<Result<PolicyUpdate, E>, AppError> {
        let current = self.policy(tenant, None).await?;
        Ok(match make(&current) {
            Ok(policy) => Ok(self.draft(current, &policy, weakening).await?.update),
            Err(refused) => Err(refused),
        })
    }

    /// Changes the policy in force, as [`Application::preview_policy`] says of it. A change that others overtake is made of
    /// what they left; one that changes nothing makes no revision. Asked again by the same request, it is the same change.
    pub async fn update_policy<E>(
        &self,
        meta: &Meta,
        actor: &Actor,
        tenant: &TenantId,
        weakening: Weakening,
        make: impl Fn(&TenantRecord) -> Result<Policy, E>,
    ) -> Result<Result<PolicyUpdate, E>, AppError> {
        for _ in 0..MAX_ROUNDS {
            let current = self.policy(tenant, None).await?;
            if let Some(made) = self.updated_before(meta, actor, &current).await? {
                return self.repeated_update(made, make).await.map(Ok);
            }
            let policy = match make(&current) {
                Ok(policy) => policy,
                Err(refused) => return Ok(Err(refused)),
            };
            let draft = self.draft(current, &policy, weakening).await?;
            match self.put(meta, actor, &draft).await? {
                Commit::Done => return Ok(Ok(draft.update)),
                // Another revision came first. Whoever looked at the old one is told so by `make`.
                Commit::Conflict => {}
            }
        }
        Err(AppError::Contended)
    }

    /// The change to this policy, with what it does.
    async fn draft(
        &self,
        before: TenantRecord,
        policy: &Policy,
        weakening: Weakening,
    ) -> Result<Draft, AppError> {
        let now = self.0.trusted_now()?;
        let old = valid(&before)?;
        let changes = policy::changes(&old, policy);
        let fields: Vec<_> = weaker(&changes).collect();
        if weakening == Weakening::Denied && !fields.is_empty() {
            return Err(AppError::WeakeningDenied { fields });
        }
        let impact = self.impact(&before.tenant, &old, policy, now).await?;
        let mut after = before.clone();
        if !changes.is_empty() {
            after.revision = PolicyRevision(before.revision.0.saturating_add(1));
            after.document = PolicyDocument::clone(policy);
            after.create_time = now;
        }
        Ok(Draft { update: PolicyUpdate { before, after, impact }, changes })
    }

    /// Puts the new revision in force, unless another one came first.
    async fn put(&self, meta: &Meta, actor: &Actor, draft: &Draft) -> Result<Commit, AppError> {
        let Draft { update: PolicyUpdate { after, .. }, changes } = draft;
        if changes.is_empty() {
            return Ok(Commit::Done);
        }
        let fields: Vec<_> = changes.iter().map(|change| change.field).collect();
        let asks_less = weaker(changes).next().is_some();
        let event = Event::new(EventType::PolicyUpdated)
            .with("fields", fields.join(" "))
            .with("weaker", if asks_less { "true" } else { "false" });
        let occasion = self.0.occasion(&after.tenant, after.revision, meta, after.create_time);
        let event = occasion.by(actor, None, event);
        // In the same commit, and by no choice of who changes it (R37, R58).
        let tell = if asks_less { Tell::Managers } else { Tell::Nobody };
        self.change_tenant(Change::Put(Box::new(after.clone()), tell), event).await
    }

    /// The answer to a request that made this revision before: what it does is counted as of now. Refused where it would not
    /// have made it.
    async fn repeated_update<E>(
        &self,
        after: TenantRecord,
        make: impl Fn(&TenantRecord) -> Result<Policy, E>,
    ) -> Result<PolicyUpdate, AppError> {
        let revision = PolicyRevision(after.revision.0.saturating_sub(1));
        let before = self.policy(&after.tenant, Some(revision)).await?;
        // The same arguments make the same change of the same policy; only a change that was allowed was made.
        if !make(&before).is_ok_and(|policy| *policy == after.document) {
            return Err(AppError::RequestIdReused);
        }
        let (old, new, now) = (valid(&before)?, valid(&after)?, self.0.trusted_now()?);
        let impact = self.impact(&after.tenant, &old, &new, now).await?;
        Ok(PolicyUpdate { before, after, impact })
    }
}

/// The fields of these that ask less of users.
fn weaker(changes: &[FieldChange]) -> impl Iterator<Item = &'static str> {
    changes.iter().filter(|change| change.weaker).map(|change| change.field)
}

fn valid(record: &TenantRecord) -> Result<Policy, AppError> {
    record.document.clone().validated().map_err(|_| AppError::PolicyCorrupt)
}
