//! A user as a login page and a settings page see one: the calls of the contract, with what every one of them needs.

use super::App;
use super::app::unix_seconds;
use super::failure::reason;
use countersign_api::v1;
use tokio::sync::Semaphore;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use v1::account_service_client::AccountServiceClient;
use v1::begin_totp_enrollment_request::Authority as BeginAuthority;
use v1::confirm_enrollment_request::Authority as ConfirmAuthority;
use v1::login_decision::Verdict;
use v1::login_service_client::LoginServiceClient;

/// The deadline of a call that waits behind a thousand others, and the longest that the service grants.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);

/// A user over one connection. Another connection is another value of the same ids.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) tenant: String,
    pub(crate) id: String,
    pub(crate) login: LoginServiceClient<Channel>,
    pub(crate) account: AccountServiceClient<Channel>,
}

/// What switching on left with the user.
pub(crate) struct Enrolled {
    pub(crate) app: App,
    /// The code that confirmed the app.
    pub(crate) confirming: String,
    pub(crate) recovery_codes: Vec<String>,
}

impl User {
    /// A user of this tenant over this connection.
    pub(crate) fn new(channel: Channel, tenant: &str, id: impl Into<String>) -> Self {
        Self {
            tenant: tenant.to_owned(),
            id: id.into(),
            login: LoginServiceClient::new(channel.clone()),
            account: AccountServiceClient::new(channel),
        }
    }

    /// The same user over another connection.
    pub(crate) fn over(&self, channel: Channel) -> Self {
        Self::new(channel, &self.tenant, self.id.clone())
    }

    /// The user acting for themself, right after the password.
    pub(crate) fn actor(&self) -> v1::Actor {
        v1::Actor {
            principal: Some(v1::actor::Principal::UserId(self.id.clone())),
            first_factor: Some(password()),
            ..v1::Actor::default()
        }
    }

    pub(crate) async fn status(&self) -> Result<v1::TwoFactorStatus, Status> {
        let request = v1::GetStatusRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.id.clone(),
            actor: Some(self.actor()),
        };
        let response = self.account.clone().get_status(patient(request)).await?;
        Ok(response.into_inner().status.expect("a status"))
    }

    /// A request to begin, to be changed or sent.
    pub(crate) fn to_begin(&self) -> v1::BeginTotpEnrollmentRequest {
        v1::BeginTotpEnrollmentRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.id.clone(),
            authority: Some(BeginAuthority::Actor(self.actor())),
            qr_formats: vec![v1::QrFormat::Svg.into()],
            ..v1::BeginTotpEnrollmentRequest::default()
        }
    }

    pub(crate) async fn begin(
        &self,
        request: v1::BeginTotpEnrollmentRequest,
    ) -> Result<v1::BeginTotpEnrollmentResponse, Status> {
        Ok(self.account.clone().begin_totp_enrollment(patient(request)).await?.into_inner())
    }

    /// A request to confirm, to be changed or sent.
    pub(crate) fn to_confirm(&self, enrollment_id: &str, code: &str) -> v1::ConfirmEnrollmentRequest {
        v1::ConfirmEnrollmentRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.id.clone(),
            authority: Some(ConfirmAuthority::Actor(self.actor())),
            enrollment_id: enrollment_id.to_owned(),
            proof: Some(proof(code)),
            ..v1::ConfirmEnrollmentRequest::default()
        }
    }

    pub(crate) async fn confirm(
        &self,
        request: v1::ConfirmEnrollmentRequest,
    ) -> Result<v1::ConfirmEnrollmentResponse, Status> {
        Ok(self.account.clone().confirm_enrollment(patient(request)).await?.into_inner())
    }

    /// Switches on with the code of the present step: the next one's is still good for a login.
    pub(crate) async fn enrol(&self) -> Result<Enrolled, Status> {
        let begun = self.begin(self.to_begin()).await?;
        let app = App::scan(&begun.otpauth_uri);
        let confirming = app.code(0);
        let done = self.confirm(self.to_confirm(&begun.enrollment_id, &confirming)).await?;
        let recovery_codes = done.recovery_codes.map(|set| set.codes).unwrap_or_default();
        Ok(Enrolled { app, confirming, recovery_codes })
    }

    /// A request for a verdict, to be changed or sent.
    pub(crate) fn to_check(&self, answer: Option<&str>) -> v1::CheckLoginRequest {
        v1::CheckLoginRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.id.clone(),
            first_factor: Some(password()),
            answer: answer.map(proof),
            purpose: v1::LoginPurpose::Login.into(),
            ..v1::CheckLoginRequest::default()
        }
    }

    pub(crate) async fn check(&self, request: v1::CheckLoginRequest) -> Result<v1::LoginDecision, Status> {
        let response = self.login.clone().check_login(patient(request)).await?;
        Ok(response.into_inner().decision.expect("a decision"))
    }

    /// The verdict on a login with this code.
    pub(crate) async fn login_with(&self, code: &str) -> Result<Verdict, Status> {
        let decision = self.check(self.to_check(Some(code))).await?;
        Ok(decision.verdict.expect("a verdict"))
    }

    /// The verdict on a login with this code, however long it takes: where there is no answer in time, or no room, the same
    /// request is made again, which has no second effect. `number` tells the requests of one user apart.
    pub(crate) async fn login_at_last(&self, code: &str, number: usize) -> Result<Verdict, Status> {
        let request_id = format!("00000000-0000-4000-8000-{number:012x}");
        let request = v1::CheckLoginRequest { request_id, ..self.to_check(Some(code)) };
        let mut again = None;
        loop {
            match self.check(request.clone()).await {
                Ok(decision) => return Ok(decision.verdict.expect("a verdict")),
                Err(status) if is_late(&status) => {}
                Err(status) => return Err(status),
            }
            if again.is_none() {
                again = Some(AGAIN.acquire().await.expect("nobody closes it"));
            }
        }
    }

    /// The verdict on an answer to a challenge.
    pub(crate) async fn answer(&self, challenge: &str, code: &str) -> Result<Verdict, Status> {
        let request = v1::AnswerChallengeRequest {
            challenge: challenge.to_owned(),
            answer: Some(proof(code)),
            ..v1::AnswerChallengeRequest::default()
        };
        let response = self.login.clone().answer_challenge(patient(request)).await?;
        Ok(response.into_inner().decision.and_then(|decision| decision.verdict).expect("a verdict"))
    }
}

/// Those who ask again, all others waiting for them: as many as one user has places on a node. A service with a thousand of
/// them does nothing but turn them away.
static AGAIN: Semaphore = Semaphore::const_new(16);

/// Whether this is no answer but the advice to ask again.
fn is_late(status: &Status) -> bool {
    ["DEADLINE_EXPIRED", "REQUEST_IN_PROGRESS", "CONTENDED", "OVERLOADED"].contains(&&*reason(status))
        // tonic's client gives up at the same moment as the service, and calls it so.
        || status.code() == Code::Cancelled
}

/// A password that has just passed.
pub(crate) fn password() -> v1::FirstFactor {
    let seconds = unix_seconds().try_into().expect("a time of this age");
    v1::FirstFactor {
        method: v1::FirstFactorMethod::Password.into(),
        verify_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        ..v1::FirstFactor::default()
    }
}

/// A code as a proof.
pub(crate) fn proof(code: &str) -> v1::Proof {
    v1::Proof { kind: Some(v1::proof::Kind::Code(code.to_owned())) }
}

/// A request that may wait long.
pub(crate) fn patient<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}
