//! Why a call has no answer, with the contract's reason where the service told one.

use crate::{Reason, retry};
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
    /// Whether another moment may bring an answer: the service said so or was not reached, longer than it was tried for, or the
    /// deadline passed, here or there. Whoever has time asks again, a change with the same `request_id`. What follows the
    /// log of events goes on.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::DeadlinePassed)
            || self.reason() == Some(Reason::DeadlineExpired)
            || retry::is_passing(self)
    }

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

/// Fields that a text names at most, so that a log stays readable; `violations` has all.
const FIELDS_TOLD: usize = 8;

/// What somebody can act on, in one line: the reason, the scope that is missing, when to come back, what to ask the operators
/// of the service about, the field of the policy that decides, and the first fields that are wrong. Nothing of it is a value that was sent.
/// In its alternate form (`{:#}`) all of these fields, a line each.
impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.reason_name, self.message)?;
        if let Some(scope) = self.metadata.get("scope") {
            write!(f, "; it takes the scope {scope}")?;
        }
        if let Some(after) = self.retry_after {
            write!(f, "; try again in {} s", after.as_millis().div_ceil(1_000).max(1))?;
        }
        if let Some(incident) = &self.incident_id {
            write!(f, "; incident {incident}")?;
        }
        if let Some(field) = self.metadata.get("policy_field").filter(|_| self.violations.is_empty()) {
            write!(f, "; {field} decides")?;
        }
        let (most, between) = if f.alternate() { (usize::MAX, "\n") } else { (FIELDS_TOLD, "; ") };
        for Violation { field, problem } in self.violations.iter().take(most) {
            if *problem == self.message {
                write!(f, "{between}{field}")?;
            } else {
                write!(f, "{between}{field}: {problem}")?;
            }
        }
        match self.violations.len().saturating_sub(most) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// What a status is: the service's word, or the connection's.
pub(crate) fn of(status: Status) -> Error {
    let details = status.get_error_details();
    let Some(info) = details.error_info().filter(|info| info.domain == countersign_api::ERROR_DOMAIN) else {
        // Somebody on the way counts the time too.
        return match status.code() {
            Code::DeadlineExceeded => Error::DeadlinePassed,
            _ => Error::Unreachable(Box::new(status)),
        };
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

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::{ErrorDetails, FieldViolation};

    fn told(reason: &str, message: &str, mut details: ErrorDetails) -> String {
        let metadata = match reason {
            "CALLER_SCOPE_MISSING" => HashMap::from([("scope".to_owned(), "policy.weaken".to_owned())]),
            "ACTION_NOT_ALLOWED" => HashMap::from([("policy_field".to_owned(), "delegation".to_owned())]),
            _ => HashMap::new(),
        };
        details.set_error_info(reason, countersign_api::ERROR_DOMAIN, metadata);
        of(Status::with_error_details(Code::InvalidArgument, message, details)).to_string()
    }

    /// R53: a developer who logs an error reads which fields are wrong, a few of them, and never what was sent.
    #[test]
    fn an_error_names_the_fields_that_are_wrong() {
        let fields = |count: usize| {
            let violations = (1..=count).map(|n| FieldViolation::new(format!("field_{n}"), "is required"));
            ErrorDetails::with_bad_request(violations.collect::<Vec<_>>())
        };
        assert_eq!(
            told("FIELD_INVALID", "a field is not valid", fields(2)),
            "FIELD_INVALID: a field is not valid; field_1: is required; field_2: is required"
        );
        let many = told("FIELD_INVALID", "a field is not valid", fields(11));
        assert!(many.ends_with("; field_8: is required; and 3 more"), "{many}");
        // One that is about a single field says the same of it.
        let one = ErrorDetails::with_bad_request_violation("proof.code", "the code is not right");
        assert_eq!(
            told("PROOF_INCORRECT", "the code is not right", one),
            "PROOF_INCORRECT: the code is not right; proof.code"
        );
    }

    /// What somebody can act on is told: a scope, a time to come back, an id to ask with.
    #[test]
    fn an_error_says_what_to_do() {
        assert_eq!(
            told("CALLER_SCOPE_MISSING", "not granted", ErrorDetails::new()),
            "CALLER_SCOPE_MISSING: not granted; it takes the scope policy.weaken"
        );
        assert_eq!(
            told("ACTION_NOT_ALLOWED", "nobody may", ErrorDetails::new()),
            "ACTION_NOT_ALLOWED: nobody may; delegation decides"
        );
        let soon = ErrorDetails::with_retry_info(Some(Duration::from_millis(1_200)));
        assert_eq!(told("OVERLOADED", "too much", soon), "OVERLOADED: too much; try again in 2 s");
        let fault = ErrorDetails::with_request_info("i-7", "");
        assert_eq!(told("INTERNAL_ERROR", "a fault", fault), "INTERNAL_ERROR: a fault; incident i-7");
    }
}
