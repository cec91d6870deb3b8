//! The lines of an export, as JSON. Their fields are a contract with those who verify, written down in
//! `docs/security/audit.md`: they may be added to, not changed.

use countersign_application::audit::Piece;
use countersign_domain::audit::{ERASED_CLIENT, EventPosition, LoggedEvent};
use countersign_domain::ids::{AuthenticatorId, EventId, RequestId};
use countersign_domain::time::Timestamp;
use countersign_notify::SealLine;
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use std::str::FromStr as _;
use uuid::Uuid;

/// A line, by its kind.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub(super) enum Line {
    /// What follows: the export of one tenant.
    Export(ManifestLine),
    /// A statement.
    Seal(SealLine),
    /// The entries of a seal, whose events follow.
    Entries(EntriesLine),
    /// An event of that seal.
    Event(Box<EventLine>),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ManifestLine {
    pub(super) tenant: String,
    pub(super) statement: String,
    pub(super) signature: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EntriesLine {
    pub(super) number: u64,
    pub(super) entries: String,
}

/// An event, column by column as it stands in the log, so that the bytes that were sealed can be made of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EventLine {
    tenant_id: String,
    transaction_id: u64,
    number: u64,
    event_id: String,
    event_time: i64,
    user_id: Option<String>,
    kind: String,
    authenticator_id: Option<String>,
    authenticator_kind: Option<String>,
    details: String,
    actor: String,
    actor_claims: Option<String>,
    caller: String,
    client: String,
    client_salt: String,
    client_commitment: Option<String>,
    policy_revision: i64,
    request_id: Option<String>,
    trace_id: String,
}

impl Line {
    /// The line of a piece; without claims, the commitment to them stands in their place.
    pub(super) fn of(piece: &Piece<'_>, without_claims: bool) -> Self {
        match piece {
            Piece::Manifest(manifest, signature) => Self::Export(ManifestLine {
                tenant: manifest.tenant.to_string(),
                statement: manifest.text(),
                signature: HEXLOWER.encode(signature),
            }),
            Piece::Seal(tenant, seal) => Self::Seal(SealLine::of(tenant, seal)),
            Piece::Entries(number, entries) => {
                Self::Entries(EntriesLine { number: *number, entries: BASE64.encode(entries) })
            }
            Piece::Event(event) => Self::Event(Box::new(EventLine::of(event, without_claims))),
        }
    }
}

impl EventLine {
    fn of(event: &LoggedEvent, without_claims: bool) -> Self {
        let LoggedEvent { position, id, time, user, kind, authenticator, authenticator_kind, .. } = event;
        let commitment = if without_claims { Some(event.commitment()) } else { event.client_commitment };
        let (client, salt) =
            if without_claims { (ERASED_CLIENT, &[][..]) } else { (&*event.client, &*event.client_salt) };
        Self {
            tenant_id: event.tenant.clone(),
            transaction_id: position.transaction,
            number: position.number,
            event_id: id.to_string(),
            event_time: time.unix_micros(),
            user_id: user.clone(),
            kind: kind.clone(),
            authenticator_id: authenticator.map(|id| id.to_string()),
            authenticator_kind: authenticator_kind.clone(),
            details: event.details.clone(),
            actor: event.actor.clone(),
            actor_claims: event.actor_claims.clone(),
            caller: event.caller.clone(),
            client: client.to_owned(),
            client_salt: HEXLOWER.encode(salt),
            client_commitment: commitment.map(|hash| HEXLOWER.encode(&hash)),
            policy_revision: event.policy_revision,
            request_id: event.request.map(|id| id.to_string()),
            trace_id: event.trace_id.clone(),
        }
    }

    /// The event, or `None` where a field does not read.
    pub(super) fn event(self) -> Option<LoggedEvent> {
        let uuid = |text: &str| Uuid::from_str(text).ok();
        let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).ok();
        let commitment = match &self.client_commitment {
            None => None,
            Some(text) => Some(hex(text)?.try_into().ok()?),
        };
        let id = |text: &Option<String>| match text {
            None => Some(None),
            Some(text) => Some(Some(uuid(text)?)),
        };
        Some(LoggedEvent {
            position: EventPosition { transaction: self.transaction_id, number: self.number },
            id: EventId::from_uuid(uuid(&self.event_id)?),
            time: Timestamp::from_unix_micros(self.event_time),
            authenticator: id(&self.authenticator_id)?.map(AuthenticatorId::from_uuid),
            request: id(&self.request_id)?.map(RequestId::from_uuid),
            client_salt: hex(&self.client_salt)?,
            client_commitment: commitment,
            tenant: self.tenant_id,
            user: self.user_id,
            kind: self.kind,
            authenticator_kind: self.authenticator_kind,
            details: self.details,
            actor: self.actor,
            actor_claims: self.actor_claims,
            caller: self.caller,
            client: self.client,
            policy_revision: self.policy_revision,
            trace_id: self.trace_id,
        })
    }
}
