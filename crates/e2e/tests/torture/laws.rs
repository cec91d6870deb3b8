//! The history checker: what the calls saw and what the log says must fit together, and obey the laws of SECURITY.md.
//!
//! It knows the rules of guessing in its own words, so that a mistake of the service is not repeated here.

use crate::history::{Action, Call, Outcome};
use countersign_api::v1;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use v1::SecurityEventType as Type;

/// The preset's budget: so many free failures, then a growing delay (R13). In seconds.
const FREE_FAILURES: u32 = 3;
const FIRST_DELAY: i64 = 30;
const MAX_DELAY: i64 = 3_600;

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

/// Holds the history against the log of each user, in the order of its commits.
pub(crate) fn check(calls: &[Call], log: &[(usize, Vec<v1::SecurityEvent>)]) -> Found {
    let mut found = Found { calls: calls.len(), ..Found::default() };
    let by_request: HashMap<&str, &Call> =
        calls.iter().map(|call| (call.request_id.as_str(), call)).collect();
    if by_request.len() != calls.len() {
        found.broken("two calls have one request id", calls.len() - by_request.len());
    }
    for call in calls {
        match call.outcome {
            Outcome::Allowed { .. } => found.allowed += 1,
            Outcome::Refused { .. } => found.refused += 1,
            Outcome::Unknown => found.unknown += 1,
            Outcome::NotEvaluated => {}
        }
    }
    for (user, events) in log {
        found.events += events.len();
        let own: Vec<_> = calls.iter().filter(|call| call.user == *user).collect();
        told_once(&own, events, &mut found);
        let successes = successes(events, &by_request, &mut found);
        used_once(&successes, &mut found);
        steps_grow(&successes, &mut found);
        revoked_is_dead(&own, &successes, &mut found);
        within_budget(events, &mut found);
    }
    found
}

/// R55, R61: every acknowledged verdict has exactly one event, the one that it named.
fn told_once(calls: &[&Call], events: &[v1::SecurityEvent], found: &mut Found) {
    let mut by_id: HashMap<&str, Vec<&v1::SecurityEvent>> = HashMap::new();
    let mut by_request: HashMap<(&str, Type), usize> = HashMap::new();
    for event in events {
        by_id.entry(&event.event_id).or_default().push(event);
        *by_request.entry((&event.request_id, event.r#type())).or_default() += 1;
    }
    for call in calls {
        let (kind, named) = match (&call.outcome, call.action) {
            (Outcome::Allowed { event }, Action::Disable { .. }) => (Type::TwoFactorDisabled, event),
            (Outcome::Allowed { event }, _) => (Type::LoginAllowed, event),
            (Outcome::Refused { event }, _) => (Type::LoginRefused, event),
            _ => continue,
        };
        if by_request.get(&(&call.request_id, kind)) != Some(&1) {
            found.broken("an acknowledged verdict has not exactly one event", call);
        }
        if let Some(id) = named {
            let told = by_id.get(id.as_str()).map_or(&[][..], |events| events);
            if told.len() != 1 || told[0].request_id != call.request_id {
                found.broken("the event that a verdict names is not its own", call);
            }
        }
    }
}

/// The calls that succeeded durably, in the order of their commits; each was acknowledged so, or nobody knows.
fn successes<'a>(
    events: &[v1::SecurityEvent],
    by_request: &HashMap<&str, &'a Call>,
    found: &mut Found,
) -> Vec<&'a Call> {
    let mut successes = Vec::new();
    for event in events {
        let assurance = event.details.get("assurance").map(String::as_str);
        let counts = match event.r#type() {
            Type::LoginAllowed => matches!(assurance, Some("verified" | "recovered")),
            Type::TwoFactorDisabled => true,
            _ => false,
        };
        if !counts {
            continue;
        }
        match by_request.get(event.request_id.as_str()) {
            None => found.broken("a success that nobody asked for", event),
            Some(call) => match &call.outcome {
                Outcome::Allowed { event: Some(id) } if *id != event.event_id => {
                    found.broken("two events of one success", call);
                }
                Outcome::Allowed { .. } | Outcome::Unknown => successes.push(*call),
                Outcome::Refused { .. } | Outcome::NotEvaluated => {
                    found.broken("a success that was answered as a refusal", call);
                }
            },
        }
    }
    successes
}

/// R5, R29: at most one success per authenticator and step, and per recovery code.
fn used_once(successes: &[&Call], found: &mut Found) {
    let mut used: BTreeMap<(bool, usize, u64), &Call> = BTreeMap::new();
    for call in successes {
        let key = match call.action {
            Action::Code { life, step } | Action::Disable { life, step } => (false, life, step),
            Action::Recovery { life, index } => (true, life, index as u64),
            Action::Wrong => {
                found.broken("a wrong code succeeded", call);
                continue;
            }
        };
        if let Some(earlier) = used.insert(key, call) {
            found.broken("a code succeeded twice", (earlier, call));
        }
    }
}

/// R4: the last step only grows.
fn steps_grow(successes: &[&Call], found: &mut Found) {
    let mut last: HashMap<usize, u64> = HashMap::new();
    for call in successes {
        let (Action::Code { life, step } | Action::Disable { life, step }) = call.action else { continue };
        if last.insert(life, step).is_some_and(|before| before >= step) {
            found.broken("a step was accepted after a later one", call);
        }
    }
}

/// R36: after the answer to switching off nothing of that life succeeds any more.
fn revoked_is_dead(calls: &[&Call], successes: &[&Call], found: &mut Found) {
    for off in calls.iter().filter(|call| matches!(call.outcome, Outcome::Allowed { .. })) {
        let Action::Disable { life: ended, .. } = off.action else { continue };
        for call in successes.iter().filter(|call| call.invoked > off.returned) {
            let (Action::Code { life, .. } | Action::Recovery { life, .. } | Action::Disable { life, .. }) =
                call.action
            else {
                continue;
            };
            if life <= ended {
                found.broken("a success of a life that had ended", (off, call));
            }
        }
    }
}

/// R10, R11, R13: no code is evaluated while the failures before it delay it.
fn within_budget(events: &[v1::SecurityEvent], found: &mut Found) {
    let (mut streak, mut open_again) = (0_u32, i64::MIN);
    for event in events {
        let at = event.event_time.as_ref().map_or(0, micros);
        let finding = event.details.get("finding").map(String::as_str);
        let assurance = event.details.get("assurance").map(String::as_str);
        let charged =
            event.r#type() == Type::LoginRefused && matches!(finding, Some("wrong" | "pending" | "disabled"));
        let verified = event.r#type() == Type::LoginAllowed && assurance == Some("verified");
        if (charged || verified) && at < open_again {
            found.broken("a code was evaluated while the user was locked", event);
        }
        if charged {
            streak += 1;
            if streak >= FREE_FAILURES {
                let doublings = (streak - FREE_FAILURES).min(16);
                open_again = at + (FIRST_DELAY << doublings).min(MAX_DELAY) * 1_000_000;
            }
        }
        if verified || event.r#type() == Type::RecoveryCodeUsed || event.r#type() == Type::TwoFactorDisabled {
            (streak, open_again) = (0, i64::MIN);
        }
    }
}

fn micros(time: &prost_types::Timestamp) -> i64 {
    time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000
}

#[cfg(test)]
mod tests;
