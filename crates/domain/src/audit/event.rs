//! An event as it stands in the log, column by column, and the digest of all of it. Raw and not parsed: an edit that no
//! version of the service could have made must be found too.

use super::claims::client_commitment;
use crate::ids::{AuthenticatorId, EventId, RequestId};
use crate::time::Timestamp;
use sha2::{Digest as _, Sha256};

/// Where an event stands in the log. Positions are ordered so that whoever has read up to one has missed nothing
/// before it: the transaction first, because commit order is not insertion order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventPosition {
    /// The transaction that wrote it.
    pub transaction: u64,
    /// Its number, ascending within the transaction.
    pub number: u64,
}

impl std::fmt::Display for EventPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.transaction, self.number)
    }
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEvent {
    /// The tenant.
    pub tenant: String,
    /// Its place.
    pub position: EventPosition,
    /// Its id.
    pub id: EventId,
    /// When it was decided.
    pub time: Timestamp,
    /// The user that it is about.
    pub user: Option<String>,
    /// The name of its type.
    pub kind: String,
    /// The authenticator that it is about.
    pub authenticator: Option<AuthenticatorId>,
    /// The name of that one's type.
    pub authenticator_kind: Option<String>,
    /// The details, as their document.
    pub details: String,
    /// Who acted.
    pub actor: String,
    /// What was vouched for, as its document.
    pub actor_claims: Option<String>,
    /// The workload that called.
    pub caller: String,
    /// The caller's word about the device, as its document.
    pub client: String,
    /// The salt of the commitment to it; empty where it is erased, or from before claims were salted.
    pub client_salt: Vec<u8>,
    /// The commitment to what was there, where it is erased.
    pub client_commitment: Option<[u8; 32]>,
    /// The policy that decided.
    pub policy_revision: i64,
    /// The idempotency key of the request.
    pub request: Option<RequestId>,
    /// The trace of the request.
    pub trace_id: String,
}

impl LoggedEvent {
    /// The commitment to its claims: that which stayed, or that to what is there.
    pub fn commitment(&self) -> [u8; 32] {
        let there = || client_commitment(self.id, &self.client_salt, &self.client);
        self.client_commitment.unwrap_or_else(there)
    }

    /// SHA-256 over every column; the claims through their commitment. `docs/security/audit.md` has the encoding.
    pub fn hash(&self) -> [u8; 32] {
        let Self { tenant, position, id, time, user, kind, authenticator, authenticator_kind, .. } = self;
        let Self { details, actor, actor_claims, caller, policy_revision, request, trace_id, .. } = self;
        // Named here, so that a new column does not compile before it is decided what becomes of it: these three are
        // in the commitment.
        let Self { client: _, client_salt: _, client_commitment: _, .. } = self;
        let EventPosition { transaction, number } = position;
        let mut fields = Fields(Sha256::new_with_prefix(b"countersign/v1/audit-event\0"));
        fields.put(tenant.as_bytes());
        fields.put(&transaction.to_be_bytes());
        fields.put(&number.to_be_bytes());
        fields.put(id.as_bytes());
        fields.put(&time.unix_micros().to_be_bytes());
        fields.put_opt(user.as_deref().map(str::as_bytes));
        fields.put(kind.as_bytes());
        fields.put_opt(authenticator.as_ref().map(|id| id.as_bytes().as_slice()));
        fields.put_opt(authenticator_kind.as_deref().map(str::as_bytes));
        fields.put(details.as_bytes());
        fields.put(actor.as_bytes());
        fields.put_opt(actor_claims.as_deref().map(str::as_bytes));
        fields.put(caller.as_bytes());
        fields.put(&self.commitment());
        fields.put(&policy_revision.to_be_bytes());
        fields.put_opt(request.as_ref().map(|id| id.as_bytes().as_slice()));
        fields.put(trace_id.as_bytes());
        fields.0.finalize().into()
    }
}

/// Fields with their lengths before them, so that no byte can move from one to the next.
struct Fields(Sha256);

impl Fields {
    fn put(&mut self, field: &[u8]) {
        // Every field is bounded far below 4 GiB where it is written.
        self.0.update(u32::try_from(field.len()).unwrap_or(u32::MAX - 1).to_be_bytes());
        self.0.update(field);
    }

    /// What is missing has a length that no field has.
    fn put_opt(&mut self, field: Option<&[u8]>) {
        match field {
            Some(field) => self.put(field),
            None => self.0.update(u32::MAX.to_be_bytes()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use uuid::Uuid;

    /// An event with every column filled; `number` makes it another one.
    pub(crate) fn event(number: u64) -> LoggedEvent {
        LoggedEvent {
            tenant: "acme".to_owned(),
            position: EventPosition { transaction: 7, number },
            id: EventId::from_uuid(Uuid::from_u128(number.into())),
            time: Timestamp::from_unix_micros(1_768_464_000_000_000 + i64::try_from(number).unwrap_or(0)),
            user: Some("ann".to_owned()),
            kind: "LOGIN_ALLOWED".to_owned(),
            authenticator: Some(AuthenticatorId::from_uuid(Uuid::from_u128(2))),
            authenticator_kind: Some("TOTP".to_owned()),
            details: r#"[["assurance","verified"]]"#.to_owned(),
            actor: "user:ann".to_owned(),
            actor_claims: Some("{}".to_owned()),
            caller: "spiffe://example/login".to_owned(),
            client: r#"{"ip_address":"192.0.2.7"}"#.to_owned(),
            client_salt: vec![7; 16],
            client_commitment: None,
            policy_revision: 3,
            request: Some(RequestId::from_uuid(Uuid::from_u128(4))),
            trace_id: "5".to_owned(),
        }
    }

    /// R56: an edit of any column changes the hash.
    #[test]
    fn every_column_is_covered() {
        type Edit = fn(&mut LoggedEvent);
        let edits: [Edit; 24] = [
            |it| it.tenant.push('x'),
            |it| it.position.transaction += 1,
            |it| it.position.number += 1,
            |it| it.id = EventId::from_uuid(Uuid::from_u128(9)),
            |it| it.time = Timestamp::from_unix_micros(it.time.unix_micros() + 1),
            |it| it.user = None,
            |it| it.user = Some(String::new()),
            |it| it.kind.push('x'),
            |it| it.authenticator = None,
            |it| it.authenticator = Some(AuthenticatorId::from_uuid(Uuid::from_u128(9))),
            |it| it.authenticator_kind = None,
            |it| it.details.push(' '),
            |it| it.actor.push('x'),
            |it| it.actor_claims = None,
            |it| it.actor_claims = Some(String::new()),
            |it| it.caller.push('x'),
            |it| it.client.push(' '),
            |it| it.client_salt[0] = 0,
            |it| it.client_commitment = Some([0; 32]),
            |it| it.policy_revision += 1,
            |it| it.request = None,
            |it| it.request = Some(RequestId::from_uuid(Uuid::from_u128(9))),
            |it| it.trace_id.clear(),
            |it| std::mem::swap(&mut it.kind, &mut it.actor),
        ];
        let mut hashes = vec![event(1).hash()];
        for edit in edits {
            let mut edited = event(1);
            edit(&mut edited);
            hashes.push(edited.hash());
        }
        for (index, hash) in hashes.iter().enumerate() {
            assert!(!hashes[..index].contains(hash), "edit {index}");
        }
    }

    /// R56: erasing the claims does not change what was sealed.
    #[test]
    fn an_erasure_keeps_the_hash() {
        let before = event(1);
        let mut after = before.clone();
        after.client_commitment = Some(before.commitment());
        after.client = super::super::ERASED_CLIENT.to_owned();
        after.client_salt.clear();
        assert_eq!(after.hash(), before.hash());
    }

    /// The encoding is the documented one: another implementation gives this value too.
    #[test]
    fn the_hash_is_the_documented_digest() {
        assert_eq!(
            data_encoding::HEXLOWER.encode(&event(1).hash()),
            "489047a182c97946776f40216d41929cf533623bde9b8a7f836104c591f6c2ee"
        );
    }
}
