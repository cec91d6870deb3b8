//! What the engine is asked, and what it answers.

use super::arguments::Arguments;
use countersign_domain::actor::{Actor, Principal, RecordedActor};
use countersign_domain::denial::Denial;
use countersign_domain::etag::Etag;
use countersign_domain::ids::{CallerId, ChallengeId, EventId, PolicyRevision, RequestId, TicketId, UserRef};
use countersign_domain::login::CheckLogin;
use countersign_domain::phone_number::PhoneNumber;
use countersign_domain::secret::SecretBytes;
use countersign_domain::sms::budget::SendCounts;
use countersign_domain::sms::sending::SendCode;
use countersign_domain::time::Timestamp;
use countersign_domain::user::{ClientClaims, UserState};
use std::sync::Arc;

/// Who calls, beside what is asked.
#[derive(Debug, Clone)]
pub struct Meta {
    /// The calling workload, authenticated.
    pub caller: CallerId,
    /// The idempotency key, where the caller gave one.
    pub request: Option<Request>,
    /// W3C trace-id, or empty.
    pub trace_id: String,
}

/// A caller's idempotency key (AIP-155).
#[derive(Clone)]
pub struct Request {
    /// The id.
    pub id: RequestId,
    /// What was asked.
    pub arguments: Arguments,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Turns an outcome into the bytes that are kept to be repeated.
pub type Encode<T> = Box<dyn Fn(&Result<Done<T>, Denial>) -> Vec<u8> + Send + Sync>;

/// The answer to a command.
#[derive(Debug)]
pub enum Answer<T> {
    /// Decided and durable just now, with the bytes that [`Encode`] made of it where they are kept.
    Fresh(Result<Done<T>, Denial>, Option<SecretBytes>),
    /// Decided before: the bytes that [`Encode`] made then.
    Repeated(SecretBytes),
}

/// An outcome with what stands around it.
#[derive(Debug, Clone)]
pub struct Done<T> {
    /// The outcome.
    pub value: T,
    /// The event that tells the verdict or the change.
    pub event: EventId,
    /// The policy that decided.
    pub policy_revision: PolicyRevision,
    /// When it was decided.
    pub time: Timestamp,
}

/// What is asked of the engine: about whom, by whom, and on which condition.
pub(crate) struct Subject {
    pub(crate) user: UserRef,
    pub(crate) actor: RecordedActor,
    pub(crate) device: Device,
    /// What the caller looked at, where it says so.
    pub(crate) etag: Option<Etag>,
    /// Others whose state the decision needs.
    pub(crate) parties: Parties<UserRef>,
    /// The telephone whose messages the decision counts, where it does.
    pub(crate) counted: Option<Counted>,
}

/// Something of each who stands beside the subject of a command, where they are users, and others than the subject.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parties<T> {
    /// Of the one who acts: the only one of them whom a decision changes.
    pub(crate) actor: Option<T>,
    /// Of the one who approves.
    pub(crate) second: Option<T>,
}

impl<T> Parties<T> {
    /// Nobody stands beside the subject.
    pub(crate) const NOBODY: Self = Self { actor: None, second: None };

    pub(crate) const fn as_ref(&self) -> Parties<&T> {
        Parties { actor: self.actor.as_ref(), second: self.second.as_ref() }
    }

    pub(crate) fn map<U>(self, f: impl Fn(T) -> U) -> Parties<U> {
        Parties { actor: self.actor.map(&f), second: self.second.map(&f) }
    }
}

/// A telephone that a message may go to.
pub(crate) enum Counted {
    /// One that the command names.
    Number(PhoneNumber),
    /// The one that the user has for the challenge.
    Challenge(SendCode),
}

/// The states that a decision is given.
pub(crate) struct States<'a> {
    /// The subject's.
    pub(crate) own: &'a UserState,
    /// Those of the parties.
    pub(crate) parties: Parties<&'a UserState>,
    /// What was sent today, where the subject has it counted.
    pub(crate) sent: SendCounts,
}

/// The device that events tell of: told in this call, or in the one that opened the challenge or ticket.
pub(crate) enum Device {
    Told(ClientClaims),
    OfLogin(Arc<CheckLogin>),
    OfChallenge(ChallengeId),
    /// What is told where the ticket is used comes before what its login told: a manager's has no login.
    OfTicket(TicketId, ClientClaims),
}

impl Subject {
    /// A command about one user alone, whatever its caller looked at.
    pub(crate) fn new(user: UserRef, actor: RecordedActor, device: Device) -> Self {
        Self { user, actor, device, etag: None, parties: Parties::NOBODY, counted: None }
    }

    /// The same by an actor, on the device that they are at.
    pub(crate) fn of_actor(user: UserRef, actor: &Actor) -> Self {
        Self::new(user, actor.into(), Device::Told(actor.client.clone()))
    }

    /// The same by the user themself.
    pub(crate) fn themself(user: UserRef, device: Device) -> Self {
        let actor = Principal::User(user.user.clone()).into();
        Self::new(user, actor, device)
    }

    /// Who is recorded as the actor. The answer to a challenge goes with the first factor that opened it.
    pub(super) fn actor_at(&self, state: &UserState) -> RecordedActor {
        let first_factor_method = match &self.device {
            Device::OfChallenge(id) => state.challenge(*id).map(|challenge| challenge.first_factor.method),
            Device::Told(_) | Device::OfLogin(_) | Device::OfTicket(..) => None,
        };
        let actor = self.actor.clone();
        RecordedActor { first_factor_method: actor.first_factor_method.or(first_factor_method), ..actor }
    }
}

impl Device {
    pub(super) fn claims(&self, state: &UserState) -> ClientClaims {
        match self {
            Self::Told(claims) => Some(claims),
            Self::OfLogin(login) => Some(&login.client),
            Self::OfChallenge(id) => state.challenge(*id).map(|challenge| &challenge.client),
            Self::OfTicket(id, told) => {
                let ticket = state.tickets.iter().find(|ticket| ticket.id == *id);
                let of_login = ticket.map(|ticket| &ticket.client);
                // What says nothing of the place must not hide what the login that issued it was told of it.
                let hides =
                    told.ip_address.is_empty() && of_login.is_some_and(|login| !login.ip_address.is_empty());
                if hides || *told == ClientClaims::default() { of_login } else { Some(told) }
            }
        }
        .cloned()
        .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_domain::ids::{Epoch, TicketId};
    use countersign_domain::user::{Ticket, TicketIssuer};
    use countersign_testkit::fixtures::START;

    fn claims(ip_address: &str, user_agent: &str) -> ClientClaims {
        ClientClaims {
            ip_address: ip_address.to_owned(),
            user_agent: user_agent.to_owned(),
            ..ClientClaims::default()
        }
    }

    /// B50: where a ticket is used is what is told there, unless that is nothing, or has no address where its login has one.
    #[test]
    fn a_ticket_is_used_where_it_is_told() {
        let id = TicketId::at(START, [0; 10]);
        for (login, told, expected) in [
            (claims("", ""), claims("", ""), claims("", "")),
            (claims("", "laptop"), claims("", ""), claims("", "laptop")),
            (claims("", "laptop"), claims("", "phone"), claims("", "phone")),
            (claims("192.0.2.1", "laptop"), claims("", "phone"), claims("192.0.2.1", "laptop")),
            (claims("192.0.2.1", "laptop"), claims("192.0.2.2", ""), claims("192.0.2.2", "")),
            (claims("", ""), claims("192.0.2.2", "phone"), claims("192.0.2.2", "phone")),
        ] {
            let ticket = Ticket {
                id,
                issuer: TicketIssuer::Manager,
                expire_time: START,
                epoch: Epoch(0),
                client: login.clone(),
            };
            let state = UserState { tickets: vec![ticket], ..UserState::default() };
            assert_eq!(Device::OfTicket(id, told.clone()).claims(&state), expected, "{login:?} {told:?}");
        }
    }
}
