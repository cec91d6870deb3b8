//! A user of a tenant, and the plainest form of each request about them.

use super::world::{Client, World};
use countersign_api::v1;
use countersign_domain::time::Timestamp;
use countersign_testkit::VirtualAuthenticator;
use prost_types::Timestamp as Time;

/// A user.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) tenant: String,
    pub(crate) user: String,
}

/// A user's app, with what enrolling it returned.
pub(crate) struct Enrolled {
    pub(crate) app: VirtualAuthenticator,
    pub(crate) begun: v1::BeginTotpEnrollmentResponse,
    pub(crate) confirmed: v1::ConfirmEnrollmentResponse,
}

impl Enrolled {
    pub(crate) fn id(&self) -> String {
        self.confirmed.authenticator.as_ref().unwrap().authenticator_id.clone()
    }

    pub(crate) fn recovery_codes(&self) -> &[String] {
        self.confirmed.recovery_codes.as_ref().map(|set| set.codes.as_slice()).unwrap_or_default()
    }
}

fn time(at: Timestamp) -> Time {
    Time { seconds: at.unix_seconds(), nanos: 0 }
}

/// A password that passed at that moment.
pub(crate) fn password(at: Timestamp) -> v1::FirstFactor {
    v1::FirstFactor {
        method: v1::FirstFactorMethod::Password.into(),
        verify_time: Some(time(at)),
        ..v1::FirstFactor::default()
    }
}

pub(crate) fn code(code: impl Into<String>) -> v1::Proof {
    v1::Proof { kind: Some(v1::proof::Kind::Code(code.into())) }
}

impl Person {
    pub(crate) fn new(tenant: &str, user: &str) -> Self {
        Self { tenant: tenant.to_owned(), user: user.to_owned() }
    }

    /// The user themself, with a password that passed just now.
    pub(crate) fn actor(&self, world: &World) -> v1::Actor {
        v1::Actor {
            principal: Some(v1::actor::Principal::UserId(self.user.clone())),
            first_factor: Some(password(world.now())),
            ..v1::Actor::default()
        }
    }

    pub(crate) fn check(&self, world: &World, answer: Option<v1::Proof>) -> v1::CheckLoginRequest {
        v1::CheckLoginRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.user.clone(),
            first_factor: Some(password(world.now())),
            answer,
            purpose: v1::LoginPurpose::Login.into(),
            ..v1::CheckLoginRequest::default()
        }
    }

    pub(crate) fn get_status(&self, world: &World) -> v1::GetStatusRequest {
        let actor = Some(self.actor(world));
        v1::GetStatusRequest { tenant_id: self.tenant.clone(), user_id: self.user.clone(), actor }
    }

    pub(crate) fn begin(&self, world: &World) -> v1::BeginTotpEnrollmentRequest {
        v1::BeginTotpEnrollmentRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.user.clone(),
            authority: Some(v1::begin_totp_enrollment_request::Authority::Actor(self.actor(world))),
            account_label: "ann@example.com".to_owned(),
            ..v1::BeginTotpEnrollmentRequest::default()
        }
    }

    pub(crate) fn confirm(&self, world: &World, id: &str, proof: v1::Proof) -> v1::ConfirmEnrollmentRequest {
        v1::ConfirmEnrollmentRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.user.clone(),
            authority: Some(v1::confirm_enrollment_request::Authority::Actor(self.actor(world))),
            enrollment_id: id.to_owned(),
            proof: Some(proof),
            ..v1::ConfirmEnrollmentRequest::default()
        }
    }

    pub(crate) fn rename(&self, world: &World, id: &str, name: &str) -> v1::RenameAuthenticatorRequest {
        v1::RenameAuthenticatorRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.user.clone(),
            actor: Some(self.actor(world)),
            authenticator_id: id.to_owned(),
            display_name: name.to_owned(),
            ..v1::RenameAuthenticatorRequest::default()
        }
    }

    pub(crate) fn remove(
        &self,
        world: &World,
        id: &str,
        proof: Option<v1::Proof>,
    ) -> v1::RemoveAuthenticatorRequest {
        v1::RemoveAuthenticatorRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.user.clone(),
            actor: Some(self.actor(world)),
            authenticator_id: id.to_owned(),
            proof,
            ..v1::RemoveAuthenticatorRequest::default()
        }
    }

    pub(crate) fn disable(&self, world: &World, proof: Option<v1::Proof>) -> v1::DisableTwoFactorRequest {
        v1::DisableTwoFactorRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.user.clone(),
            actor: Some(self.actor(world)),
            proof,
            ..v1::DisableTwoFactorRequest::default()
        }
    }

    pub(crate) fn generate(
        &self,
        world: &World,
        proof: Option<v1::Proof>,
    ) -> v1::GenerateRecoveryCodesRequest {
        v1::GenerateRecoveryCodesRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.user.clone(),
            actor: Some(self.actor(world)),
            proof,
            ..v1::GenerateRecoveryCodesRequest::default()
        }
    }

    pub(crate) fn list_clients(&self, world: &World) -> v1::ListRememberedClientsRequest {
        v1::ListRememberedClientsRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.user.clone(),
            actor: Some(self.actor(world)),
            ..v1::ListRememberedClientsRequest::default()
        }
    }

    pub(crate) fn revoke_clients(&self, world: &World) -> v1::RevokeRememberedClientsRequest {
        v1::RevokeRememberedClientsRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.user.clone(),
            actor: Some(self.actor(world)),
            ..v1::RevokeRememberedClientsRequest::default()
        }
    }

    /// Enrols an app, and lets it come to its next code, since the one that confirmed is used up.
    pub(crate) async fn enroll(&self, world: &World, client: &Client) -> Enrolled {
        let begun =
            client.account.clone().begin_totp_enrollment(self.begin(world)).await.unwrap().into_inner();
        let app = VirtualAuthenticator::scan(&begun.otpauth_uri).unwrap();
        let confirm = self.confirm(world, &begun.enrollment_id, code(app.code_at(world.now())));
        let confirmed = client.account.clone().confirm_enrollment(confirm).await.unwrap().into_inner();
        world.next_step();
        Enrolled { app, begun, confirmed }
    }

    /// Opens a challenge.
    pub(crate) async fn challenge(&self, world: &World, client: &Client) -> String {
        let response = client.login.clone().check_login(self.check(world, None)).await.unwrap();
        match response.into_inner().decision.unwrap().verdict.unwrap() {
            v1::login_decision::Verdict::ChallengeRequired(required) => required.challenge,
            other => panic!("no challenge: {other:?}"),
        }
    }

    /// The verdict on a login with that answer.
    pub(crate) async fn login(
        &self,
        world: &World,
        client: &Client,
        answer: Option<v1::Proof>,
    ) -> v1::login_decision::Verdict {
        let response = client.login.clone().check_login(self.check(world, answer)).await.unwrap();
        response.into_inner().decision.unwrap().verdict.unwrap()
    }
}

/// The answer to a challenge.
pub(crate) fn answer(challenge: &str, proof: v1::Proof) -> v1::AnswerChallengeRequest {
    v1::AnswerChallengeRequest {
        challenge: challenge.to_owned(),
        answer: Some(proof),
        ..v1::AnswerChallengeRequest::default()
    }
}
