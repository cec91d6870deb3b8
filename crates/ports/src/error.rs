//! Why a store could not answer. Nothing here is ever sent to a caller as text.

use std::error::Error;

/// A store's failure. "Not found" and "conflict" are answers, not failures.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or is overloaded; nothing was committed. Every such failure refuses (R63).
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The connection broke while a commit was under way: it may or may not have happened. Resolved by looking for
    /// its event, never by trying again (R60).
    #[error("the outcome of the commit is unknown")]
    OutcomeUnknown(#[source] Box<dyn Error + Send + Sync>),
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

/// An error with its causes, outermost first, for the log. Errors of this house carry no secrets (R53); drivers' are about
/// connections.
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    /// Each cause is told, once.
    #[test]
    fn causes_follow_in_their_order() {
        let inner = StoreError::Unavailable(io::Error::other("no route").into());
        let error = StoreError::OutcomeUnknown(inner.into());
        let told = "the outcome of the commit is unknown: the store is unavailable: no route";
        assert_eq!(error_chain(&error), told);
        assert_eq!(error_chain(&StoreError::TenantMissing), "the tenant does not exist");
    }
}
