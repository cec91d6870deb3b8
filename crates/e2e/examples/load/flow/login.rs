//! A login: the calls of one user's turn, and what must come of them.

use std::cell::RefCell;

use countersign_api::v1;
use v1::login_decision::Verdict;

use super::{Flow, Outcome};
use crate::Trouble;
use crate::calls::Calls;
use crate::population::{Population, Turn};

/// Which answer a turn must get.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Verified,
    Refused,
    Remembered,
}

/// A turn to be taken.
pub(crate) struct Login {
    flow: Flow,
    turn: Turn,
    due: Due,
}

impl Login {
    /// The next turn of this flow, the `count`th one, or none if there is nobody left to take it.
    pub(super) fn next(flow: Flow, people: &mut Population, count: u64) -> Result<Option<Self>, Trouble> {
        let (turn, due) = match flow {
            Flow::Mixed if count % 20 == 7 => (people.wrong()?, Due::Refused),
            Flow::Mixed if count % 20 == 17 => (people.used()?, Due::Refused),
            Flow::Remembered => (people.remembered(), Due::Remembered),
            Flow::Guess => return Ok(people.guess()?.map(|turn| Self { flow, turn, due: Due::Refused })),
            _ => (people.right()?, Due::Verified),
        };
        // Whoever may not err without being locked logs in instead.
        let (turn, due) = match turn {
            None if due == Due::Refused => (people.right()?, Due::Verified),
            other => (other, due),
        };
        Ok(turn.map(|turn| Self { flow, turn, due }))
    }

    /// Takes it.
    pub(super) async fn take(&self, calls: &mut Calls, tenant: &str) -> Result<Verdict, String> {
        let (user, secret) = (self.turn.user_id.as_str(), self.turn.secret.as_str());
        match self.flow {
            Flow::Remember => calls.check(tenant, user, Some(secret), "", true).await,
            Flow::Remembered => calls.check(tenant, user, None, secret, false).await,
            Flow::Challenge => match calls.check(tenant, user, None, "", false).await? {
                Verdict::ChallengeRequired(required) => calls.answer(&required.challenge, secret).await,
                other => Ok(other),
            },
            _ => calls.check(tenant, user, Some(secret), "", false).await,
        }
    }

    /// Notes what came of it and lets the user wait for the next turn.
    pub(super) fn settle(
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
