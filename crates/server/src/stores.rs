//! Opening the configured store and handing it out as ports. What a store does is its crate's business.

use crate::adapters::OsRandom;
use crate::config::StoreConfig;
use countersign_application::Deps;
use countersign_domain::digest::Digests;
use countersign_domain::sms::budget::SendLimits;
use countersign_keyring::Keyring;
use countersign_ports::{
    AuditLog, AuditProgress, ClaimErasure, Clock, DeadLetters, EventLog, Lifeline, Maintenance, Outbox,
    PolicyStore, SendLedger, SmsSender, StoreError, UserQueries, UserStore, Vault,
};
use countersign_store_postgres::PostgresStore;
use countersign_store_sqlite::SqliteStore;
use countersign_webauthn::WebAuthn;
use std::sync::Arc;

/// One store, as everything that is needed of it.
#[derive(Clone)]
pub(crate) struct Stores {
    /// What users own.
    pub(crate) users: Arc<dyn UserStore>,
    /// Tenants and policies.
    pub(crate) policies: Arc<dyn PolicyStore>,
    /// Notices on their way out.
    pub(crate) outbox: Arc<dyn Outbox>,
    /// The log of security events.
    pub(crate) events: Arc<dyn EventLog>,
    /// The log as evidence.
    pub(crate) audit: Arc<dyn AuditLog>,
    /// How far its seals have come.
    pub(crate) progress: Arc<dyn AuditProgress>,
    /// Notices that were given up.
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
    /// Erasing from the log.
    pub(crate) erasure: Arc<dyn ClaimErasure>,
    /// Lists and counts.
    pub(crate) queries: Arc<dyn UserQueries>,
    /// Counts of text messages.
    pub(crate) sends: Arc<dyn SendLedger>,
    /// Readiness and sweeping.
    pub(crate) maintenance: Arc<dyn Maintenance>,
    /// Whether it is the store that it was.
    pub(crate) lifeline: Arc<dyn Lifeline>,
    /// What stands under root keys.
    pub(crate) vault: Arc<dyn Vault>,
}

/// Who delivers text messages, and how many a day allows.
pub(crate) struct Sending {
    /// Who; none where nobody is configured.
    pub(crate) text_messages: Option<Arc<dyn SmsSender>>,
    /// How many.
    pub(crate) limits: SendLimits,
}

impl Stores {
    fn of<S>(store: S) -> Self
    where
        S: UserStore
            + PolicyStore
            + Outbox
            + EventLog
            + AuditLog
            + AuditProgress
            + DeadLetters
            + ClaimErasure
            + UserQueries
            + SendLedger
            + Maintenance
            + Vault
            + Lifeline
            + 'static,
    {
        let store = Arc::new(store);
        Self {
            users: store.clone(),
            policies: store.clone(),
            outbox: store.clone(),
            events: store.clone(),
            audit: store.clone(),
            progress: store.clone(),
            dead_letters: store.clone(),
            erasure: store.clone(),
            queries: store.clone(),
            sends: store.clone(),
            maintenance: store.clone(),
            vault: store.clone(),
            lifeline: store,
        }
    }

    /// What the use cases need in a node. `restores` is how often a backup of the store was put back: by that, tokens of
    /// the log from before are refused (R64).
    pub(crate) fn deps(
        &self,
        digests: Digests,
        clock: Arc<dyn Clock>,
        Sending { text_messages, limits }: Sending,
        restores: u64,
    ) -> Deps {
        Deps {
            users: Arc::clone(&self.users),
            policies: Arc::clone(&self.policies),
            outbox: Arc::clone(&self.outbox),
            events: Arc::clone(&self.events),
            queries: Arc::clone(&self.queries),
            clock,
            random: Arc::new(OsRandom),
            digests,
            keys: Arc::new(WebAuthn),
            sends: Arc::clone(&self.sends),
            text_messages,
            send_limits: limits,
            restores,
        }
    }

    /// What the use cases need in a command of an operator, which nobody calls: it sends no message, and neither gives nor
    /// takes a token of the log, so that it does not matter how often a backup was put back.
    pub(crate) fn deps_of_command(&self, digests: Digests, clock: Arc<dyn Clock>) -> Deps {
        self.deps(digests, clock, Sending { text_messages: None, limits: SendLimits::default() }, 0)
    }
}

/// Opens the store. SQLite brings its own schema up to date; PostgreSQL's is `countersign migrate`'s.
pub(crate) async fn open(config: StoreConfig, keyring: Arc<Keyring>) -> Result<Stores, StoreError> {
    let random = Arc::new(OsRandom);
    Ok(match config {
        StoreConfig::Sqlite { path } => Stores::of(SqliteStore::open(&path, keyring, random).await?),
        StoreConfig::Postgres(options) => Stores::of(PostgresStore::connect(options, keyring, random).await?),
    })
}
