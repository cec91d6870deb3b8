//! A row of the event log.

use crate::convert::{RowId, time_out};
use countersign_domain::event::{Event, EventType};
use countersign_domain::ids::{
    AuthenticatorId, CallerId, EventId, PolicyRevision, RequestId, TenantId, UserId,
};
use countersign_domain::policy::AuthenticatorType;
use countersign_ports::document;
use countersign_ports::{EventPosition, EventRecord, StoreError, StoredEvent};
use time::OffsetDateTime;
use uuid::Uuid;

/// One event.
#[derive(Clone)]
pub(crate) struct EventRow {
    pub(crate) tenant_id: String,
    pub(crate) event_id: Uuid,
    pub(crate) event_time: OffsetDateTime,
    pub(crate) transaction_id: i64,
    pub(crate) number: i64,
    pub(crate) user_id: Option<String>,
    pub(crate) kind: String,
    pub(crate) authenticator_id: Option<Uuid>,
    pub(crate) authenticator_kind: Option<String>,
    pub(crate) details: String,
    pub(crate) actor: String,
    pub(crate) actor_claims: Option<String>,
    pub(crate) caller: String,
    pub(crate) client: String,
    pub(crate) policy_revision: i64,
    pub(crate) request_id: Option<Uuid>,
    pub(crate) trace_id: String,
}

impl EventRow {
    /// The event with its place in the log.
    pub(crate) fn into_event(self) -> Result<StoredEvent, StoreError> {
        let id = EventId::from_uuid(self.event_id);
        let row = RowId { entity: "event", id: &id };
        let document = |error: document::DocumentError| row.corrupt(error.problem());
        let position =
            EventPosition { transaction: row.long(self.transaction_id)?, number: row.long(self.number)? };
        let authenticator = match (self.authenticator_id, self.authenticator_kind) {
            (Some(id), Some(kind)) => {
                let kind = AuthenticatorType::from_name(&kind);
                let kind = kind.ok_or_else(|| row.corrupt("names an unknown kind of authenticator"))?;
                Some((AuthenticatorId::from_uuid(id), kind))
            }
            (None, None) => None,
            _ => return Err(row.corrupt("names half an authenticator")),
        };
        let event = Event {
            kind: EventType::from_name(&self.kind).ok_or_else(|| row.corrupt("is of an unknown type"))?,
            authenticator,
            details: document::decode_details(&self.details).map_err(document)?,
        };
        let principal = document::decode_principal(&self.actor).map_err(document)?;
        let claims = self.actor_claims.as_deref();
        let user = self.user_id.as_deref().map(UserId::parse).transpose();
        let record = EventRecord {
            id,
            time: time_out(self.event_time),
            tenant: TenantId::parse(&self.tenant_id)
                .map_err(|_| row.corrupt("has a tenant id that is none"))?,
            user: user.map_err(|_| row.corrupt("has a user id that is none"))?,
            event,
            actor: document::decode_actor_claims(principal, claims).map_err(document)?,
            caller: CallerId::parse(&self.caller).map_err(|_| row.corrupt("has a caller that is none"))?,
            client: document::decode_client_claims(&self.client).map_err(document)?,
            policy_revision: PolicyRevision(row.count(self.policy_revision)?),
            request_id: self.request_id.map(RequestId::from_uuid),
            trace_id: self.trace_id,
        };
        Ok(StoredEvent { position, record })
    }
}
