//! What is asked of the server again and again, and what must come of it.

mod login;

use std::cell::RefCell;

use serde::Deserialize;
use v1::login_decision::Verdict;

use countersign_api::v1;

use self::login::Login;
use crate::Trouble;
use crate::app::App;
use crate::calls::Calls;
use crate::population::Population;

/// What to ask.
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
    /// `CheckLogin` with a wrong code, as many for each user as lock nobody: a storm of guesses.
    Guess,
    /// A user who was never seen enrols an app: begun with a QR code, and confirmed.
    Enroll,
    /// A page of fifty users with their state.
    List,
    /// How many users are in which state.
    Coverage,
    /// Whether the service is there: a call with nothing behind it.
    Health,
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
        Ok(match self {
            Self::Enroll => Some(Job::Enroll { user_id: people.newcomer() }),
            Self::List => Some(Job::List),
            Self::Coverage => Some(Job::Coverage),
            Self::Health => Some(Job::Health),
            _ => Login::next(self, people, count)?.map(Job::Login),
        })
    }
}

/// A turn to be taken.
pub(crate) enum Job {
    Login(Login),
    Enroll { user_id: String },
    List,
    Coverage,
    Health,
}

/// What the server said.
pub(crate) enum Reply {
    Verdict(Box<Verdict>),
    /// The app, and the step whose code confirmed it.
    Enrolled(App, u64),
    /// A page, a count or a state of health, looked at.
    Seen,
}

impl Job {
    /// Takes it. What came of it is settled by [`Job::settle`], so that the watch stops before.
    pub(crate) async fn take(&self, calls: &mut Calls, tenant: &str) -> Result<Reply, String> {
        match self {
            Self::Login(login) => {
                login.take(calls, tenant).await.map(|verdict| Reply::Verdict(Box::new(verdict)))
            }
            Self::Enroll { user_id } => {
                let enrolled = calls.enroll(tenant, user_id).await;
                enrolled.map(|(app, step)| Reply::Enrolled(app, step)).map_err(|error| error.to_string())
            }
            Self::List => calls.list(tenant).await.map(|()| Reply::Seen),
            Self::Coverage => calls.coverage(tenant).await.map(|()| Reply::Seen),
            Self::Health => calls.health().await.map(|()| Reply::Seen),
        }
    }

    /// Notes what came of it and lets the user wait for the next turn.
    pub(crate) fn settle(
        self,
        people: &RefCell<Population>,
        reply: Result<Reply, String>,
    ) -> Result<Outcome, Trouble> {
        match (self, reply) {
            (Self::Login(login), Ok(Reply::Verdict(verdict))) => login.settle(people, &Ok(*verdict)),
            (Self::Login(login), Err(reason)) => login.settle(people, &Err(reason)),
            (Self::Enroll { user_id }, Ok(Reply::Enrolled(app, step))) => {
                people.borrow_mut().add(user_id, app, step);
                Ok(Outcome::Good)
            }
            (Self::List | Self::Coverage | Self::Health, Ok(Reply::Seen)) => Ok(Outcome::Good),
            (_, Err(reason)) => Ok(Outcome::Bad(reason)),
            (_, Ok(_)) => Err("the answer to something else".into()),
        }
    }
}
