//! The ways a login goes, each as the calls of one user's turn and what must come of them.

use std::cell::RefCell;

use countersign_api::v1;
use serde::Deserialize;
use v1::login_decision::Verdict;

use crate::Trouble;
use crate::calls::Calls;
use crate::population::{Population, Turn};

/// A way to log in.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Flow {
    /// `CheckLogin` with a right code.
    Check,
    /// `CheckLogin` without a code, then `AnswerChallenge` with a right one.
    Challenge,
    /// `CheckLogin` from a client that is remembered; the token changes each time.
    Remembered,
    /// As `Check`, but each twentieth code is wrong, and each twentieth one was used already.
    Mixed,
    /// `CheckLogin` with a right code and the wish to be remembered.
    Remember,
}

/// Which answer a turn must get.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Verified,
    Refused,
    Remembered,
}

/// What came of a turn.
pub(crate) enum Outcome {
    /// What had to come.
    Good,
    /// Refused by a rule that strikes one code in a million; neither good nor a failure.
    Coincidence,
    /// Something else: its name.
    Bad(String),
}

impl Flow {
    /// The next turn of this flow, the `count`th one, or none if there is nobody left to take it.
    pub(crate) fn next(self, people: &mut Population, count: u64) -> Result<Option<Job>, Trouble> {
        let (turn, due) = match self {
            Self::Mixed if count % 20 == 7 => (people.wrong()?, Due::Refused),
            Self::Mixed if count % 20 == 17 => (people.used()?, Due::Refused),
            Self::Remembered => (people.remembered(), Due::Remembered),
            Self::Check | Self::Challenge | Self::Mixed | Self::Remember => (people.right()?, Due::Verified),
        };
        // Whoever may not err without being locked logs in instead.
        let (turn, due) = match turn {
            None if due == Due::Refused => (people.right()?, Due::Verified),
            other => (other, due),
        };
        Ok(turn.map(|turn| Job { flow: self, turn, due }))
    }
}

/// A turn to be taken.
pub(crate) struct Job {
    flow: Flow,
    turn: Turn,
    due: Due,
}

impl Job {
    /// Takes it. What came of it is settled by [`Job::settle`], so that the watch stops before.
    pub(crate) async fn take(&self, calls: &mut Calls, tenant: &str) -> Result<Verdict, String> {
        let (user, secret) = (self.turn.user_id.as_str(), self.turn.secret.as_str());
        match self.flow {
            Flow::Check | Flow::Mixed => calls.check(tenant, user, Some(secret), "", false).await,
            Flow::Remember => calls.check(tenant, user, Some(secret), "", true).await,
            Flow::Remembered => calls.check(tenant, user, None, secret, false).await,
            Flow::Challenge => match calls.check(tenant, user, None, "", false).await? {
                Verdict::ChallengeRequired(required) => calls.answer(&required.challenge, secret).await,
                other => Ok(other),
            },
        }
    }

    /// Notes what came of it and lets the user wait for the next turn.
    pub(crate) fn settle(
        &self,
        people: &RefCell<Population>,
        answer: &Result<Verdict, String>,
    ) -> Result<Outcome, Trouble> {
        let mut people = people.borrow_mut();
        let turn = &self.turn;
        let good = match (answer, self.due) {
            (Ok(Verdict::Allowed(allowed)), Due::Verified) => allowed.assurance() == v1::Assurance::Verified,
            (Ok(Verdict::Allowed(allowed)), Due::Remembered) => {
                allowed.assurance() == v1::Assurance::Remembered
            }
            (Ok(Verdict::Refused(_)), Due::Refused) => true,
            _ => false,
        };
        if let Ok(Verdict::Allowed(v1::Allowed { remembered_client: Some(token), .. })) = answer {
            people.keep(turn, token.token.clone());
        }
        match self.due {
            Due::Verified if good => people.accepted(turn),
            Due::Verified => {
                let coincidence = matches!(answer, Ok(Verdict::Refused(_))) && people.was_used_up(turn)?;
                people.refused(turn);
                if coincidence {
                    return Ok(Outcome::Coincidence);
                }
            }
            Due::Refused | Due::Remembered => people.rest(turn),
        }
        Ok(if good { Outcome::Good } else { Outcome::Bad(name(answer)) })
    }
}

/// What came instead of what was due, in a word.
fn name(answer: &Result<Verdict, String>) -> String {
    match answer {
        Ok(Verdict::Allowed(allowed)) => format!("allowed: {}", allowed.assurance().as_str_name()),
        Ok(Verdict::ChallengeRequired(_)) => "challenge required".to_owned(),
        Ok(Verdict::EnrollmentRequired(_)) => "enrollment required".to_owned(),
        Ok(Verdict::Refused(_)) => "refused".to_owned(),
        Ok(Verdict::LockedOut(_)) => "locked out".to_owned(),
        Err(reason) => reason.clone(),
    }
}
