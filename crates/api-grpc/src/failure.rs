//! An error on its way to a caller: one reason of the contract with its details, not yet a status.
//!
//! What the caller sent is never part of it, nor is the text of an internal error.

use countersign_api::v1::ErrorReason;
use countersign_api::{ERROR_DOMAIN, error_reason_name};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, QuotaFailure, StatusExt};

/// Violations that a caller is told of at most, as the contract says.
pub(crate) const MAX_VIOLATIONS: usize = 32;

/// Bytes of them at most. All details travel in one header, encoded as base64, and many clients take no more than 16 KiB of
/// headers: some give up the whole connection for more.
const MAX_VIOLATION_BYTES: usize = 4_096;

/// The quotas and their subjects: one list, so that the test knows all of them.
macro_rules! quotas {
    ($($variant:ident = $subject:literal),+ $(,)?) => {
        /// What of one party a call may have too much of, as the contract names it.
        #[derive(Debug, Clone, Copy)]
        pub(crate) enum Quota { $($variant),+ }

        impl Quota {
            #[cfg(test)]
            const SUBJECTS: &'static [&'static str] = &[$($subject),+];

            const fn subject(self) -> &'static str {
                match self { $(Self::$variant => $subject),+ }
            }
        }
    };
}

quotas! {
    Caller = "caller",
    TextMessages = "text messages",
    User = "user",
    Watches = "watches",
}

/// An error of the contract in the making.
#[derive(Debug)]
pub(crate) struct Failure {
    reason: ErrorReason,
    message: String,
    metadata: HashMap<String, String>,
    /// Boxed, because it is large and most calls have none.
    details: Box<ErrorDetails>,
}

impl Failure {
    /// A failure for this reason, with a text for the developer who reads a log.
    pub(crate) fn new(reason: ErrorReason, message: impl Into<String>) -> Self {
        let (message, metadata) = (message.into(), HashMap::new());
        Self { reason, message, metadata, details: Box::default() }
    }

    /// Fields of the wrong shape, in the order of the request; at least one. The first [`MAX_VIOLATIONS`] are told.
    pub(crate) fn fields(violations: Vec<FieldViolation>) -> Self {
        let first = violations.first().map(|violation| violation.field.clone()).unwrap_or_default();
        let mut failure =
            Self::new(ErrorReason::FieldInvalid, "a field of the request is not valid").with("field", first);
        failure.details.set_bad_request(violations);
        failure
    }

    /// One field of the wrong shape.
    pub(crate) fn field(field: &str, problem: &str) -> Self {
        Self::fields(vec![FieldViolation::new(field, problem)])
    }

    /// Adds metadata, whose keys the contract names for each reason.
    pub(crate) fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// Says which field it is about, in the metadata and as a `BadRequest`.
    pub(crate) fn about_field(mut self, field: &str) -> Self {
        self.details.add_bad_request_violation(field, self.message.clone());
        self.with("field", field)
    }

    /// Adds what is wrong with a field, without naming it in the metadata.
    pub(crate) fn violation(mut self, field: &str, problem: &str) -> Self {
        self.details.add_bad_request_violation(field, problem);
        self
    }

    /// Says what must be the case before the call can go through.
    pub(crate) fn unmet(mut self, subject: impl Into<String>) -> Self {
        let kind = error_reason_name(self.reason);
        self.details.add_precondition_failure_violation(kind, subject, self.message.clone());
        self
    }

    /// Says when to try again.
    pub(crate) fn retry_after(mut self, delay: Duration) -> Self {
        self.details.set_retry_info(Some(delay));
        self
    }

    /// Says which quota is used up.
    pub(crate) fn quota(mut self, quota: Quota) -> Self {
        self.details.add_quota_failure_violation(quota.subject(), self.message.clone());
        self
    }

    /// Says what kind of thing does not exist.
    pub(crate) fn missing_resource(mut self, kind: &str) -> Self {
        // The name stays empty: it would be the caller's own words.
        self.details.set_resource_info(kind, "", "", self.message.clone());
        self.with("resource_type", kind)
    }

    /// Says under which id the log tells more.
    pub(crate) fn incident(mut self, id: &str) -> Self {
        self.details.set_request_info(id, "");
        self
    }

    /// The reason.
    #[cfg(test)]
    pub(crate) const fn reason(&self) -> ErrorReason {
        self.reason
    }

    /// Leaves as many violations as fit.
    fn bound(&mut self) {
        let Some(all) = self.details.bad_request().map(|bad| bad.field_violations.as_slice()) else { return };
        let mut bytes = 0;
        let fits = |violation: &&FieldViolation| {
            bytes += violation.field.len() + violation.description.len();
            bytes <= MAX_VIOLATION_BYTES
        };
        let fitting: Vec<_> = all.iter().take(MAX_VIOLATIONS).take_while(fits).cloned().collect();
        if fitting.len() < all.len() {
            self.details.set_bad_request(fitting);
        }
    }

    /// The status for the caller, now that it is told.
    pub(crate) fn into_status(self) -> Status {
        told(self.reason, self.details.quota_failure());
        self.untold()
    }

    /// The same where it may still come otherwise.
    pub(crate) fn untold(mut self) -> Status {
        self.bound();
        self.details.set_error_info(error_reason_name(self.reason), ERROR_DOMAIN, self.metadata);
        Status::with_error_details(code(self.reason), self.message, *self.details)
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        failure.into_status()
    }
}

/// An error for this reason leaves for its caller: it is counted, and the span of the call learns the reason and the quota.
pub(crate) fn told(reason: ErrorReason, quota: Option<&QuotaFailure>) {
    let (reason, span) = (error_reason_name(reason), tracing::Span::current());
    span.record("reason", reason);
    if let Some(violation) = quota.and_then(|quota| quota.violations.first()) {
        span.record("quota", violation.subject.as_str());
    }
    crate::metrics::refused(reason);
}

/// The status that the contract gives each reason.
const fn code(reason: ErrorReason) -> Code {
    use ErrorReason as R;
    match reason {
        R::CallerCredentialsMissing | R::CallerCredentialsInvalid => Code::Unauthenticated,
        R::CallerScopeMissing
        | R::CallerTenantDenied
        | R::ActorNotSubject
        | R::ActorIsSubject
        | R::ActorPermissionMissing
        | R::ActorNotTeamManager
        | R::ActorTwoFactorMissing
        | R::ActionNotAllowed => Code::PermissionDenied,
        R::FieldInvalid
        | R::PageTokenInvalid
        | R::ResumeTokenInvalid
        | R::RequestIdReused
        | R::ProofIncorrect
        | R::PolicyInvalid
        | R::FirstFactorTimeInvalid
        | R::RequestTooLarge
        | R::RequestMalformed => Code::InvalidArgument,
        R::FirstFactorStale
        | R::FirstFactorNotAllowed
        | R::ProofRequired
        | R::TwoFactorMandatory
        | R::TwoFactorNotEnabled
        | R::AuthenticatorTypeNotAllowed
        | R::OtherAuthenticatorRequired
        | R::AuthenticatorLimitReached
        | R::LastAuthenticator
        | R::EnrollmentExpired
        | R::EnrollmentTicketInvalid
        | R::ChallengeInvalid
        | R::RecoveryCodesOff
        | R::UserLocked
        | R::SecondApproverRequired => Code::FailedPrecondition,
        R::TooManyAttempts | R::SendTooSoon | R::CallerRateExceeded | R::Overloaded => {
            Code::ResourceExhausted
        }
        R::TenantNotFound | R::ResourceNotFound => Code::NotFound,
        R::TenantExists | R::AuthenticatorExists | R::DisplayNameExists => Code::AlreadyExists,
        R::EtagMismatch | R::RequestInProgress | R::Contended => Code::Aborted,
        R::ResumeTokenExpired => Code::OutOfRange,
        R::DeadlineExpired => Code::DeadlineExceeded,
        R::StoreUnavailable | R::DeliveryUnavailable | R::ClockUntrusted | R::ShuttingDown => {
            Code::Unavailable
        }
        R::MethodUnknown => Code::Unimplemented,
        R::Unspecified | R::InternalError => Code::Internal,
    }
}

/// An id for one line of the log. It tells processes apart and decides nothing, so that it needs no secure randomness:
/// the seed of the standard library's hash tables will do.
pub(crate) fn incident() -> String {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0_u8));
    static COUNT: AtomicU64 = AtomicU64::new(1);
    format!("{:016x}-{}", *PROCESS, COUNT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contract names the quotas that there are.
    #[test]
    fn quotas_are_those_of_the_contract() {
        let reasons =
            countersign_api::descriptor_pool().get_enum_by_name("countersign.v1.ErrorReason").unwrap();
        let overloaded = reasons.get_value(ErrorReason::Overloaded.into()).unwrap();
        let file = overloaded.parent_file();
        let places = &file.file_descriptor_proto().source_code_info.as_ref().unwrap().location;
        let place = places.iter().find(|place| place.path == overloaded.path()).unwrap();
        let comment = place.leading_comments().replace('\n', " ");
        let (_, subjects) = comment.split_once("with the subject ").unwrap();
        let (subjects, _) = subjects.split_once(" where ").unwrap();
        let mut named: Vec<_> = subjects.split('`').skip(1).step_by(2).collect();
        named.sort_unstable();
        assert_eq!(named, Quota::SUBJECTS, "{subjects}");
    }

    /// R47: the details of an error fit into the headers that every client takes, however much is wrong, and tell of
    /// the first.
    #[test]
    fn details_are_bounded() {
        let violation = |len| move |index| FieldViolation::new(format!("users[{index}]"), "x".repeat(len));
        for (len, told) in [(10, 32), (120, 31), (4_000, 1)] {
            let status = Failure::fields((0..500).map(violation(len)).collect()).into_status();
            let bad = status.get_details_bad_request().unwrap();
            assert_eq!(bad.field_violations.len(), told, "{len}");
            assert_eq!(bad.field_violations[0].field, "users[0]");
            assert!(status.details().len() < 6 * 1_024, "{}", status.details().len());
        }
    }

    /// Every reason has the status that `docs/errors.md`, written from the contract, gives it.
    #[test]
    fn every_reason_has_the_status_of_the_contract() {
        let page = include_str!("../../../docs/errors.md");
        let mut seen = 0;
        for section in page.split("\n## ").skip(1) {
            let name = section.lines().next().unwrap();
            let status = section.split("- Status: `").nth(1).unwrap().split('`').next().unwrap();
            let reason = ErrorReason::from_str_name(&format!("ERROR_REASON_{name}")).unwrap();
            let code = format!("{:?}", code(reason)).to_uppercase();
            assert_eq!(code, status.replace('_', ""), "{name}");
            seen += 1;
        }
        assert!(seen > 50, "the page has a section for each reason");
    }
}
