//! Why a store could not answer. Nothing here is ever sent to a caller as text.

/// A store's failure. "Not found" and "conflict" are answers, not failures.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or is overloaded; nothing was committed. Every such failure refuses (R63).
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection broke while a commit was under way: it may or may not have happened. Resolved by looking for
    /// its event, never by trying again (R60).
    #[error("the outcome of the commit is unknown")]
    OutcomeUnknown(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row that this service cannot have written.
    #[error("{entity} {id} is corrupt: {problem}")]
    Corrupt {
        /// The kind of row.
        entity: &'static str,
        /// Its id, never personal data.
        id: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A sealed value that does not open: swapped, copied, edited, or its key is gone (R50).
    #[error("the sealed {entity} {id} does not open")]
    SealBroken {
        /// The kind of row.
        entity: &'static str,
        /// Its id, never personal data.
        id: String,
    },
    /// The tenant does not exist, or no longer does.
    #[error("the tenant does not exist")]
    TenantMissing,
}
