//! Whether a change of a tenant was made before by the same request. No answer to it is kept: the event of the change is the
//! record of it (ruling 8, R60). Compared is what that holds, who acted and what came of it; what a request asked beside
//! that is not known any more.

use crate::{AppError, Application, Meta, REPEAT_FOR};
use countersign_domain::actor::{Actor, RecordedActor};
use countersign_domain::event::EventType;
use countersign_domain::ids::{PolicyRevision, TenantId};
use countersign_domain::time::Timestamp;
use countersign_ports::{StoredEvent, TenantRecord};
use std::time::Duration;

/// Changes of one policy within that time that are looked at.
const MOST: u32 = 1_000;

/// How far ahead another node's clock may be, and more: one that is 2 seconds from the database's changes nothing (R65).
const CLOCKS_DIFFER: Duration = Duration::from_mins(1);

impl Application {
    /// The tenant that exists already, if this request created it as it asks now.
    pub(super) async fn created_before(
        &self,
        meta: &Meta,
        actor: &Actor,
        asked: &TenantRecord,
    ) -> Result<TenantRecord, AppError> {
        // A deleted one is nobody's answer: its id is taken for ever.
        let first = self.0.deps.policies.policy(&asked.tenant, Some(asked.revision)).await?;
        let Some(first) = first.filter(|first| first.create_time >= self.repeated_since()) else {
            return Err(AppError::TenantExists);
        };
        match self.made_by(meta, actor, &asked.tenant, EventType::TenantCreated).await? {
            None => Err(AppError::TenantExists),
            Some(_) if first.preset == asked.preset && first.document == asked.document => Ok(first),
            Some(_) => Err(AppError::RequestIdReused),
        }
    }

    /// The revision that this request made, where `current` is in force.
    pub(super) async fn updated_before(
        &self,
        meta: &Meta,
        actor: &Actor,
        current: &TenantRecord,
    ) -> Result<Option<TenantRecord>, AppError> {
        // Nothing changed since: the log, which may be long, need not be looked through.
        if current.create_time < self.repeated_since() {
            return Ok(None);
        }
        let tenant = &current.tenant;
        match self.made_by(meta, actor, tenant, EventType::PolicyUpdated).await? {
            Some(revision) => self.policy(tenant, Some(revision)).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether it was this request that deleted the tenant which is gone, and asks now for what was in force then.
    pub(super) async fn deleted_before(
        &self,
        meta: &Meta,
        actor: &Actor,
        tenant: &TenantId,
        wanted: impl Fn(PolicyRevision) -> bool,
    ) -> Result<(), AppError> {
        match self.made_by(meta, actor, tenant, EventType::TenantDeleted).await? {
            None => Err(AppError::TenantNotFound),
            Some(revision) if wanted(revision) => Ok(()),
            Some(_) => Err(AppError::RequestIdReused),
        }
    }

    /// The revision that the event names which this request told, if there is one; refused where somebody else acted.
    async fn made_by(
        &self,
        meta: &Meta,
        actor: &Actor,
        tenant: &TenantId,
        kind: EventType,
    ) -> Result<Option<PolicyRevision>, AppError> {
        let Some(request) = &meta.request else { return Ok(None) };
        // A node whose clock is ahead may have made it.
        let times = (self.repeated_since(), self.now().plus(CLOCKS_DIFFER));
        let events = self.events_made_between(tenant, &[kind], times, MOST).await?;
        let own = |stored: &&StoredEvent| {
            stored.record.request_id == Some(request.id) && stored.record.caller == meta.caller
        };
        let Some(StoredEvent { record, .. }) = events.iter().find(own) else { return Ok(None) };
        if record.actor != RecordedActor::from(actor) || record.client != actor.client {
            return Err(AppError::RequestIdReused);
        }
        Ok(Some(record.policy_revision))
    }

    /// Requests of before are not asked again.
    fn repeated_since(&self) -> Timestamp {
        self.now().minus(REPEAT_FOR)
    }
}
