//! The two calls of a login, put together from what a login form knows.

use crate::client::Client;
use crate::error::Error;
use crate::v1;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};
use v1::login_decision::Verdict;

/// A login whose first factor passed. Codes and tokens in it are in no `Debug` output.
#[derive(Clone)]
pub struct Login(v1::CheckLoginRequest);

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The message hides its secrets itself.
        self.0.fmt(f)
    }
}

impl Login {
    /// After a password that passed at that time.
    pub fn after_password(tenant: &str, user: &str, passed_at: SystemTime) -> Self {
        Self::after(tenant, user, passed_at, v1::FirstFactorMethod::Password)
    }

    /// After a login at an identity provider, with what that said about its own factors (`amr`, RFC 8176).
    pub fn after_federation(
        tenant: &str,
        user: &str,
        passed_at: SystemTime,
        provider: &str,
        amr: impl IntoIterator<Item = String>,
    ) -> Self {
        let mut login = Self::after(tenant, user, passed_at, v1::FirstFactorMethod::Federated);
        if let Some(factor) = &mut login.0.first_factor {
            provider.clone_into(&mut factor.identity_provider);
            factor.amr = amr.into_iter().collect();
        }
        login
    }

    /// After another first factor.
    pub fn after(tenant: &str, user: &str, passed_at: SystemTime, method: v1::FirstFactorMethod) -> Self {
        let since = passed_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let verify_time = prost_types::Timestamp {
            seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(since.subsec_nanos()).unwrap_or(0),
        };
        Self(v1::CheckLoginRequest {
            tenant_id: tenant.to_owned(),
            user_id: user.to_owned(),
            first_factor: Some(v1::FirstFactor {
                method: method.into(),
                verify_time: Some(verify_time),
                ..v1::FirstFactor::default()
            }),
            purpose: v1::LoginPurpose::Login.into(),
            ..v1::CheckLoginRequest::default()
        })
    }

    /// The end user's device, as the login form sees it.
    #[must_use]
    pub fn device(mut self, ip_address: &str, user_agent: &str, application: &str) -> Self {
        let client = self.0.client.get_or_insert_default();
        ip_address.clone_into(&mut client.ip_address);
        user_agent.clone_into(&mut client.user_agent);
        application.clone_into(&mut client.application);
        self
    }

    /// The token that this device was given when it was remembered.
    #[must_use]
    pub fn remembered_client_token(mut self, token: &str) -> Self {
        token.clone_into(&mut self.0.client.get_or_insert_default().remembered_client_token);
        self
    }

    /// The code that the form carried already, from an app, a text message or the recovery codes.
    #[must_use]
    pub fn code(mut self, code: &str) -> Self {
        self.0.answer = Some(v1::Proof { kind: Some(v1::proof::Kind::Code(code.to_owned())) });
        self
    }

    /// The user wishes that this device be remembered.
    #[must_use]
    pub const fn remember_client(mut self) -> Self {
        self.0.remember_client = true;
        self
    }

    /// Not a new session, but more assurance for one that there is.
    #[must_use]
    pub fn step_up(mut self) -> Self {
        self.0.purpose = v1::LoginPurpose::StepUp.into();
        self
    }

    /// An id of your own, for asking again after an error.
    #[must_use]
    pub fn request_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.0.request_id);
        self
    }

    /// The request, for what this type has no method for.
    pub fn into_request(self) -> v1::CheckLoginRequest {
        self.0
    }
}

/// The answer to a challenge. What it proves with is in no `Debug` output.
#[derive(Clone)]
pub struct Answer(v1::AnswerChallengeRequest);

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The message hides its secrets itself.
        self.0.fmt(f)
    }
}

impl Answer {
    /// A code from an app, a text message or the recovery codes.
    pub fn code(challenge: &str, code: &str) -> Self {
        Self::with(challenge, v1::proof::Kind::Code(code.to_owned()))
    }

    /// The `PublicKeyCredential` that the browser gave for the options in the challenge, as JSON.
    pub fn credential(challenge: &str, json: &str) -> Self {
        Self::with(challenge, v1::proof::Kind::WebauthnCredentialJson(json.to_owned()))
    }

    fn with(challenge: &str, kind: v1::proof::Kind) -> Self {
        Self(v1::AnswerChallengeRequest {
            challenge: challenge.to_owned(),
            answer: Some(v1::Proof { kind: Some(kind) }),
            ..v1::AnswerChallengeRequest::default()
        })
    }

    /// The user wishes that this device be remembered.
    #[must_use]
    pub const fn remember_client(mut self) -> Self {
        self.0.remember_client = true;
        self
    }

    /// An id of your own, for asking again after an error.
    #[must_use]
    pub fn request_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.0.request_id);
        self
    }

    /// The request, for what this type has no method for.
    pub fn into_request(self) -> v1::AnswerChallengeRequest {
        self.0
    }
}

/// What was decided. Only [`Verdict::Allowed`] starts a session.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: v1::LoginReason,
    /// The policy that decided.
    pub policy_revision: i32,
    /// The event that tells of it.
    pub event_id: String,
}

impl Decision {
    /// What was allowed, if it was.
    pub fn allowed(&self) -> Option<&v1::Allowed> {
        match &self.verdict {
            Verdict::Allowed(allowed) => Some(allowed),
            _ => None,
        }
    }

    fn of(decision: Option<v1::LoginDecision>) -> Result<Self, Error> {
        let decision = decision.ok_or(Error::NotUnderstood)?;
        let reason = decision.reason();
        Ok(Self {
            // A verdict of a later version is none that could start a session.
            verdict: decision.verdict.ok_or(Error::NotUnderstood)?,
            reason,
            policy_revision: decision.policy_revision,
            event_id: decision.event_id,
        })
    }
}

impl Client {
    /// May this login go ahead?
    pub async fn check_login(&self, login: Login) -> Result<Decision, Error> {
        Decision::of(self.call(login.0).await?.decision)
    }

    /// Answers a challenge.
    pub async fn answer(&self, answer: Answer) -> Result<Decision, Error> {
        Decision::of(self.call(answer.0).await?.decision)
    }

    /// Answers a challenge with a code. Where you may have to ask again after an error, give [`Client::answer`] an id of
    /// your own.
    pub async fn answer_challenge(
        &self,
        challenge: &str,
        code: &str,
        remember_client: bool,
    ) -> Result<Decision, Error> {
        let answer = Answer::code(challenge, code);
        self.answer(if remember_client { answer.remember_client() } else { answer }).await
    }
}
