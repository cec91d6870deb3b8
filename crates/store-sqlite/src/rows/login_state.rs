//! Challenges, tickets, remembered clients and answers to repeat.

use super::user::digest_of;
use crate::error::Row;
use countersign_domain::digest::KeyId;
use countersign_domain::ids::{ChallengeId, ClientId, Epoch, TicketId};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{Challenge, ChallengePurpose, RememberedClient, Ticket};
use countersign_keyring::Keyring;
use countersign_ports::document::{Named, decode_client_claims, decode_first_factor, decode_ticket_issuer};
use countersign_ports::{RequestKey, RequestRecord, StoreError};
use uuid::Uuid;

/// A challenge as it is stored.
#[derive(Debug)]
pub(crate) struct ChallengeRow {
    pub(crate) challenge_id: Uuid,
    pub(crate) purpose: String,
    pub(crate) create_time: i64,
    pub(crate) expire_time: i64,
    pub(crate) epoch: i64,
    pub(crate) first_factor: String,
    pub(crate) client: String,
}

impl TryFrom<ChallengeRow> for Challenge {
    type Error = StoreError;

    fn try_from(from: ChallengeRow) -> Result<Self, StoreError> {
        let id = ChallengeId::from_uuid(from.challenge_id);
        let row = Row::new("challenge", id);
        Ok(Self {
            id,
            purpose: ChallengePurpose::from_name(&from.purpose)
                .ok_or_else(|| row.corrupt("has an unknown purpose"))?,
            create_time: Timestamp::from_unix_micros(from.create_time),
            expire_time: Timestamp::from_unix_micros(from.expire_time),
            epoch: Epoch(row.unsigned(from.epoch)?),
            first_factor: row.document(decode_first_factor(&from.first_factor))?,
            client: row.document(decode_client_claims(&from.client))?,
        })
    }
}

/// A ticket as it is stored.
#[derive(Debug)]
pub(crate) struct TicketRow {
    pub(crate) ticket_id: Uuid,
    pub(crate) issuer: String,
    pub(crate) expire_time: i64,
    pub(crate) epoch: i64,
    pub(crate) client: String,
}

impl TryFrom<TicketRow> for Ticket {
    type Error = StoreError;

    fn try_from(from: TicketRow) -> Result<Self, StoreError> {
        let id = TicketId::from_uuid(from.ticket_id);
        let row = Row::new("ticket", id);
        Ok(Self {
            id,
            issuer: row.document(decode_ticket_issuer(&from.issuer))?,
            expire_time: Timestamp::from_unix_micros(from.expire_time),
            epoch: Epoch(row.unsigned(from.epoch)?),
            client: row.document(decode_client_claims(&from.client))?,
        })
    }
}

/// A remembered client as it is stored.
#[derive(Debug)]
pub(crate) struct ClientRow {
    pub(crate) client_id: Uuid,
    pub(crate) token_key: i64,
    pub(crate) generation: i64,
    pub(crate) rotate_time: i64,
    pub(crate) application: String,
    pub(crate) display_name: String,
    pub(crate) last_ip_address: String,
    pub(crate) create_time: i64,
    pub(crate) last_use_time: i64,
    pub(crate) expire_time: i64,
    pub(crate) epoch: i64,
}

impl TryFrom<ClientRow> for RememberedClient {
    type Error = StoreError;

    fn try_from(from: ClientRow) -> Result<Self, StoreError> {
        let id = ClientId::from_uuid(from.client_id);
        let row = Row::new("remembered client", id);
        Ok(Self {
            id,
            key: KeyId(row.unsigned(from.token_key)?),
            generation: row.unsigned(from.generation)?,
            rotate_time: Timestamp::from_unix_micros(from.rotate_time),
            application: from.application,
            display_name: from.display_name,
            last_ip_address: from.last_ip_address,
            create_time: Timestamp::from_unix_micros(from.create_time),
            last_use_time: Timestamp::from_unix_micros(from.last_use_time),
            expire_time: Timestamp::from_unix_micros(from.expire_time),
            epoch: Epoch(row.unsigned(from.epoch)?),
        })
    }
}

/// An answer to repeat as it is stored.
#[derive(Debug)]
pub(crate) struct RequestRow {
    pub(crate) arguments_key: i64,
    pub(crate) arguments_digest: Vec<u8>,
    pub(crate) sealed_reply: Vec<u8>,
    pub(crate) expire_time: i64,
}

impl RequestRow {
    /// The record under the key that it was looked for with.
    pub(crate) fn open(self, key: &RequestKey, keyring: &Keyring) -> Result<RequestRecord, StoreError> {
        let row = Row::new("answer to request", key.id);
        let opened = keyring.open_reply(&key.caller, &key.user, key.id, &self.sealed_reply);
        Ok(RequestRecord {
            key: key.clone(),
            arguments: digest_of(&row, self.arguments_key, &self.arguments_digest)?,
            reply: row.sealed(opened)?,
            expire_time: Timestamp::from_unix_micros(self.expire_time),
        })
    }
}
