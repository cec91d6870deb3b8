//! How every commit ends, whatever was committed: those who follow the log are woken, and where the store cannot say how it
//! ended, its event says it. And the events of a tenant, which no change of a user carries.

use super::{Inner, Meta};
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

    /// An event of the tenant as it is kept, under that revision of its policy and made at that time.
    pub(crate) fn event_of(
        &self,
        (tenant, revision): (&TenantId, PolicyRevision),
        (meta, actor): (&Meta, &Actor),
        event: Event,
        time: Timestamp,
    ) -> EventRecord {
        let source = Source { random: self.deps.random.as_ref(), now: time };
        EventRecord {
            id: source.event(),
            time,
            tenant: tenant.clone(),
            user: None,
            event,
            actor: actor.into(),
            caller: meta.caller.clone(),
            client: actor.client.clone(),
            policy_revision: revision,
            request_id: meta.request.as_ref().map(|request| request.id),
            trace_id: meta.trace_id.clone(),
        }
    }

    /// Records an event that changes nobody, of the tenant or of one of its users; nothing where there is no such tenant.
    /// Whether there is.
    pub(crate) async fn record(
        &self,
        (tenant, user): (&TenantId, Option<&UserId>),
        by: (&Meta, &Actor),
        event: Event,
    ) -> Result<bool, AppError> {
        let Some(policy) = self.deps.policies.policy(tenant, None).await? else { return Ok(false) };
        let record = self.event_of((tenant, policy.revision), by, event, self.deps.clock.now());
        let record = EventRecord { user: user.cloned(), ..record };
        let ended = self.deps.users.commit(ChangeSet::telling(record.clone())).await;
        // It changes no user, so that there is nothing to be in conflict with.
        self.settle_event(&record, ended).await.map(|_| true)
    }
}
