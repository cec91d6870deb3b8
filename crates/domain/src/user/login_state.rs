//! What logins leave behind until they are done: challenges, tickets, remembered clients, requests for help; and the
//! caller's word about the login that they keep.

use crate::digest::KeyId;
use crate::ids::{ChallengeId, ClientId, Epoch, ResetRequestId, TicketId};
use crate::policy::{ChallengePolicy, FirstFactorMethod};
use crate::time::Timestamp;
use core::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// The caller's word that a first factor passed. A password never crosses the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstFactor {
    /// How it passed.
    pub method: FirstFactorMethod,
    /// When it passed.
    pub verify_time: Timestamp,
    /// The identity provider of a federated login; at most 128 characters, else empty.
    pub identity_provider: String,
    /// Authentication methods as the provider named them (RFC 8176); at most 10 of at most 32 characters.
    pub amr: Vec<String>,
}

impl FirstFactor {
    /// How far in the future one may lie, for clocks that disagree; and with it the change of one.
    pub const LEEWAY: Duration = Duration::from_mins(1);

    /// Whether it passed before that change, and counts no more (R34).
    pub(crate) fn is_from_before(&self, change: Option<Timestamp>) -> bool {
        change.is_some_and(|change| self.verify_time < change)
    }
}

/// The caller's word about the end user's device. Recorded, and decides no limit on guesses: what it decides is which of too
/// many open challenges makes room (R15), and for which application a client is remembered. Texts are bounded by the adapter
/// and empty where unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientClaims {
    /// IP address in text form, at most 45 characters.
    pub ip_address: String,
    /// User agent, at most 512 characters.
    pub user_agent: String,
    /// The application that the login is for, at most 64 characters.
    pub application: String,
    /// Language (BCP 47), at most 35 characters.
    pub language_code: String,
}

impl ClientClaims {
    /// Whose the address is, as far as it tells: an IPv4 address, however written, or the first 64 bits of an IPv6 one,
    /// since whoever has one address there has them all. `None` where none was given.
    pub(crate) fn network(&self) -> Option<IpAddr> {
        match self.ip_address.parse::<IpAddr>().ok()?.to_canonical() {
            IpAddr::V6(ip) => Some(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into()),
            ip @ IpAddr::V4(_) => Some(ip),
        }
    }
}

/// What a login check is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChallengePurpose {
    /// Starting a session.
    Login,
    /// Proving presence again inside one: a remembered client is worthless here (R39).
    StepUp,
}

/// An open question to a user who passed the first factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Its id; the caller holds it inside an authenticated token.
    pub id: ChallengeId,
    /// What passing it allows.
    pub purpose: ChallengePurpose,
    /// When it was asked.
    pub create_time: Timestamp,
    /// When it is gone.
    pub expire_time: Timestamp,
    /// The epoch it belongs to.
    pub epoch: Epoch,
    /// The first factor that led here.
    pub first_factor: FirstFactor,
    /// The device that it was asked from.
    pub client: ClientClaims,
}

impl Challenge {
    /// How long a challenge stays open (ruling 3).
    pub const LIFETIME: Duration = Duration::from_mins(5);
    /// Open challenges per user; one more pushes out the oldest of the network that has the most (R15, R49).
    pub const MAX_OPEN: usize = 8;
}

/// Who let a user without a second factor enroll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TicketIssuer {
    /// The login that was stopped, with the first factor that it passed.
    Login(FirstFactor),
    /// A manager (R24).
    Manager,
}

impl TicketIssuer {
    /// The first factor of the login that issued it.
    pub(crate) const fn first_factor(&self) -> Option<&FirstFactor> {
        match self {
            Self::Login(first) => Some(first),
            Self::Manager => None,
        }
    }
}

/// A single-use permission to enroll a first authenticator (R24).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Its id; the caller holds it inside an authenticated token.
    pub id: TicketId,
    /// Who issued it.
    pub issuer: TicketIssuer,
    /// When it is gone.
    pub expire_time: Timestamp,
    /// The epoch it belongs to.
    pub epoch: Epoch,
    /// The device of the login that was stopped.
    pub client: ClientClaims,
}

impl Ticket {
    /// How long the ticket of a login lives (R24).
    pub const LOGIN_LIFETIME: Duration = Duration::from_mins(10);
    /// How long the ticket of a manager lives (R24).
    pub const MANAGER_LIFETIME: Duration = Duration::from_hours(24);
    /// Open tickets per user; one more pushes out the oldest (R49).
    pub const MAX_OPEN: usize = 4;
}

/// A client that the user chose to have remembered (R38). No secret is stored: the token is a keyed digest over this
/// row's identity and generation, made again whenever it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedClient {
    /// Its id, the same for all tokens rotated from one another.
    pub id: ClientId,
    /// The key that its tokens are made with.
    pub key: KeyId,
    /// Which of its tokens is the current one; raised on use.
    pub generation: u32,
    /// When the current token replaced the one before it.
    pub rotate_time: Timestamp,
    /// The application that it was remembered for.
    pub application: String,
    /// What the user sees in the list is made of this: the user agent, at most 512 characters.
    pub display_name: String,
    /// Where it was last seen.
    pub last_ip_address: String,
    /// When it was first remembered.
    pub create_time: Timestamp,
    /// When it last spared a challenge.
    pub last_use_time: Timestamp,
    /// Absolute expiry: use does not move it.
    pub expire_time: Timestamp,
    /// The epoch it belongs to.
    pub epoch: Epoch,
}

impl RememberedClient {
    /// How long the token before the current one is still taken, for lost replies (ruling 14).
    pub const ROTATION_GRACE: Duration = Duration::from_mins(1);

    /// When it is asked again under the policy: a shorter duration holds for those that exist too, a longer one prolongs
    /// none.
    pub fn expires(&self, policy: &ChallengePolicy) -> Timestamp {
        self.expire_time.min(self.create_time.plus(policy.remember_duration))
    }
}

/// A member's request to be reset (B42).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetRequest {
    /// Its id.
    pub id: ResetRequestId,
    /// Why, in the member's words; at most 500 characters.
    pub reason: String,
    /// When it was made.
    pub create_time: Timestamp,
}

impl ResetRequest {
    /// When it closes by itself (ruling 15).
    pub fn expire_time(&self) -> Timestamp {
        self.create_time.plus(super::RESET_REQUEST_LIFETIME)
    }
}
