//! Tickets as they are handed out: single-use permissions to enroll a first authenticator (R24).

use crate::context::{Context, Draft};
use crate::ids::TicketId;
use crate::secret::SecretString;
use crate::time::Timestamp;
use crate::token;
use crate::user::{ClientClaims, Ticket, TicketIssuer};

/// A ticket for whoever is to enroll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedTicket {
    /// The ticket's token.
    pub ticket: SecretString,
    /// When it is gone.
    pub expire_time: Timestamp,
}

/// Hands one out; the oldest makes room.
pub(crate) fn issue(
    draft: &mut Draft,
    ctx: &Context<'_>,
    id: TicketId,
    issuer: TicketIssuer,
    client: ClientClaims,
) -> IssuedTicket {
    let lifetime = match issuer {
        TicketIssuer::Login(_) => Ticket::LOGIN_LIFETIME,
        TicketIssuer::Manager => Ticket::MANAGER_LIFETIME,
    };
    let (epoch, expire_time) = (draft.next.epoch, ctx.now.plus(lifetime));
    let tickets = &mut draft.next.tickets;
    tickets.push(Ticket { id, issuer, expire_time, epoch, client });
    let surplus = tickets.len().saturating_sub(Ticket::MAX_OPEN);
    tickets.drain(..surplus);
    IssuedTicket { ticket: token::ticket(&ctx.digests.tokens, ctx.user, epoch, id), expire_time }
}
