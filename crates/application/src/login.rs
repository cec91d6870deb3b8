//! May this login go ahead? The check and the answer to its challenge.

use crate::engine::{Device, Subject};
use crate::{Answer, AppError, Application, Encode, Meta};
use countersign_domain::ids::{ChallengeId, UserRef};
use countersign_domain::login::{self, AnswerChallenge, CheckLogin, Verdict};
use countersign_domain::token::{self, Opened};
use std::sync::Arc;

impl Application {
    /// Decides a login that passed its first factor.
    pub async fn check_login(
        &self,
        meta: Meta,
        user: UserRef,
        command: CheckLogin,
        encode: Encode<Verdict>,
    ) -> Result<Answer<Verdict>, AppError> {
        let first_factor_method = command.first_factor.as_ref().map(|factor| factor.method);
        let command = Arc::new(command);
        let mut subject = Subject::themself(user, Device::OfLogin(Arc::clone(&command)));
        subject.actor.first_factor_method = first_factor_method;
        self.change(meta, subject, encode, move |states, ctx, source| {
            login::check(states.own, ctx, &command, &source.login(ctx.policy.recovery_codes.reissue_on_use))
        })
        .await
    }

    /// Whose challenge this is, so that the caller's right to that tenant can be checked before anything else; `None`
    /// where it is not one of ours.
    pub fn open_challenge(&self, token: &str) -> Option<Opened<ChallengeId>> {
        token::open_challenge(&self.digests().tokens, token)
    }

    /// Decides the answer to a challenge.
    pub async fn answer_challenge(
        &self,
        meta: Meta,
        command: AnswerChallenge,
        encode: Encode<Verdict>,
    ) -> Result<Answer<Verdict>, AppError> {
        let device = Device::OfChallenge(command.challenge.id);
        let subject = Subject::themself(command.challenge.user.clone(), device);
        self.change(meta, subject, encode, move |states, ctx, source| {
            login::answer(states.own, ctx, &command, &source.login(ctx.policy.recovery_codes.reissue_on_use))
        })
        .await
    }
}
