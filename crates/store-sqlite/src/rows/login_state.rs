//! Challenges, tickets and remembered clients.

use crate::error::Row;
use countersign_domain::digest::KeyId;
use countersign_domain::ids::{ChallengeId, ClientId, Epoch, TicketId};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{Challenge, ChallengePurpose, RememberedClient, Ticket};
use countersign_ports::StoreError;
use countersign_ports::document::{Named, decode_client_claims, decode_first_factor, decode_ticket_issuer};
use serde::Deserialize;
use uuid::Uuid;

/// A challenge as it is stored.
#[derive(Deserialize)]
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
#[derive(Deserialize)]
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
#[derive(Deserialize)]
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
