//! When a call is tried again: decided from the error, the number of attempts and the policy, without a clock.

use crate::{Error, Reason};
use std::time::Duration;
use tonic::Code;

/// How often and how fast a call is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all; 1 never tries again.
    pub max_attempts: u32,
    /// The first pause; each further one is twice as long. Up to a quarter is added to each, so that callers who failed
    /// together do not come back together.
    pub first_pause: Duration,
    /// The longest pause that is made without being told one, but for that quarter.
    pub max_pause: Duration,
}

impl Default for Retry {
    /// Four attempts, pausing 50 ms, 100 ms and 200 ms, each and up to a quarter more.
    fn default() -> Self {
        Self { max_attempts: 4, first_pause: Duration::from_millis(50), max_pause: Duration::from_secs(2) }
    }
}

impl Retry {
    /// The pause before the next attempt after `attempts` of them, or `None` where there is to be none.
    ///
    /// Tried again is what the service says another moment may not have, and what broke on the way. The first is safe
    /// because the service did nothing or says so, the second because the attempts share a `request_id`. A service that
    /// says when is believed.
    pub(crate) fn pause(&self, error: &Error, attempts: u32) -> Option<Duration> {
        if attempts >= self.max_attempts || !is_passing(error) {
            return None;
        }
        Some(self.pause_after(error, attempts))
    }

    /// The pause after `attempts` of them that failed, the last one so, wherever there is another.
    pub(crate) fn pause_after(&self, error: &Error, attempts: u32) -> Duration {
        let doubled = self.first_pause.saturating_mul(1 << attempts.saturating_sub(1).min(20));
        let own = doubled.min(self.max_pause);
        let told = match error {
            Error::Refused(refusal) => refusal.retry_after,
            _ => None,
        };
        told.map_or(own, |told| told.max(own))
    }
}

/// Whether a call is worth another attempt.
pub(crate) fn is_passing(error: &Error) -> bool {
    match error {
        // Where nobody delivers text messages the service names no time to come back, and none helps.
        Error::Refused(refusal)
            if refusal.reason == Some(Reason::DeliveryUnavailable) && refusal.retry_after.is_none() =>
        {
            false
        }
        Error::Refused(refusal) => {
            refusal.code == Code::Unavailable
                || matches!(
                    refusal.reason,
                    Some(
                        Reason::Contended
                            | Reason::RequestInProgress
                            | Reason::Overloaded
                            | Reason::CallerRateExceeded
                    )
                )
        }
        // A stream that was reset is told as cancelled. A method that is not offered is no broken connection.
        Error::Unreachable(status) => {
            matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled)
        }
        Error::DeadlinePassed | Error::NoToken(_) | Error::NotUnderstood => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error;
    use tonic::Status;
    use tonic_types::{ErrorDetails, StatusExt as _};

    fn told(code: Code, reason: &str, after: Option<Duration>) -> Error {
        let mut details = ErrorDetails::with_error_info(reason, "countersign", []);
        details.set_retry_info(after);
        error::of(Status::with_error_details(code, "text", details))
    }

    const MILLIS: fn(u64) -> Duration = Duration::from_millis;

    /// R60: tried again is what passes, and nothing that is an answer: not what is denied, invalid, locked or too early.
    #[test]
    fn only_what_passes_is_tried_again() {
        let retry = Retry::default();
        for (code, reason, again, passes) in [
            (Code::Unavailable, "STORE_UNAVAILABLE", true, true),
            (Code::Unavailable, "SHUTTING_DOWN", true, true),
            (Code::Unavailable, "SOMETHING_NEW", true, true),
            (Code::Unavailable, "DELIVERY_UNAVAILABLE", false, false),
            (Code::Aborted, "CONTENDED", true, true),
            (Code::Aborted, "REQUEST_IN_PROGRESS", true, true),
            (Code::ResourceExhausted, "OVERLOADED", true, true),
            (Code::ResourceExhausted, "CALLER_RATE_EXCEEDED", true, true),
            (Code::ResourceExhausted, "TOO_MANY_ATTEMPTS", false, false),
            (Code::ResourceExhausted, "SEND_TOO_SOON", false, false),
            (Code::Aborted, "ETAG_MISMATCH", false, false),
            (Code::InvalidArgument, "PROOF_INCORRECT", false, false),
            (Code::Unauthenticated, "CALLER_CREDENTIALS_INVALID", false, false),
            (Code::DeadlineExceeded, "DEADLINE_EXPIRED", false, true),
            (Code::Internal, "INTERNAL_ERROR", false, false),
        ] {
            let pause = retry.pause(&told(code, reason, None), 1);
            assert_eq!(pause.is_some(), again, "{reason}");
            assert_eq!(told(code, reason, None).may_pass(), passes, "{reason}");
        }
        let failed = told(Code::Unavailable, "DELIVERY_UNAVAILABLE", Some(MILLIS(1)));
        assert!(retry.pause(&failed, 1).is_some(), "a gateway that failed may do better");
        let broken = |code| retry.pause(&error::of(Status::new(code, "connection reset")), 1).is_some();
        assert!(broken(Code::Unavailable) && broken(Code::Unknown));
        assert!(!broken(Code::Unimplemented) && !broken(Code::DeadlineExceeded));
        let over = error::of(Status::new(Code::DeadlineExceeded, "upstream request timeout"));
        assert!(matches!(over, Error::DeadlinePassed) && over.may_pass(), "{over:?}");
    }

    /// R60: pauses double up to their bound, the service's own word is honoured where it is longer, and attempts end.
    #[test]
    fn pauses_double_and_the_service_is_believed() {
        let retry = Retry { max_attempts: 5, first_pause: MILLIS(100), max_pause: MILLIS(300) };
        let pauses = |after| {
            let error = told(Code::Unavailable, "STORE_UNAVAILABLE", after);
            (1..=5).map(|attempts| retry.pause(&error, attempts)).collect::<Vec<_>>()
        };
        assert_eq!(
            pauses(None),
            [Some(MILLIS(100)), Some(MILLIS(200)), Some(MILLIS(300)), Some(MILLIS(300)), None]
        );
        let long = Some(MILLIS(1_000));
        assert_eq!(pauses(long), [long, long, long, long, None]);
        assert_eq!(pauses(Some(MILLIS(150)))[..2], [Some(MILLIS(150)), Some(MILLIS(200))]);
    }
}
