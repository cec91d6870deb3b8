//! Tenants: create from a preset, read, delete. How their policies change stands in `revise`, what that does to users in
//! `impact`, and what a request made before in `repeated`.

mod impact;
mod repeated;
mod revise;

pub use impact::Impact;
pub use revise::{PolicyUpdate, Weakening};

use crate::{AppError, Application, Meta};
use countersign_domain::actor::Actor;
use countersign_domain::event::{Event, EventType};
use countersign_domain::ids::{PolicyRevision, TenantId};
use countersign_domain::policy::{Policy, PolicyDocument, Preset};
use countersign_ports::{ChangeSet, Commit, EventRecord, StoreError, Tell, TenantRecord};
use std::sync::Arc;

/// Rounds before a change gives up on a policy that others keep changing.
const MAX_ROUNDS: usize = 8;

/// What is committed of a tenant, beside its event.
enum Change {
    Put(Box<TenantRecord>, Tell),
    /// Of the tenant whose policy in force is this one.
    Delete(PolicyRevision),
}

impl Application {
    /// Creates a tenant with this policy as revision 1. Asked again by the same request, it is the same tenant.
    pub async fn create_tenant(
        &self,
        meta: &Meta,
        actor: &Actor,
        tenant: TenantId,
        preset: Preset,
        policy: &Policy,
    ) -> Result<TenantRecord, AppError> {
        let record = TenantRecord {
            tenant,
            revision: PolicyRevision(1),
            document: PolicyDocument::clone(policy),
            preset: preset.id().to_owned(),
            create_time: self.0.trusted_now()?,
        };
        let event = Event::new(EventType::TenantCreated).with("preset", preset.id());
        let occasion = self.0.occasion(&record.tenant, record.revision, meta, record.create_time);
        let event = occasion.by(actor, None, event);
        let put = Change::Put(Box::new(record.clone()), Tell::Nobody);
        match self.change_tenant(put, event).await? {
            Commit::Done => Ok(record),
            Commit::Conflict => self.created_before(meta, actor, &record).await,
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

    /// Deletes a tenant whose revision in force is wanted: it is gone at once, and its id is not given again. Asked again by
    /// the same request, it is the same deletion.
    pub async fn delete_tenant(
        &self,
        meta: &Meta,
        actor: &Actor,
        tenant: &TenantId,
        wanted: impl Fn(PolicyRevision) -> bool,
    ) -> Result<(), AppError> {
        for _ in 0..MAX_ROUNDS {
            let Some(current) = self.0.deps.policies.policy(tenant, None).await? else {
                return self.deleted_before(meta, actor, tenant, wanted).await;
            };
            if !wanted(current.revision) {
                return Err(AppError::EtagMismatch);
            }
            let occasion = self.0.occasion(tenant, current.revision, meta, self.0.trusted_now()?);
            let event = occasion.by(actor, None, Event::new(EventType::TenantDeleted));
            match self.change_tenant(Change::Delete(current.revision), event).await {
                Ok(Commit::Done) => return Ok(()),
                // Another revision came first: who looked at the old one must look again, who did not is overtaken. Or another
                // deletion did, which may have been another try of the same request.
                Ok(Commit::Conflict) | Err(AppError::Store(StoreError::TenantMissing)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(AppError::Contended)
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
