//! Histories with a planted fault, each of which must be found: a checker that finds nothing proves nothing.

use super::*;
use std::collections::HashMap as Details;

fn call(number: u64, action: Action, outcome: Outcome) -> Call {
    let request_id = format!("request-{number}");
    Call { user: 0, request_id, action, invoked: number * 10, returned: number * 10 + 5, outcome }
}

fn event(number: u64, kind: Type, detail: (&str, &str)) -> v1::SecurityEvent {
    v1::SecurityEvent {
        event_id: format!("event-{number}"),
        r#type: kind.into(),
        event_time: Some(prost_types::Timestamp { seconds: i64::try_from(number).unwrap() * 60, nanos: 0 }),
        details: Details::from([(detail.0.to_owned(), detail.1.to_owned())]),
        request_id: format!("request-{number}"),
        ..v1::SecurityEvent::default()
    }
}

fn allowed(number: u64) -> (Outcome, v1::SecurityEvent) {
    let outcome = Outcome::Allowed { event: Some(format!("event-{number}")) };
    (outcome, event(number, Type::LoginAllowed, ("assurance", "verified")))
}

fn refused(number: u64) -> (Outcome, v1::SecurityEvent) {
    let outcome = Outcome::Refused { event: Some(format!("event-{number}")) };
    (outcome, event(number, Type::LoginRefused, ("finding", "wrong")))
}

/// The history of these calls and their events breaks exactly the laws whose words begin like these.
#[track_caller]
fn breaks(parts: Vec<(Call, Vec<v1::SecurityEvent>)>, expected: &[&str]) {
    let (calls, events): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let found = check(&calls, &[(0, events.concat())]);
    assert_eq!(found.violations.len(), expected.len(), "{:#?}", found.violations);
    for (violation, law) in found.violations.iter().zip(expected) {
        assert!(violation.starts_with(law), "{law}: {violation}");
    }
}

/// A call that ended like its event says.
fn fine(
    number: u64,
    action: Action,
    (outcome, event): (Outcome, v1::SecurityEvent),
) -> (Call, Vec<v1::SecurityEvent>) {
    (call(number, action, outcome), vec![event])
}

const fn code(step: u64) -> Action {
    Action::Code { life: 0, step }
}

/// A history as it should be breaks no law: growing steps, a wrong code, a lost answer that had its effect.
#[test]
fn a_lawful_history_is_lawful() {
    let lost = (call(4, code(9), Outcome::Unknown), vec![allowed(4).1]);
    let without_effect = (call(5, code(10), Outcome::Unknown), Vec::new());
    let parts = vec![
        fine(1, code(5), allowed(1)),
        fine(2, Action::Wrong, refused(2)),
        fine(3, code(7), allowed(3)),
        lost,
        without_effect,
    ];
    breaks(parts, &[]);
}

/// R5: a code that succeeds twice, also where one of the two was never answered.
#[test]
fn a_replay_is_found() {
    let again = (call(2, code(5), Outcome::Unknown), vec![allowed(2).1]);
    breaks(
        vec![fine(1, code(5), allowed(1)), again],
        &["a code succeeded twice", "a step was accepted after a later one"],
    );
}

/// R29: a recovery code that succeeds twice.
#[test]
fn a_reused_recovery_code_is_found() {
    let recovery = Action::Recovery { life: 0, index: 3 };
    breaks(vec![fine(1, recovery, allowed(1)), fine(2, recovery, allowed(2))], &["a code succeeded twice"]);
}

/// R4: an earlier step after a later one.
#[test]
fn a_step_that_goes_back_is_found() {
    breaks(
        vec![fine(1, code(6), allowed(1)), fine(2, code(5), allowed(2))],
        &["a step was accepted after a later one"],
    );
}

/// R55: a verdict without its event, and one with another's.
#[test]
fn a_missing_event_is_found() {
    let missing = (call(1, code(5), allowed(1).0), Vec::new());
    breaks(
        vec![missing],
        &[
            "an acknowledged verdict has not exactly one event",
            "the event that a verdict names is not its own",
        ],
    );
}

/// R61: a success in the log that was answered as a refusal, and one that nobody asked for.
#[test]
fn an_untold_success_is_found() {
    let told = (
        call(1, code(5), refused(1).0),
        vec![refused(1).1, event(1, Type::LoginAllowed, ("assurance", "verified"))],
    );
    let mut found = check(&[told.0], &[(0, told.1)]);
    found.violations.sort();
    assert!(found.violations[0].starts_with("a success that was answered as a refusal"), "{found:?}");
    let found = check(&[], &[(0, vec![allowed(7).1])]);
    assert!(found.violations[0].starts_with("a success that nobody asked for"), "{found:?}");
}

/// R36: a success that was asked for after the answer to switching off.
#[test]
fn a_success_after_switching_off_is_found() {
    let off = Action::Disable { life: 0, step: 6 };
    let off =
        (call(2, off, Outcome::Allowed { event: None }), vec![event(2, Type::TwoFactorDisabled, ("", ""))]);
    breaks(
        vec![fine(1, code(5), allowed(1)), off, fine(3, code(7), allowed(3))],
        &["a success of a life that had ended"],
    );
}

/// R11, R13: a fourth guess within the delay that the third one started.
#[test]
fn a_guess_beyond_the_budget_is_found() {
    let mut parts: Vec<_> = (1..=4).map(|number| fine(number, Action::Wrong, refused(number))).collect();
    breaks(parts.clone(), &[]);
    let in_delay =
        parts[2].1[0].event_time.map(|third| prost_types::Timestamp { seconds: third.seconds + 29, ..third });
    parts[3].1[0].event_time = in_delay;
    breaks(parts, &["a code was evaluated while the user was locked"]);
}
