//! What the events of one call share, and an event as it is kept.

use super::command::Meta;
use crate::fresh::Source;
use countersign_domain::actor::{Actor, RecordedActor};
use countersign_domain::event::Event;
use countersign_domain::ids::{EventId, PolicyRevision, TenantId, UserId};
use countersign_domain::user::ClientClaims;
use countersign_ports::EventRecord;

/// Where, under which revision of the policy, by whose call and when something happens.
#[derive(Clone, Copy)]
pub(crate) struct Occasion<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) policy_revision: PolicyRevision,
    pub(crate) meta: &'a Meta,
    pub(crate) source: Source<'a>,
}

impl Occasion<'_> {
    /// An event of the tenant, or of one of its users, by an actor on their own device.
    pub(crate) fn by(&self, actor: &Actor, user: Option<&UserId>, event: Event) -> EventRecord {
        self.record(self.source.event(), user, event, (actor.into(), actor.client.clone()))
    }

    /// An event with that id, and who was behind it on which device.
    pub(crate) fn record(
        &self,
        id: EventId,
        user: Option<&UserId>,
        event: Event,
        (actor, client): (RecordedActor, ClientClaims),
    ) -> EventRecord {
        EventRecord {
            id,
            time: self.source.now,
            tenant: self.tenant.clone(),
            user: user.cloned(),
            event,
            actor,
            caller: self.meta.caller.clone(),
            client,
            policy_revision: self.policy_revision,
            request_id: self.meta.request.as_ref().map(|request| request.id),
            trace_id: self.meta.trace_id.clone(),
        }
    }
}
