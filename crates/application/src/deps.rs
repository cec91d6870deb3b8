//! What the use cases are given: the ports, and what is decided once for a process.

use countersign_domain::digest::Digests;
use countersign_domain::security_key::SecurityKeys;
use countersign_domain::sms::budget::SendLimits;
use countersign_ports::{
    Clock, EventLog, Outbox, PolicyStore, Random, SendLedger, SmsSender, UserQueries, UserStore,
};
use std::sync::Arc;

/// Everything outside that the use cases need.
#[derive(Clone)]
pub struct Deps {
    /// What users own.
    pub users: Arc<dyn UserStore>,
    /// Lists and counts of users.
    pub queries: Arc<dyn UserQueries>,
    /// Tenants and policies.
    pub policies: Arc<dyn PolicyStore>,
    /// The log of events.
    pub events: Arc<dyn EventLog>,
    /// Notices on their way out.
    pub outbox: Arc<dyn Outbox>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// How many text messages were sent.
    pub sends: Arc<dyn SendLedger>,
    /// Who delivers text messages; none where nobody is configured.
    pub text_messages: Option<Arc<dyn SmsSender>>,
    /// How many text messages a day allows.
    pub send_limits: SendLimits,
    /// How often a backup of the store was put back; a service that serves on a store does not outlive that.
    pub restores: u64,
    /// Digest keys.
    pub digests: Digests,
    /// Web Authentication.
    pub keys: Arc<dyn SecurityKeys>,
}
