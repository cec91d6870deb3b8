//! `LoginService`: may this login go ahead?

use super::{caller, subject};
use crate::caller::CallerContext;
use crate::convert::decision::login_decision;
use crate::convert::enrollment::sent_code;
use crate::convert::enums;
use crate::convert::fields::Fields;
use crate::convert::parties;
use crate::reply::{Change, retry};
use crate::status::{self, Site};
use countersign_api::v1::login_service_server::LoginService;
use countersign_api::v1::{
    AnswerChallengeRequest, AnswerChallengeResponse, CheckLoginRequest, CheckLoginResponse,
    SendChallengeCodeRequest, SendChallengeCodeResponse,
};
use countersign_application::Application;
use countersign_domain::denial::Denial;
use countersign_domain::ids::{AuthenticatorId, ChallengeId};
use countersign_domain::login::{AnswerChallenge, CheckLogin};
use countersign_domain::sms::sending::SendCode;
use countersign_domain::token::{MAX_TOKEN_LEN, Opened};
use tonic::{Request, Response, Status};

/// The service over the use cases.
#[derive(Clone)]
pub(crate) struct LoginHandlers(Application);

impl LoginHandlers {
    pub(crate) const fn new(app: Application) -> Self {
        Self(app)
    }

    /// Opens a challenge, and lets in only who was granted its tenant. `None` where it is not one of ours; that is told
    /// after the fields, because a malformed code is refused first (R2).
    fn open(
        &self,
        fields: &mut Fields,
        caller: &CallerContext,
        challenge: &str,
    ) -> Result<Option<Opened<ChallengeId>>, Status> {
        if challenge.is_empty() || challenge.len() > MAX_TOKEN_LEN {
            // What the violation says is told by `finish`; the challenge is needed only after it.
            let _ = fields.refuse::<()>("challenge", "is required, and has at most 512 characters");
            return Ok(None);
        }
        let opened = self.0.open_challenge(challenge);
        if let Some(opened) = &opened {
            caller.require_tenant(&opened.user.tenant)?;
        }
        Ok(opened)
    }
}

/// The challenge that was opened, once the fields are known to be well-formed.
fn one_of_ours(challenge: Option<Opened<ChallengeId>>) -> Result<Opened<ChallengeId>, Status> {
    challenge.ok_or_else(|| status::denial(&Denial::ChallengeInvalid, Site::LOGIN).into_status())
}

#[tonic::async_trait]
impl LoginService for LoginHandlers {
    async fn check_login(
        &self,
        request: Request<CheckLoginRequest>,
    ) -> Result<Response<CheckLoginResponse>, Status> {
        let (caller, message) = caller(request)?;
        let mut fields = Fields::default();
        let user = subject(&mut fields, &caller, &message.tenant_id, &message.user_id)?;
        let retry = retry(&mut fields, &caller, &message, &message.request_id);
        let first_factor = parties::first_factor(&mut fields, "first_factor", message.first_factor);
        let client = parties::client(&mut fields, "client", message.client);
        let answer = parties::proof(&mut fields, "answer", message.answer);
        let purpose = enums::to_purpose(message.purpose).ok_or("must be LOGIN or STEP_UP");
        let purpose = fields.take("purpose", purpose);
        fields.finish()?;

        let (user, client) = (user?, client?);
        let command = CheckLogin {
            first_factor: first_factor?,
            client: client.claims,
            client_token: client.token,
            answer: answer?,
            remember_client: message.remember_client,
            purpose: purpose?,
        };
        let tenant = user.tenant.clone();
        Change::new(&caller, Site::LOGIN, retry?)
            .answer(
                |meta, encode| self.0.check_login(meta, user, command, encode),
                move |done| Ok(CheckLoginResponse { decision: Some(login_decision(done, &tenant)) }),
            )
            .await
    }

    async fn answer_challenge(
        &self,
        request: Request<AnswerChallengeRequest>,
    ) -> Result<Response<AnswerChallengeResponse>, Status> {
        let (caller, message) = caller(request)?;
        let mut fields = Fields::default();
        let challenge = self.open(&mut fields, &caller, &message.challenge)?;
        let retry = retry(&mut fields, &caller, &message, &message.request_id);
        let answer = parties::required_proof(&mut fields, "answer", message.answer);
        fields.finish()?;

        let challenge = one_of_ours(challenge)?;
        let tenant = challenge.user.tenant.clone();
        let command =
            AnswerChallenge { challenge, answer: answer?, remember_client: message.remember_client };
        Change::new(&caller, Site::LOGIN, retry?)
            .answer(
                |meta, encode| self.0.answer_challenge(meta, command, encode),
                move |done| Ok(AnswerChallengeResponse { decision: Some(login_decision(done, &tenant)) }),
            )
            .await
    }

    async fn send_challenge_code(
        &self,
        request: Request<SendChallengeCodeRequest>,
    ) -> Result<Response<SendChallengeCodeResponse>, Status> {
        let (caller, message) = caller(request)?;
        let mut fields = Fields::default();
        let challenge = self.open(&mut fields, &caller, &message.challenge)?;
        let retry = retry(&mut fields, &caller, &message, &message.request_id);
        let authenticator =
            fields.optional("authenticator_id", &message.authenticator_id, AuthenticatorId::parse);
        fields.finish()?;

        let challenge = one_of_ours(challenge)?;
        let command = SendCode { challenge, authenticator: authenticator? };
        Change::new(&caller, Site::LOGIN, retry?)
            .answer(
                |meta, encode| self.0.send_challenge_code(meta, command, encode),
                |done| Ok(sent_code(&done.value)),
            )
            .await
    }
}
