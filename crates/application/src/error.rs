//! Why a use case has no answer. Denials are answers and not here.

use countersign_domain::time::Timestamp;
use countersign_ports::StoreError;

/// No answer: nothing was told, and unless said otherwise nothing was committed.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The tenant does not exist.
    #[error("the tenant does not exist")]
    TenantNotFound,
    /// The tenant exists already.
    #[error("the tenant exists already")]
    TenantExists,
    /// The request id was used with other arguments within the last ten minutes.
    #[error("the request id was used with other arguments")]
    RequestIdReused,
    /// The state is not the one that the caller looked at.
    #[error("the etag does not match")]
    EtagMismatch,
    /// Too many others changed the same user, or the same policy, at the same time.
    #[error("too many concurrent changes of one user or policy")]
    Contended,
    /// More calls wait for the same user than are kept.
    #[error("too many calls wait for one user")]
    Overloaded,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The clocks disagree: no code is evaluated and nothing is changed (R65).
    #[error("the clock cannot be relied on")]
    ClockUntrusted,
    /// The text message is durable, and was not delivered: the same request delivers it again.
    #[error("the text message was not delivered")]
    DeliveryUnavailable,
    /// The text message of an earlier request is not known to be delivered, and its code cannot be used any more.
    #[error("the text message was not delivered, and its code cannot be used any more")]
    MessageVoid,
    /// The task of the use case ended without an answer, because the service is being stopped.
    #[error("the use case was interrupted")]
    Interrupted,
    /// The change asks less of users, and the caller may not do that (R37).
    #[error("the change weakens the policy")]
    WeakeningDenied {
        /// The fields that would ask less.
        fields: Vec<&'static str>,
    },
    /// Events behind the place to read on from are no longer held.
    #[error("events behind that place are no longer held")]
    EventsDropped {
        /// When the oldest event was decided that still is, if there is one.
        oldest: Option<Timestamp>,
    },
    /// A decision changes who acts, and nothing of them was read to be changed. Refused rather than not charged (R55).
    #[error("the actor of a decision was not read")]
    ActorNotRead,
    /// A stored policy contradicts itself: written by something else than this service. Or a preset does, which is our fault.
    #[error("a stored policy or a preset is not valid")]
    PolicyCorrupt,
}
