//! Text messages on their way out: what was counted, and who delivers.

use crate::{Commit, StoreError};
use async_trait::async_trait;
use countersign_domain::ids::{SendId, TenantId};
use countersign_domain::phone_number::PhoneNumber;
use countersign_domain::secret::SecretString;
use countersign_domain::sms::budget::{SendCharge, SendCounters, SendCounts};

/// The counts of messages sent. They are raised by the commits that send ([`crate::ChangeSet::send`]).
#[async_trait]
pub trait SendLedger: Send + Sync {
    /// How many messages were counted where.
    async fn counts(&self, tenant: &TenantId, counters: &SendCounters) -> Result<SendCounts, StoreError>;

    /// Takes one message out of each count that has one: it was certainly not sent.
    async fn give_back(&self, tenant: &TenantId, counters: &SendCounters) -> Result<(), StoreError>;

    /// Counts one message that was committed before, where each count is below its limit; a conflict where one is not, and
    /// nothing is counted then.
    async fn charge(&self, tenant: &TenantId, charge: &SendCharge) -> Result<Commit, StoreError>;
}

/// A message to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextMessage {
    /// Its id, stable over every try: who receives it twice delivers it once.
    pub id: SendId,
    /// The tenant whose user gets it.
    pub tenant: TenantId,
    /// Where to.
    pub number: PhoneNumber,
    /// What it says, the code included.
    pub text: SecretString,
}

/// Why a message was not delivered. Carries neither number nor text.
#[derive(Debug, thiserror::Error)]
pub enum SmsError {
    /// The gateway did not take it: nothing was sent.
    #[error("the gateway did not take the message")]
    NotTaken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nobody knows whether it was sent.
    #[error("the gateway did not say whether it took the message")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Hands messages to whoever brings them to a telephone. `Ok` means taken, not read.
#[async_trait]
pub trait SmsSender: Send + Sync {
    /// Delivers one message, within a time of its own; may be called again with the same id.
    async fn send(&self, message: &TextMessage) -> Result<(), SmsError>;
}
