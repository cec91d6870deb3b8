//! The traits the application needs from outside, and the values that cross them.
//!
//! A trait stands here only for I/O or non-determinism: the stores, the clock, randomness, who hands over notices, text messages
//! and seals. No rule lives here, no SQL, no encoding of the contract. `document` is no port: it is the JSON that both stores
//! keep of policies and details, so that one can read what the other wrote. What a store must do beyond its types is defined by the conformance suite
//! in `testkit`, which every store passes.

mod audit;
mod change_set;
mod dead_letters;
pub mod document;
mod environment;
mod erasure;
mod error;
mod event_log;
mod lifeline;
mod outbox;
mod policies;
mod queries;
mod seal_export;
mod text_messages;
mod told;
mod users;
mod vault;

pub use audit::{AuditLog, tenants_among};
pub use change_set::{ChangeSet, EventRecord, NoticeId, NoticeRecord, RequestKey, RequestRecord, UserChange};
pub use dead_letters::{DeadLetter, DeadLetters};
pub use environment::{Clock, Random};
pub use erasure::{ClaimErasure, Erasing};
pub use error::{StoreError, error_chain};
pub use event_log::{EventLog, EventPosition, EventQuery, Look, Next, Search, StoredEvent};
pub use lifeline::Lifeline;
pub use outbox::{
    Letter, MAX_UNREADABLE_LEASES, MIN_UNREADABLE_AGE, Notifier, NotifyError, Outbox, OutboxEntry,
    is_given_up_unread,
};
pub use policies::{MAX_MANAGERS_TOLD, PolicyStore, Tell, TenantRecord};
pub use queries::{ResetRequestQuery, UserQueries, UserQuery};
pub use seal_export::{AuditProgress, ExportError, Exported, Kept, SealExporter};
pub use text_messages::{SendLedger, SmsError, SmsSender, TextMessage};
pub use told::ToldOnce;
pub use users::{Commit, Loaded, Maintenance, UserStore};
pub use vault::{BrokenRow, KeyUse, KnownKey, Release, ResealFrom, Resealed, Vault};
