//! How every commit ends, whatever was committed: those who follow the log are woken, and where the store cannot say how it
//! ended, its event says it. And events that no change of a user carries.

use super::{Inner, Meta, Occasion};
use crate::fresh::Source;
use crate::{AppError, measure};
use countersign_domain::actor::Actor;
use countersign_domain::event::Event;
use countersign_domain::ids::{EventId, PolicyRevision, TenantId, UserId};
use countersign_domain::time::Timestamp;
use countersign_ports::{ChangeSet, Commit, EventRecord, StoreError};

impl Inner {
    /// How a commit ended that carried this event. One whose reply was lost is never tried again (R60).
    pub(crate) async fn settle(
        &self,
        tenant: &TenantId,
        event: EventId,
        ended: Result<Commit, StoreError>,
    ) -> Result<Commit, AppError> {
        // Whatever came of it: looking once too often harms nobody.
        self.committed.tell(tenant);
        match ended {
            Err(StoreError::OutcomeUnknown(cause)) => {
                tracing::warn!(tenant_id = %tenant, event_id = %event, "the reply to a commit was lost; looking for its event");
                if self.deps.users.is_committed(tenant, event).await? {
                    Ok(Commit::Done)
                } else {
                    // It may still be under way: refusing is safe, deciding again would not be.
                    Err(StoreError::Unavailable(cause).into())
                }
            }
            ended => Ok(ended?),
        }
    }

    /// The same of a commit beside the road of a user's change: its one event is counted once it is durable.
    pub(crate) async fn settle_event(
        &self,
        record: &EventRecord,
        ended: Result<Commit, StoreError>,
    ) -> Result<Commit, AppError> {
        let ended = self.settle(&record.tenant, record.id, ended).await?;
        if ended == Commit::Done {
            measure::committed(&record.event);
        }
        Ok(ended)
    }

    /// What the events of a call share that changes no user.
    pub(crate) fn occasion<'a>(
        &'a self,
        tenant: &'a TenantId,
        policy_revision: PolicyRevision,
        meta: &'a Meta,
        now: Timestamp,
    ) -> Occasion<'a> {
        let source = Source { random: self.deps.random.as_ref(), now };
        Occasion { tenant, policy_revision, meta, source }
    }

    /// Records an event that changes nobody, of the tenant or of one of its users; nothing where there is no such tenant.
    /// Whether there is.
    pub(crate) async fn record(
        &self,
        tenant: &TenantId,
        user: Option<&UserId>,
        meta: &Meta,
        actor: &Actor,
        event: Event,
    ) -> Result<bool, AppError> {
        let Some(policy) = self.deps.policies.policy(tenant, None).await? else { return Ok(false) };
        let occasion = self.occasion(tenant, policy.revision, meta, self.deps.clock.now());
        let record = occasion.by(actor, user, event);
        let ended = self.deps.users.commit(ChangeSet::telling(record.clone())).await;
        // It changes no user, so that there is nothing to be in conflict with.
        self.settle_event(&record, ended).await.map(|_| true)
    }
}
