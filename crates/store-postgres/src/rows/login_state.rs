//! Rows of what logins leave behind: challenges, tickets, remembered clients.

use crate::convert::{RowId, time_out};
use countersign_domain::digest::KeyId;
use countersign_domain::ids::{ChallengeId, ClientId, Epoch, TicketId};
use countersign_domain::user::{Challenge, ChallengePurpose, RememberedClient, Ticket};
use countersign_ports::StoreError;
use countersign_ports::document::{self, Named};
use time::OffsetDateTime;
use uuid::Uuid;

/// A row of `challenges`, its columns in the order of the load's `ROW(…)`.
#[derive(sqlx::Decode)]
pub(crate) struct ChallengeRow {
    pub(super) number: i64,
    pub(super) challenge_id: Uuid,
    pub(super) purpose: String,
    pub(super) create_time: OffsetDateTime,
    pub(super) expire_time: OffsetDateTime,
    pub(super) epoch: i64,
    pub(super) first_factor: String,
    pub(super) client: String,
}

/// A row of `tickets`, as that.
#[derive(sqlx::Decode)]
pub(crate) struct TicketRow {
    pub(super) number: i64,
    pub(super) ticket_id: Uuid,
    pub(super) issuer: String,
    pub(super) expire_time: OffsetDateTime,
    pub(super) epoch: i64,
    pub(super) client: String,
}

/// A row of `remembered_clients`, as that.
#[derive(sqlx::Decode)]
pub(crate) struct ClientRow {
    pub(super) number: i64,
    pub(super) client_id: Uuid,
    pub(super) token_key: i64,
    pub(super) generation: i64,
    pub(super) rotate_time: OffsetDateTime,
    pub(super) epoch: i64,
    pub(super) application: String,
    pub(super) display_name: String,
    pub(super) last_ip_address: String,
    pub(super) create_time: OffsetDateTime,
    pub(super) last_use_time: OffsetDateTime,
    pub(super) expire_time: OffsetDateTime,
}

record!(ChallengeRow, TicketRow, ClientRow);

impl ChallengeRow {
    pub(super) fn open(self) -> Result<Challenge, StoreError> {
        let id = ChallengeId::from_uuid(self.challenge_id);
        let row = RowId { entity: "challenge", id: &id };
        Ok(Challenge {
            id,
            purpose: ChallengePurpose::from_name(&self.purpose)
                .ok_or_else(|| row.corrupt("has an unknown purpose"))?,
            create_time: time_out(self.create_time),
            expire_time: time_out(self.expire_time),
            epoch: Epoch(row.long(self.epoch)?),
            first_factor: document::decode_first_factor(&self.first_factor)
                .map_err(|error| row.corrupt(error.problem()))?,
            client: document::decode_client_claims(&self.client)
                .map_err(|error| row.corrupt(error.problem()))?,
        })
    }
}

impl TicketRow {
    pub(super) fn open(self) -> Result<Ticket, StoreError> {
        let id = TicketId::from_uuid(self.ticket_id);
        let row = RowId { entity: "ticket", id: &id };
        Ok(Ticket {
            id,
            issuer: document::decode_ticket_issuer(&self.issuer)
                .map_err(|error| row.corrupt(error.problem()))?,
            expire_time: time_out(self.expire_time),
            epoch: Epoch(row.long(self.epoch)?),
            client: document::decode_client_claims(&self.client)
                .map_err(|error| row.corrupt(error.problem()))?,
        })
    }
}

impl ClientRow {
    pub(super) fn open(self) -> Result<RememberedClient, StoreError> {
        let id = ClientId::from_uuid(self.client_id);
        let row = RowId { entity: "remembered client", id: &id };
        Ok(RememberedClient {
            id,
            key: KeyId(row.count(self.token_key)?),
            generation: row.count(self.generation)?,
            rotate_time: time_out(self.rotate_time),
            application: self.application,
            display_name: self.display_name,
            last_ip_address: self.last_ip_address,
            create_time: time_out(self.create_time),
            last_use_time: time_out(self.last_use_time),
            expire_time: time_out(self.expire_time),
            epoch: Epoch(row.long(self.epoch)?),
        })
    }
}
