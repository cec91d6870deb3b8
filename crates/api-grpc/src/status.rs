//! From what the application says to what a caller is told: one exhaustive match for each of its errors.
//!
//! Errors that are not the caller's are logged here, once, and told without their text.

mod app_error;
mod denial;

pub(crate) use app_error::app_error;
pub(crate) use denial::{Site, denial, reason};

use crate::failure::Failure;
use countersign_api::v1::ErrorReason;
use std::time::Duration;

/// When to try again after a failure that another moment may not have.
pub(crate) const SOON: Duration = Duration::from_millis(250);
/// When to try again where the service has too much to do.
pub(crate) const LATER: Duration = Duration::from_secs(1);

/// A fault of the service. The log tells more under the incident's id; say it there before.
pub(crate) fn internal(incident: &str) -> Failure {
    Failure::new(ErrorReason::InternalError, "internal error; its id is in RequestInfo").incident(incident)
}
