//! A tenant's policy, both ways: `write` puts a document on the wire, `read` takes one off it, `mask` takes over the
//! named fields of one message into another.
//!
//! What fits a field is checked here; what fits together is the domain's to say (`PolicyDocument::validated`).

mod enums;
mod mask;
mod read;
mod write;

pub(crate) use enums::{delegated_action, to_delegated_action};
pub(crate) use mask::take_over;
pub(crate) use read::document;
pub(crate) use write::{changed_fields, policy, policy_of, revision};

use crate::failure::Failure;
use countersign_api::v1::ErrorReason;
use countersign_domain::ids::PolicyRevision;
use countersign_domain::policy::PolicyViolation;

/// The etag of a revision. Opaque to callers; revisions of one tenant never repeat.
pub(crate) fn etag(revision: PolicyRevision) -> String {
    format!("p{}", revision.0)
}

/// A policy that is invalid as a whole, with everything that is wrong. `field` is where the request carries it.
pub(crate) fn invalid(field: &str, violations: &[PolicyViolation]) -> Failure {
    let first = violations.first().map_or("", |violation| violation.field);
    let failure =
        Failure::new(ErrorReason::PolicyInvalid, "the policy is not valid").with("policy_field", first);
    violations.iter().fold(failure, |failure, violation| {
        failure.violation(&format!("{field}.{}", violation.field), violation.problem)
    })
}
