//! Users who can log in, and which code each of them may still use.
//!
//! The server takes the codes of the last, the present and the next step, in ascending order and each once. So a user
//! has up to three codes, and one more every thirty seconds. Users take turns: nobody has two calls in flight.

use std::collections::VecDeque;

use crate::Trouble;
use crate::app::{App, Now};

/// Seconds before the end of a step from which on the code of the step before is not used any more: it would be too
/// old by the time it is looked at.
const TOO_LATE: u64 = 3;

/// The first failure that locks a user is the third since a right code, and the twentieth of a day, whatever was right meanwhile.
const WRONG_CODES: u32 = 2;
const WRONG_CODES_A_DAY: u32 = 19;

/// Users of one tenant.
pub(crate) struct Population {
    pub(crate) tenant: String,
    users: Vec<User>,
    /// Who has no call in flight, those who waited longest first.
    waiting: VecDeque<usize>,
    /// How many were named by [`Population::newcomer`].
    newcomers: u64,
}

struct User {
    id: String,
    app: App,
    /// The step of the last code.
    last: u64,
    /// The steps of the codes before that one, newest first.
    earlier: [u64; 2],
    /// Wrong codes since then.
    wrong: u32,
    /// And in all.
    erred: u32,
    token: Option<String>,
}

/// One user's turn: what to send.
pub(crate) struct Turn {
    pub(crate) number: usize,
    pub(crate) user_id: String,
    /// A right code, a wrong one or a used one, as was asked for; the token of a remembered client; or nothing.
    pub(crate) secret: String,
    /// The step of a right code.
    pub(crate) step: u64,
}

impl Population {
    pub(crate) fn new(tenant: String) -> Self {
        Self { tenant, users: Vec::new(), waiting: VecDeque::new(), newcomers: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    /// Adds a user whose app was confirmed with the code of this step.
    pub(crate) fn add(&mut self, id: String, app: App, confirmed: u64) {
        self.waiting.push_back(self.users.len());
        self.users.push(User { id, app, last: confirmed, earlier: [0; 2], wrong: 0, erred: 0, token: None });
    }

    /// How many codes can be used now.
    pub(crate) fn codes(&self, now: Now) -> usize {
        let codes = self.users.iter().map(|user| (now.step() + 2).saturating_sub(user.next(now)));
        usize::try_from(codes.sum::<u64>()).unwrap_or(usize::MAX)
    }

    /// The next user with a right code, or none if all codes are used up.
    pub(crate) fn right(&mut self) -> Result<Option<Turn>, Trouble> {
        let now = Now::read()?;
        let Some(&number) = self.waiting.front() else { return Ok(None) };
        let user = &self.users[number];
        let step = user.next(now);
        if step > now.step() + 1 {
            return Ok(None);
        }
        self.waiting.pop_front();
        let secret = user.app.code(step)?;
        Ok(Some(Turn { number, user_id: user.id.clone(), secret, step }))
    }

    /// A user with a wrong code, of those who logged in last, or none if that one may not err without being locked.
    pub(crate) fn wrong(&mut self) -> Result<Option<Turn>, Trouble> {
        let last = self.waiting.back().is_some_and(|number| self.users[*number].may_err());
        if last { self.waiting.pop_back().map(|number| self.err(number)).transpose() } else { Ok(None) }
    }

    /// The next user with a wrong code, or none if nobody may err any more without being locked.
    pub(crate) fn guess(&mut self) -> Result<Option<Turn>, Trouble> {
        let next = self.waiting.iter().position(|number| self.users[*number].may_err());
        next.and_then(|place| self.waiting.remove(place)).map(|number| self.err(number)).transpose()
    }

    /// A turn with a wrong code. No two since the last right one are the same: whoever retypes one is not charged again.
    fn err(&mut self, number: usize) -> Result<Turn, Trouble> {
        let user = &mut self.users[number];
        let secret = user.app.wrong(Now::read()?.step(), user.wrong)?;
        user.wrong += 1;
        user.erred += 1;
        Ok(Turn { number, user_id: user.id.clone(), secret, step: 0 })
    }

    /// The name of a user who was never seen.
    pub(crate) fn newcomer(&mut self) -> String {
        self.newcomers += 1;
        format!("newcomer-{}@example.org", self.newcomers)
    }

    /// A user with the code that was used last, of those who logged in last.
    pub(crate) fn used(&mut self) -> Result<Option<Turn>, Trouble> {
        let Some(number) = self.waiting.pop_back() else { return Ok(None) };
        let user = &self.users[number];
        let secret = user.app.code(user.last)?;
        Ok(Some(Turn { number, user_id: user.id.clone(), secret, step: 0 }))
    }

    /// The next user with a token.
    pub(crate) fn remembered(&mut self) -> Option<Turn> {
        let number = self.waiting.pop_front()?;
        let user = &self.users[number];
        Some(Turn { number, user_id: user.id.clone(), secret: user.token.clone()?, step: 0 })
    }

    /// The end of a turn whose code was accepted.
    pub(crate) fn accepted(&mut self, turn: &Turn) {
        let user = &mut self.users[turn.number];
        user.earlier = [user.last, user.earlier[0]];
        user.last = turn.step;
        user.wrong = 0;
        self.waiting.push_back(turn.number);
    }

    /// The end of a turn whose code was not accepted and will not be used again.
    pub(crate) fn refused(&mut self, turn: &Turn) {
        let user = &mut self.users[turn.number];
        // Used up all the same: a code that stood for the step after next is refused twice.
        if turn.step > user.last {
            user.earlier = [user.last, user.earlier[0]];
            user.last = turn.step;
        }
        self.waiting.push_back(turn.number);
    }

    /// The end of a turn that gave a token.
    pub(crate) fn keep(&mut self, turn: &Turn, token: String) {
        self.users[turn.number].token = Some(token);
    }

    /// The end of a turn without code.
    pub(crate) fn rest(&mut self, turn: &Turn) {
        self.waiting.push_back(turn.number);
    }

    /// Was the code of this turn, by chance, also that of a step which the user has used up with an earlier one? A code
    /// stands for the highest step that shows it, so about one login in a million is refused with a code that was
    /// never sent. That is the rule and no failure.
    pub(crate) fn was_used_up(&self, turn: &Turn) -> Result<bool, Trouble> {
        let user = &self.users[turn.number];
        for earlier in [user.last, user.earlier[0], user.earlier[1]] {
            let code = user.app.code(earlier)?;
            for later in (earlier + 1..=earlier + 2).filter(|later| *later >= turn.step) {
                if user.app.code(later)? == code {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl User {
    /// Whether one more wrong code locks nothing.
    const fn may_err(&self) -> bool {
        self.wrong < WRONG_CODES && self.erred < WRONG_CODES_A_DAY
    }

    /// The lowest step whose code is new and will not be too old.
    fn next(&self, now: Now) -> u64 {
        let oldest = if now.left() > TOO_LATE { now.step() - 1 } else { now.step() };
        oldest.max(self.last + 1)
    }
}
