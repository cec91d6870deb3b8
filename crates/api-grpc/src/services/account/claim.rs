//! By what right somebody enrols: as themself, or with a ticket. What a ticket is worth is decided with the user's state.

use crate::convert::fields::{Fields, Parsed};
use crate::convert::parties::{self, Client};
use crate::status::{self, Site};
use countersign_api::v1::{self, Action};
use countersign_application::Application;
use countersign_domain::actor::Actor;
use countersign_domain::denial::Denial;
use countersign_domain::enrollment::Authority;
use countersign_domain::token::MAX_TOKEN_LEN;
use countersign_domain::user::ClientClaims;
use tonic::Status;

/// What somebody does who enrols.
pub(super) const SITE: Site = Site::of(Action::Enroll);

/// By what right, before a ticket was looked at.
pub(super) enum Claim {
    Actor(Actor),
    /// A ticket of at most [`MAX_TOKEN_LEN`] characters, and where it is used.
    Ticket(String, ClientClaims),
}

/// The authority of a request. Each request of the contract has a oneof of its own for it; they say the same.
pub(super) trait GivenAuthority {
    /// `client` stands beside it in the request.
    fn claim(self, fields: &mut Fields, client: Parsed<Client>) -> Parsed<Claim>;
}

macro_rules! given {
    ($($request:ident),+) => {
        $(impl GivenAuthority for v1::$request::Authority {
            fn claim(self, fields: &mut Fields, client: Parsed<Client>) -> Parsed<Claim> {
                match self {
                    Self::Actor(actor) => parties::actor(fields, "actor", Some(actor)).map(Claim::Actor),
                    Self::EnrollmentTicket(ticket) => Claim::of_ticket(fields, ticket, client),
                }
            }
        })+
    };
}

given!(
    begin_totp_enrollment_request,
    begin_sms_enrollment_request,
    begin_security_key_enrollment_request,
    confirm_enrollment_request
);

impl Claim {
    /// Reads the authority of a request, which must be there.
    pub(super) fn read(
        fields: &mut Fields,
        authority: Option<impl GivenAuthority>,
        client: Option<v1::ClientContext>,
    ) -> Parsed<Self> {
        let client = parties::client(fields, "client", client);
        match authority {
            Some(authority) => authority.claim(fields, client),
            None => fields.refuse("authority", "must be one of actor and enrollment_ticket"),
        }
    }

    fn of_ticket(fields: &mut Fields, ticket: String, client: Parsed<Client>) -> Parsed<Self> {
        if (1..=MAX_TOKEN_LEN).contains(&ticket.len()) {
            client.map(|client| Self::Ticket(ticket, client.claims))
        } else {
            fields.refuse("enrollment_ticket", "must have 1 to 512 characters")
        }
    }

    /// The right, if a ticket is one of ours. Whose it is and whether it is open is decided with the user's state.
    pub(super) fn open(self, app: &Application) -> Result<Authority, Status> {
        match self {
            Self::Actor(actor) => Ok(Authority::Session(actor)),
            Self::Ticket(ticket, client) => app
                .open_ticket(&ticket)
                .map(|opened| Authority::Ticket(opened, client))
                .ok_or_else(|| status::denial(&Denial::EnrollmentTicketInvalid, SITE).into_status()),
        }
    }
}
