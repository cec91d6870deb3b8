//! Verdicts on logins as stories expect them. Every other verdict than the one asked for fails the test.

use crate::harness::User;
use countersign_api::v1;
use tonic::Status;
use v1::login_decision::Verdict;

/// Allowed, with this assurance.
#[track_caller]
pub(super) fn allowed(verdict: Result<Verdict, Status>, assurance: v1::Assurance) -> v1::Allowed {
    match verdict {
        Ok(Verdict::Allowed(body)) => {
            assert_eq!(body.assurance(), assurance);
            body
        }
        other => panic!("not allowed: {other:?}"),
    }
}

/// Refused because of the code.
#[track_caller]
pub(super) fn refused(verdict: Result<Verdict, Status>) {
    match verdict {
        Ok(Verdict::Refused(body)) => assert_eq!(body.reason(), v1::RefusedReason::CodeNotAccepted),
        other => panic!("not refused: {other:?}"),
    }
}

/// Asked for a second factor.
#[track_caller]
pub(super) fn challenged(verdict: Result<Verdict, Status>) -> v1::ChallengeRequired {
    match verdict {
        Ok(Verdict::ChallengeRequired(body)) => body,
        other => panic!("not challenged: {other:?}"),
    }
}

/// Locked out, because of wrong codes.
#[track_caller]
pub(super) fn locked_out(verdict: Result<Verdict, Status>) -> v1::LockedOut {
    match verdict {
        Ok(Verdict::LockedOut(body)) => body,
        other => panic!("not locked out: {other:?}"),
    }
}

/// Stopped until an authenticator is enrolled.
#[track_caller]
pub(super) fn stopped(verdict: Result<Verdict, Status>) -> v1::EnrollmentRequired {
    match verdict {
        Ok(Verdict::EnrollmentRequired(body)) => body,
        other => panic!("not stopped: {other:?}"),
    }
}

impl User {
    /// The verdict on a login with nothing but the password.
    pub(super) async fn login(&self) -> Result<Verdict, Status> {
        self.verdict(self.to_check(None)).await
    }

    /// The verdict on this login.
    pub(super) async fn verdict(&self, request: v1::CheckLoginRequest) -> Result<Verdict, Status> {
        Ok(self.check(request).await?.verdict.expect("a verdict"))
    }

    /// The status, which must be this one.
    pub(super) async fn status_is(&self, state: v1::TwoFactorState) -> v1::TwoFactorStatus {
        let status = self.status().await.expect("a status");
        assert_eq!(status.state(), state, "{status:?}");
        status
    }
}
