//! The calls of a login service, with all that a careful one sends: a deadline, a `request_id`, the user's device.

use std::cell::Cell;
use std::time::Duration;

use countersign_api::v1;
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;
use v1::account_service_client::AccountServiceClient;
use v1::begin_totp_enrollment_request::Authority as BeginAuthority;
use v1::confirm_enrollment_request::Authority as ConfirmAuthority;
use v1::login_decision::Verdict;
use v1::login_service_client::LoginServiceClient;
use v1::team_service_client::TeamServiceClient;

use crate::Trouble;
use crate::app::{App, Now};
use crate::line::Line;

/// Longer than any call should take, and what a login page would wait.
const DEADLINE: Duration = Duration::from_secs(10);

const LOGIN_SERVICE: &str = "countersign.v1.LoginService";

/// A connection as a login service uses it.
#[derive(Clone)]
pub(crate) struct Calls {
    login: LoginServiceClient<Line>,
    account: AccountServiceClient<Line>,
    team: TeamServiceClient<Line>,
    health: HealthClient<Line>,
}

impl Calls {
    pub(crate) fn over(line: Line) -> Self {
        Self {
            login: LoginServiceClient::with_origin(line.clone(), Line::origin()),
            account: AccountServiceClient::with_origin(line.clone(), Line::origin()),
            team: TeamServiceClient::with_origin(line.clone(), Line::origin()),
            health: HealthClient::with_origin(line, Line::origin()),
        }
    }

    /// `CheckLogin`, with a code or a token or neither.
    pub(crate) async fn check(
        &mut self,
        tenant: &str,
        user: &str,
        code: Option<&str>,
        token: &str,
        remember: bool,
    ) -> Result<Verdict, String> {
        let request = v1::CheckLoginRequest {
            tenant_id: tenant.to_owned(),
            user_id: user.to_owned(),
            first_factor: Some(password().map_err(|error| error.to_string())?),
            client: Some(client(token)),
            answer: code.map(proof),
            remember_client: remember,
            purpose: v1::LoginPurpose::Login.into(),
            request_id: request_id(),
        };
        let response = self.login.check_login(patient(request)).await.map_err(|status| reason(&status))?;
        verdict(response.into_inner().decision)
    }

    /// `AnswerChallenge` with a code.
    pub(crate) async fn answer(&mut self, challenge: &str, code: &str) -> Result<Verdict, String> {
        let request = v1::AnswerChallengeRequest {
            challenge: challenge.to_owned(),
            answer: Some(proof(code)),
            remember_client: false,
            request_id: request_id(),
        };
        let response =
            self.login.answer_challenge(patient(request)).await.map_err(|status| reason(&status))?;
        verdict(response.into_inner().decision)
    }

    /// A page of users whose second factor is off, as an operator sees it.
    pub(crate) async fn list(&mut self, tenant: &str) -> Result<(), String> {
        let filter = v1::StatusFilter { states: vec![v1::TwoFactorState::Off.into()], ..Default::default() };
        let request = v1::ListStatusesRequest {
            tenant_id: tenant.to_owned(),
            actor: Some(operator()),
            filter: Some(filter),
            ..Default::default()
        };
        let page = self.team.list_statuses(patient(request)).await.map_err(|status| reason(&status))?;
        if page.into_inner().statuses.is_empty() { Err("an empty page".to_owned()) } else { Ok(()) }
    }

    /// How many users are in which state, as an operator sees it.
    pub(crate) async fn coverage(&mut self, tenant: &str) -> Result<(), String> {
        let request =
            v1::GetCoverageRequest { tenant_id: tenant.to_owned(), actor: Some(operator()), at_time: None };
        self.team.get_coverage(patient(request)).await.map(drop).map_err(|status| reason(&status))
    }

    /// Whether the service for logins is there.
    pub(crate) async fn health(&mut self) -> Result<(), String> {
        let request = HealthCheckRequest { service: LOGIN_SERVICE.to_owned() };
        let state = self.health.check(patient(request)).await.map_err(|status| reason(&status))?.into_inner();
        match state.status() {
            ServingStatus::Serving => Ok(()),
            other => Err(other.as_str_name().to_owned()),
        }
    }

    /// Enrols an app for the user. Returns it, with the step whose code confirmed it.
    pub(crate) async fn enroll(&mut self, tenant: &str, user: &str) -> Result<(App, u64), Trouble> {
        let actor = v1::Actor {
            principal: Some(v1::actor::Principal::UserId(user.to_owned())),
            first_factor: Some(password()?),
            client: Some(client("")),
            ..v1::Actor::default()
        };
        let request = v1::BeginTotpEnrollmentRequest {
            tenant_id: tenant.to_owned(),
            user_id: user.to_owned(),
            authority: Some(BeginAuthority::Actor(actor.clone())),
            qr_formats: vec![v1::QrFormat::Svg.into()],
            request_id: request_id(),
            ..v1::BeginTotpEnrollmentRequest::default()
        };
        let begun = self.account.begin_totp_enrollment(patient(request)).await;
        let begun = begun.map_err(|status| reason(&status))?.into_inner();
        let app = App::scan(&begun.otpauth_uri)?;
        // The present step's: the one before may be too old by the time it is looked at, and the next one serves a login.
        let step = Now::read()?.step();
        let request = v1::ConfirmEnrollmentRequest {
            tenant_id: tenant.to_owned(),
            user_id: user.to_owned(),
            authority: Some(ConfirmAuthority::Actor(actor)),
            enrollment_id: begun.enrollment_id,
            proof: Some(proof(&app.code(step)?)),
            display_name: "phone".to_owned(),
            request_id: request_id(),
            ..v1::ConfirmEnrollmentRequest::default()
        };
        let confirmed = self.account.confirm_enrollment(patient(request)).await;
        confirmed.map_err(|status| reason(&status))?;
        Ok((app, step))
    }
}

fn verdict(decision: Option<v1::LoginDecision>) -> Result<Verdict, String> {
    decision.and_then(|decision| decision.verdict).ok_or_else(|| "no verdict".to_owned())
}

/// A password that has just passed.
fn password() -> Result<v1::FirstFactor, Trouble> {
    let seconds = Now::read()?.seconds.try_into()?;
    Ok(v1::FirstFactor {
        method: v1::FirstFactorMethod::Password.into(),
        verify_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        ..v1::FirstFactor::default()
    })
}

/// Somebody who runs the service and is no user of it.
fn operator() -> v1::Actor {
    v1::Actor { principal: Some(v1::actor::Principal::Operator("bench".to_owned())), ..v1::Actor::default() }
}

fn client(token: &str) -> v1::ClientContext {
    v1::ClientContext {
        ip_address: "192.0.2.7".to_owned(),
        user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
        application: "web".to_owned(),
        remembered_client_token: token.to_owned(),
        language_code: "en".to_owned(),
    }
}

fn proof(code: &str) -> v1::Proof {
    v1::Proof { kind: Some(v1::proof::Kind::Code(code.to_owned())) }
}

/// The request with the deadline, which the server is told.
pub(crate) fn patient<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

/// A UUID that no call had before. It need not be hard to guess.
pub(crate) fn request_id() -> String {
    thread_local! {
        static COUNT: Cell<u64> = const { Cell::new(0) };
    }
    let count = COUNT.replace(COUNT.get() + 1);
    // A fold of the count, so that ids do not come in the order of an index: those of real callers do not either.
    let mixed = count.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let process = std::process::id() & 0xffff;
    format!("{:08x}-{:04x}-4000-8000-{process:04x}{count:08x}", mixed >> 32, mixed >> 16 & 0xffff)
}

/// The reason in the error's details, or its status.
pub(crate) fn reason(status: &Status) -> String {
    match status.get_details_error_info() {
        Some(info) => info.reason,
        None => format!("{:?} {}", status.code(), status.message()),
    }
}
