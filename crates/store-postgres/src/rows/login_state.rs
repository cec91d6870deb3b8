//! Rows of what logins leave behind: challenges, tickets, remembered clients.

use crate::convert::{RowId, time_out};
use countersign_domain::digest::KeyId;
use countersign_domain::ids::{ChallengeId, ClientId, Epoch, TicketId};
use countersign_domain::user::{Challenge, ChallengePurpose, RememberedClient, Ticket};
use countersign_ports::StoreError;
use countersign_ports::document::{self, Named};
use time::OffsetDateTime;
use uuid::Uuid;

/// `number`, `challenge_id`, `purpose`, `create_time`, `expire_time`, `epoch`, `first_factor`, `client`.
pub(crate) type ChallengeRow = (i64, Uuid, String, OffsetDateTime, OffsetDateTime, i64, String, String);

/// `number`, `ticket_id`, `issuer`, `expire_time`, `epoch`, `client`.
pub(crate) type TicketRow = (i64, Uuid, String, OffsetDateTime, i64, String);

/// The number, what a token is made of, then what is told about the client.
pub(crate) type ClientRow = (
    i64,
    // client_id, token_key, generation, rotate_time, epoch
    (Uuid, i64, i64, OffsetDateTime, i64),
    // application, display_name, last_ip_address, create_time, last_use_time, expire_time
    (String, String, String, OffsetDateTime, OffsetDateTime, OffsetDateTime),
);

pub(super) fn challenge(row: ChallengeRow) -> Result<Challenge, StoreError> {
    let (_, id, purpose, create_time, expire_time, epoch, first_factor, client) = row;
    let id = ChallengeId::from_uuid(id);
    let row = RowId { entity: "challenge", id: &id };
    Ok(Challenge {
        id,
        purpose: ChallengePurpose::from_name(&purpose)
            .ok_or_else(|| row.corrupt("has an unknown purpose"))?,
        create_time: time_out(create_time),
        expire_time: time_out(expire_time),
        epoch: Epoch(row.long(epoch)?),
        first_factor: document::decode_first_factor(&first_factor)
            .map_err(|error| row.corrupt(error.problem()))?,
        client: document::decode_client_claims(&client).map_err(|error| row.corrupt(error.problem()))?,
    })
}

pub(super) fn ticket(row: TicketRow) -> Result<Ticket, StoreError> {
    let (_, id, issuer, expire_time, epoch, client) = row;
    let id = TicketId::from_uuid(id);
    let row = RowId { entity: "ticket", id: &id };
    Ok(Ticket {
        id,
        issuer: document::decode_ticket_issuer(&issuer).map_err(|error| row.corrupt(error.problem()))?,
        expire_time: time_out(expire_time),
        epoch: Epoch(row.long(epoch)?),
        client: document::decode_client_claims(&client).map_err(|error| row.corrupt(error.problem()))?,
    })
}

pub(super) fn client(row: ClientRow) -> Result<RememberedClient, StoreError> {
    let (_, (id, key, generation, rotate_time, epoch), about) = row;
    let (application, display_name, last_ip_address, create_time, last_use_time, expire_time) = about;
    let id = ClientId::from_uuid(id);
    let row = RowId { entity: "remembered client", id: &id };
    Ok(RememberedClient {
        id,
        key: KeyId(row.count(key)?),
        generation: row.count(generation)?,
        rotate_time: time_out(rotate_time),
        application,
        display_name,
        last_ip_address,
        create_time: time_out(create_time),
        last_use_time: time_out(last_use_time),
        expire_time: time_out(expire_time),
        epoch: Epoch(row.long(epoch)?),
    })
}
