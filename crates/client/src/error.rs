//! Why a call has no answer, with the contract's reason where the service told one.

use crate::Reason;
use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service says why. No session may be started; what to do stands with the reason in the contract.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The service was not reached, or the connection broke, as often as it was tried. Whether a change happened is not
    /// known: ask again with the same `request_id`, which is one that you gave.
    #[error("the service cannot be reached")]
    Unreachable(#[source] Box<Status>),
    /// The deadline passed before there was an answer. Whether a change happened is not known.
    #[error("the deadline passed before there was an answer")]
    DeadlinePassed,
    /// There is no token to show.
    #[error("there is no token to show")]
    NoToken(#[source] std::io::Error),
    /// An answer that this version does not understand: no session may be started.
    #[error("the answer is not understood")]
    NotUnderstood,
}

impl Error {
    /// The contract's reason, where the service told one that this version knows.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused(refusal) => refusal.reason,
            _ => None,
        }
    }
}

/// What the service says about an error.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The status.
    pub code: Code,
    /// The reason, if this version knows it.
    pub reason: Option<Reason>,
    /// The name of the reason, also of one that is newer than this version.
    pub reason_name: String,
    /// A text for developers.
    pub message: String,
    /// More, by the names that the contract gives for the reason.
    pub metadata: HashMap<String, String>,
    /// Fields that are wrong.
    pub violations: Vec<Violation>,
    /// When to try again, at the earliest.
    pub retry_after: Option<Duration>,
    /// An id under which the service's log tells more.
    pub incident_id: Option<String>,
}

/// A field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its path in the request.
    pub field: String,
    /// What would be right.
    pub problem: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.reason_name, self.message)
    }
}

/// What a status is: the service's word, or the connection's.
pub(crate) fn of(status: Status) -> Error {
    let details = status.get_error_details();
    let Some(info) = details.error_info().filter(|info| info.domain == countersign_api::ERROR_DOMAIN) else {
        return Error::Unreachable(Box::new(status));
    };
    let violations = details.bad_request().map(|bad| &bad.field_violations).into_iter().flatten();
    Error::Refused(Box::new(Refusal {
        code: status.code(),
        reason: Reason::from_str_name(&format!("ERROR_REASON_{}", info.reason)),
        reason_name: info.reason.clone(),
        message: status.message().to_owned(),
        metadata: info.metadata.clone(),
        violations: violations
            .map(|violation| Violation {
                field: violation.field.clone(),
                problem: violation.description.clone(),
            })
            .collect(),
        retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
        incident_id: details.request_info().map(|request| request.request_id.clone()),
    }))
}
