//! The history checker: what the calls saw and what the log says must fit together, and obey the laws of SECURITY.md.
//!
//! It knows the rules of codes, guessing and clocks in its own words, so that a mistake of the service is not repeated here.
//!
//! # Time
//! Every event carries the time that decided it. What the laws say of codes and of budgets is meant by that time, so
//! they are exact however clocks jump. That it was about the right time is a law of its own ([`on_time`]).

use crate::history::{Action, Belief, Call, Outcome};
use crate::log::{Told, What};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// The preset's budget: so many free failures, then a growing delay, and so many in a day (R13). In microseconds.
const FREE_FAILURES: u32 = 3;
const FIRST_DELAY: i64 = 30_000_000;
const MAX_DELAY: i64 = 3_600_000_000;
const ROLLING_LIMIT: usize = 20;
const ROLLING_WINDOW: i64 = 86_400_000_000;
/// The preset's codes: seconds of a step, and how many steps either way are taken (ruling 1).
const PERIOD: u64 = 30;
const WINDOW: u64 = 1;
/// How long an answer is kept to be repeated (ruling 8).
const REPEAT_FOR: i64 = 600_000_000;
/// How far off a clock may be that decides, where a database tells the time (R65): 2 s from the database's when they were last
/// compared, the 5 s that this may have taken, and 2 s that it may have jumped since.
const MAX_SKEW: i64 = 9_000_000;

/// What the laws know beside the calls and the log.
pub(crate) struct Known<'a> {
    /// What nodes believed of the time.
    pub(crate) beliefs: &'a [Belief],
    /// The code of a step of the app that a user had in a life.
    pub(crate) code: &'a dyn Fn(usize, usize, u64) -> String,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) calls: usize,
    pub(crate) allowed: usize,
    pub(crate) refused: usize,
    pub(crate) unknown: usize,
    pub(crate) events: usize,
    /// One sentence for each law that a part of the history breaks.
    pub(crate) violations: Vec<String>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, allowed, refused, unknown, events, violations } = self;
        write!(
            f,
            "{calls} calls ({allowed} allowed, {refused} refused, {unknown} without an answer), {events} events, \
             {} violations",
            violations.len()
        )
    }
}

impl Found {
    fn broken(&mut self, law: &str, what: impl fmt::Debug) {
        self.violations.push(format!("{law}: {what:?}"));
    }
}

/// A call that succeeded durably.
#[derive(Debug, Clone, Copy)]
struct Success<'a> {
    call: &'a Call,
    /// What its code was accepted for: the step, with authenticator apps.
    used: Option<Used>,
}

/// What can be used once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Used {
    Step { life: usize, step: u64 },
    Recovery { life: usize, index: usize },
}

/// Holds the history against the log of each user, in the order of its commits.
pub(crate) fn check(calls: &[Call], logs: &[Vec<Told>], known: &Known<'_>) -> Found {
    let mut found = Found { calls: calls.len(), ..Found::default() };
    let mut by_user: Vec<Vec<&Call>> = vec![Vec::new(); logs.len()];
    for call in calls {
        by_user[call.user].push(call);
        match call.outcome {
            Outcome::Allowed { .. } => found.allowed += 1,
            Outcome::Refused { .. } => found.refused += 1,
            Outcome::Unknown => found.unknown += 1,
            Outcome::NotEvaluated => {}
        }
    }
    for (calls, events) in by_user.iter().zip(logs) {
        found.events += events.len();
        let by_request: HashMap<u128, &Call> = calls.iter().map(|call| (call.request, *call)).collect();
        if by_request.len() != calls.len() {
            found.broken("two calls have one request id", calls.len() - by_request.len());
        }
        told_once(calls, events, known, &mut found);
        decided_once(&by_request, events, known, &mut found);
        on_time(&by_request, events, known, &mut found);
        let successes = successes(events, &by_request, known, &mut found);
        used_once(&successes, &mut found);
        steps_grow(&successes, &mut found);
        revoked_is_dead(&successes, &mut found);
        within_budget(events, &mut found);
    }
    found
}

/// R43, R55, R61: every acknowledged verdict has exactly one event, the one that it named, in the log of its own user and
/// tenant; or several of one kind, where it was repeated after its answer was gone.
fn told_once(calls: &[&Call], events: &[Told], known: &Known<'_>, found: &mut Found) {
    let mut by_id: HashMap<u128, Vec<&Told>> = HashMap::new();
    let mut by_request: HashMap<u128, Vec<&Told>> = HashMap::new();
    for event in events {
        by_id.entry(event.event).or_default().push(event);
        by_request.entry(event.request).or_default().push(event);
    }
    let none = Vec::new();
    for call in calls {
        let says: (fn(What) -> bool, _) = match (call.outcome, call.action) {
            (Outcome::Allowed { event }, Action::Disable { .. }) => (|what| what == What::Disabled, event),
            (Outcome::Allowed { event }, _) => (What::allows, event),
            (Outcome::Refused { event }, _) => (What::refuses, event),
            _ => continue,
        };
        let (says, named) = says;
        let own = by_request.get(&call.request).unwrap_or(&none);
        let said = own.iter().filter(|event| says(event.what)).count();
        if said == 0 || said > 1 && !outlived_its_answer(call, known) {
            found.broken("an acknowledged verdict has not exactly one event", (call, own));
        }
        if let Some(id) = named {
            let told = by_id.get(&id).unwrap_or(&none);
            if told.len() != 1 || told[0].request != call.request {
                found.broken("the event that a verdict names is not its own", call);
            }
        }
    }
}

/// R60: a request is decided once, however often it is made and whatever reply was lost, for as long as its answer is kept.
fn decided_once(by_request: &HashMap<u128, &Call>, events: &[Told], known: &Known<'_>, found: &mut Found) {
    let mut decided: HashMap<u128, usize> = HashMap::new();
    for event in events {
        if event.what.allows() || event.what.refuses() || event.what == What::Disabled {
            *decided.entry(event.request).or_default() += 1;
        }
    }
    for (request, times) in decided {
        let Some(call) = by_request.get(&request) else { continue };
        if times > 1 && !outlived_its_answer(call, known) {
            found.broken("a request was decided more than once", (times, call));
        }
    }
}

/// What was believed of the time while a call was under way, in microseconds. Of one without an answer nobody knows until
/// when it was.
fn believed_during<'a>(call: &Call, known: &'a Known<'_>) -> impl Iterator<Item = i64> + Clone + use<'a> {
    let (from, open) = (call.invoked.tick, call.outcome == Outcome::Unknown);
    let until = if open { u64::MAX } else { call.returned.tick };
    let ends = known.beliefs.iter().skip(1).map(|next| next.tick).chain([u64::MAX]);
    let during = known.beliefs.iter().zip(ends);
    during
        .filter(move |(belief, end)| belief.tick <= until && *end >= from)
        .map(|(belief, _)| belief.offset * 1_000)
}

/// Whether, by what nodes believed, a call went on for longer than an answer is kept.
fn outlived_its_answer(call: &Call, known: &Known<'_>) -> bool {
    let believed = believed_during(call, known);
    let ahead = believed.clone().max().unwrap_or(0) - believed.min().unwrap_or(0);
    ahead + (call.returned.time - call.invoked.time) >= REPEAT_FOR
}

/// R65: nothing is decided by a clock that is not to be relied on. A node without a database's clock relies on the time that
/// it was started with.
fn on_time(by_request: &HashMap<u128, &Call>, events: &[Told], known: &Known<'_>, found: &mut Found) {
    for event in events {
        let Some(call) = by_request.get(&event.request) else { continue };
        let until = if call.outcome == Outcome::Unknown { i64::MAX / 2 } else { call.returned.time };
        let fits = |ahead: i64| {
            let earliest = call.invoked.time + ahead - MAX_SKEW;
            (earliest..=until + ahead + MAX_SKEW).contains(&event.time)
        };
        if !believed_during(call, known).any(fits) {
            found.broken("a clock decided that was not to be relied on", (event, call));
        }
    }
}

/// The calls that succeeded durably, in the order of their commits; each was acknowledged so, or nobody knows.
fn successes<'a>(
    events: &[Told],
    by_request: &HashMap<u128, &'a Call>,
    known: &Known<'_>,
    found: &mut Found,
) -> Vec<Success<'a>> {
    let mut successes = Vec::new();
    for event in events {
        if !matches!(event.what, What::Verified | What::Recovered | What::Disabled) {
            continue;
        }
        let Some(call) = by_request.get(&event.request).copied() else {
            found.broken("a success that nobody asked for", event);
            continue;
        };
        match call.outcome {
            Outcome::Allowed { event: Some(id) } if id != event.event => {
                found.broken("two events of one success", call);
            }
            Outcome::Allowed { .. } | Outcome::Unknown => {}
            Outcome::Refused { .. } | Outcome::NotEvaluated if outlived_its_answer(call, known) => {}
            Outcome::Refused { .. } | Outcome::NotEvaluated => {
                found.broken("a success that was answered as a refusal", call);
            }
        }
        let used = used(call, event, known);
        if used.is_none() {
            found.broken("a code succeeded that was not acceptable then", (event, call));
        }
        successes.push(Success { call, used });
    }
    successes
}

/// What a success used up, by the rules of codes: the highest step of the window whose code it is (R4, R7).
fn used(call: &Call, event: &Told, known: &Known<'_>) -> Option<Used> {
    match call.action {
        Action::Code { life, step } | Action::Disable { life, step } => {
            let code = (known.code)(call.user, life, step);
            let now = u64::try_from(event.time / 1_000_000).ok()? / PERIOD;
            let mut window = (now.saturating_sub(WINDOW)..=now + WINDOW).rev();
            let step = window.find(|step| (known.code)(call.user, life, *step) == code)?;
            Some(Used::Step { life, step })
        }
        Action::Recovery { life, index } => Some(Used::Recovery { life, index }),
        Action::Wrong => None,
    }
}

/// R5, R29: at most one success per authenticator and step, and per recovery code.
fn used_once(successes: &[Success<'_>], found: &mut Found) {
    let mut before: BTreeMap<Used, &Call> = BTreeMap::new();
    for Success { call, used } in successes {
        let Some(used) = *used else { continue };
        if let Some(earlier) = before.insert(used, call) {
            found.broken("a code succeeded twice", (used, earlier, call));
        }
    }
}

/// R4: the last step only grows.
fn steps_grow(successes: &[Success<'_>], found: &mut Found) {
    let mut last: HashMap<usize, u64> = HashMap::new();
    for Success { call, used } in successes {
        let Some(Used::Step { life, step }) = *used else { continue };
        if last.insert(life, step).is_some_and(|before| before >= step) {
            found.broken("a step was accepted after a later one", (step, call));
        }
    }
}

/// R36: after switching off nothing of that life succeeds any more, in the order of commits, whether or not there was an answer;
/// and nothing that was asked for after the answer, wherever it was committed.
fn revoked_is_dead(successes: &[Success<'_>], found: &mut Found) {
    for (place, Success { call: off, .. }) in successes.iter().enumerate() {
        let Action::Disable { life: ended, .. } = off.action else { continue };
        let answered = matches!(off.outcome, Outcome::Allowed { .. });
        for (later, Success { call, .. }) in successes.iter().enumerate() {
            let (Action::Code { life, .. } | Action::Recovery { life, .. } | Action::Disable { life, .. }) =
                call.action
            else {
                continue;
            };
            let after = later > place || answered && call.invoked.tick > off.returned.tick;
            if after && life <= ended {
                found.broken("a success of a life that had ended", (off, call));
            }
        }
    }
}

/// R10, R11, R13: no code is evaluated while the failures before it delay it, nor after so many of a day.
fn within_budget(events: &[Told], found: &mut Found) {
    let (mut streak, mut open_again) = (0_u32, i64::MIN);
    let mut of_a_day: Vec<i64> = Vec::new();
    for event in events {
        let (at, charged, verified) = (event.time, event.what == What::Charged, event.what == What::Verified);
        if (charged || verified) && at < open_again {
            found.broken("a code was evaluated while the user was locked", event);
        }
        if charged || verified {
            let recent = of_a_day.iter().filter(|failure| **failure > at - ROLLING_WINDOW).count();
            if recent >= ROLLING_LIMIT {
                found.broken("a code was evaluated after too many failures of a day", event);
            }
        }
        if charged {
            streak += 1;
            of_a_day.push(at);
            if streak >= FREE_FAILURES {
                let doublings = (streak - FREE_FAILURES).min(16);
                open_again = open_again.max(at + (FIRST_DELAY << doublings).min(MAX_DELAY));
            }
        }
        if verified || matches!(event.what, What::RecoveryUsed | What::Disabled) {
            (streak, open_again) = (0, i64::MIN);
        }
    }
}

#[cfg(test)]
mod tests;
