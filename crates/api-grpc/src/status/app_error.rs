//! From a use case without an answer to what the caller is told.

use super::{LATER, SOON, internal};
use crate::caller::CallerContext;
use crate::convert::time::timestamp;
use crate::failure::{Failure, Quota};
use crate::options::WEAKEN_SCOPE;
use countersign_api::v1::ErrorReason as R;
use countersign_application::{AppError, StoreError, error_chain};
use std::error::Error;

/// The failure that a caller is told of, logged where it is not theirs.
pub(crate) fn app_error(error: &AppError, caller: &CallerContext) -> Failure {
    match error {
        AppError::TenantNotFound => caller.tenant_missing(),
        AppError::TenantExists => Failure::new(R::TenantExists, "the tenant exists already"),
        AppError::RequestIdReused => {
            Failure::new(R::RequestIdReused, "the request_id was used with other arguments")
        }
        AppError::EtagMismatch => Failure::new(R::EtagMismatch, "the etag is not the present one"),
        AppError::Contended => {
            let message = "others changed the same user or policy at the same moment too often";
            Failure::new(R::Contended, message).retry_after(SOON)
        }
        AppError::Overloaded => {
            tracing::warn!("too many calls wait for one user");
            Failure::new(R::Overloaded, "too many calls wait for this user")
                .retry_after(LATER)
                .quota(Quota::User)
        }
        AppError::DeliveryUnavailable => {
            Failure::new(R::DeliveryUnavailable, "the text message was not delivered").retry_after(LATER)
        }
        // Not to be asked again: this request has no message any more.
        AppError::MessageVoid => {
            let message = "the text message was not delivered, and its code cannot be used any more";
            Failure::new(R::DeliveryUnavailable, message)
        }
        AppError::Store(cause) => store(cause, caller),
        AppError::ClockUntrusted => {
            let message = "the clocks of the service disagree, and nothing is changed until they agree";
            Failure::new(R::ClockUntrusted, message).retry_after(LATER)
        }
        AppError::Interrupted => {
            // No alarm: the service is being stopped, and nobody has to look.
            let incident = caller.incident();
            tracing::error!(incident_id = incident, "a use case was interrupted");
            internal(&incident)
        }
        AppError::WeakeningDenied { fields } => {
            caller.denied(R::CallerScopeMissing);
            let message = "the change asks less of users, which needs a scope of its own";
            let failure = Failure::new(R::CallerScopeMissing, message).with("scope", WEAKEN_SCOPE);
            // Only a request that carries a policy of this name can ask less of users.
            let field = |field| format!("policy.{field}");
            fields.iter().fold(failure, |failure, name| failure.violation(&field(name), "asks less of users"))
        }
        AppError::EventsDropped { oldest } => {
            let message = "events behind the token are no longer held; begin with the oldest";
            let failure = Failure::new(R::ResumeTokenExpired, message);
            match oldest {
                Some(oldest) => failure.with("oldest_time", timestamp(*oldest).to_string()),
                None => failure,
            }
        }
        AppError::ActorNotRead => fault("a decision changes an actor who was not read", error, caller),
        AppError::PolicyCorrupt => fault("a stored policy or a preset is not valid", error, caller),
    }
}

fn store(error: &StoreError, caller: &CallerContext) -> Failure {
    match error {
        StoreError::TenantMissing => caller.tenant_missing(),
        StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_) => {
            tracing::error!(error = error_chain(error), "the store is unavailable");
            Failure::new(R::StoreUnavailable, "the store cannot be reached").retry_after(LATER)
        }
        // A row was edited, swapped or lost its key (R50).
        StoreError::Corrupt { .. } | StoreError::SealBroken { .. } => {
            fault("the store holds what this service cannot have written", error, caller)
        }
    }
}

/// Logs a fault of the service as an alarm, under the id that the caller is told.
fn fault(what: &'static str, error: &(dyn Error + 'static), caller: &CallerContext) -> Failure {
    let incident = caller.incident();
    tracing::error!(alarm = true, incident_id = incident, error = error_chain(error), "{what}");
    internal(&incident)
}
