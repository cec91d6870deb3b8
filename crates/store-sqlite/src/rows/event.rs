//! Events.

use crate::error::Row;
use countersign_domain::event::{Event, EventType};
use countersign_domain::ids::{
    AuthenticatorId, CallerId, EventId, PolicyRevision, RequestId, TenantId, UserId,
};
use countersign_domain::policy::AuthenticatorType;
use countersign_domain::time::Timestamp;
use countersign_ports::document::{
    decode_actor_claims, decode_client_claims, decode_details, decode_principal,
};
use countersign_ports::{EventPosition, EventRecord, StoreError, StoredEvent};
use uuid::Uuid;

/// An event as it is stored.
#[derive(Debug)]
pub(crate) struct EventRow {
    pub(crate) tenant_id: String,
    pub(crate) transaction_id: i64,
    pub(crate) number: i64,
    pub(crate) event_id: Uuid,
    pub(crate) event_time: i64,
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

impl TryFrom<EventRow> for StoredEvent {
    type Error = StoreError;

    fn try_from(from: EventRow) -> Result<Self, StoreError> {
        let id = EventId::from_uuid(from.event_id);
        let row = Row::new("event", id);
        let broken_id = |_| row.corrupt("has an id that is none");
        let authenticator = match (from.authenticator_id, from.authenticator_kind) {
            (None, None) => None,
            (Some(id), Some(kind)) => {
                let kind = AuthenticatorType::from_name(&kind);
                let kind = kind.ok_or_else(|| row.corrupt("is about an unknown kind of authenticator"))?;
                Some((AuthenticatorId::from_uuid(id), kind))
            }
            _ => return Err(row.corrupt("is about half an authenticator")),
        };
        let position = EventPosition {
            transaction: row.unsigned(from.transaction_id)?,
            number: row.unsigned(from.number)?,
        };
        let principal = row.document(decode_principal(&from.actor))?;
        let record = EventRecord {
            id,
            time: Timestamp::from_unix_micros(from.event_time),
            tenant: TenantId::parse(&from.tenant_id).map_err(broken_id)?,
            user: from.user_id.as_deref().map(UserId::parse).transpose().map_err(broken_id)?,
            event: Event {
                kind: EventType::from_name(&from.kind).ok_or_else(|| row.corrupt("is of an unknown type"))?,
                authenticator,
                details: row.document(decode_details(&from.details))?,
            },
            actor: row.document(decode_actor_claims(principal, from.actor_claims.as_deref()))?,
            caller: CallerId::parse(&from.caller).map_err(broken_id)?,
            client: row.document(decode_client_claims(&from.client))?,
            policy_revision: PolicyRevision(row.unsigned(from.policy_revision)?),
            request_id: from.request_id.map(RequestId::from_uuid),
            trace_id: from.trace_id,
        };
        Ok(Self { position, record })
    }
}
