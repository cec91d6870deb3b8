//! Histories with a planted fault, each of which must be found: a checker that finds nothing proves nothing.

use super::*;
use crate::history::Moment;

/// Microseconds.
const SECOND: i64 = 1_000_000;

/// Calls come one a minute, and the codes of these tests are those of the steps of their calls: two steps a minute.
fn call(number: u64, action: Action, outcome: Outcome) -> Call {
    let moment = |tick, more| Moment { tick, time: time(number) + more };
    let (invoked, returned) = (moment(number * 10, -SECOND), moment(number * 10 + 5, SECOND));
    Call { user: 0, request: number.into(), action, invoked, returned, outcome }
}

fn time(number: u64) -> i64 {
    i64::try_from(number).unwrap() * 60 * SECOND
}

fn event(number: u64, what: What) -> Told {
    Told { event: id(number), request: number.into(), time: time(number), what }
}

fn id(number: u64) -> u128 {
    u128::from(number) + 1_000
}

fn allowed(number: u64) -> (Outcome, Told) {
    (Outcome::Allowed { event: Some(id(number)) }, event(number, What::Verified))
}

fn refused(number: u64) -> (Outcome, Told) {
    (Outcome::Refused { event: Some(id(number)) }, event(number, What::Charged))
}

/// Nodes with right clocks, and codes that are all different.
const HONEST: [Belief; 1] = [Belief { tick: 0, offset: 0 }];

fn found(parts: Vec<(Call, Vec<Told>)>, beliefs: &[Belief]) -> Found {
    let (calls, events): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let known = Known { beliefs, code: &|_, life, step| format!("{life} {step}") };
    check(&calls, &[events.concat()], &known)
}

/// The history of these calls and their events breaks exactly the laws whose words begin like these.
#[track_caller]
fn breaks(parts: Vec<(Call, Vec<Told>)>, expected: &[&str]) {
    breaks_believing(parts, &HONEST, expected);
}

#[track_caller]
fn breaks_believing(parts: Vec<(Call, Vec<Told>)>, beliefs: &[Belief], expected: &[&str]) {
    are_exactly(&found(parts, beliefs), expected);
}

#[track_caller]
fn are_exactly(found: &Found, expected: &[&str]) {
    assert_eq!(found.violations.len(), expected.len(), "{:#?}", found.violations);
    for (violation, law) in found.violations.iter().zip(expected) {
        assert!(violation.starts_with(law), "{law}: {violation}");
    }
}

/// A call that ended like its event says.
fn fine(number: u64, action: Action, (outcome, event): (Outcome, Told)) -> (Call, Vec<Told>) {
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
        fine(1, code(2), allowed(1)),
        fine(2, Action::Wrong, refused(2)),
        fine(3, code(5), allowed(3)),
        lost,
        without_effect,
    ];
    breaks(parts, &[]);
}

/// R5: a code that succeeds twice, also where one of the two was never answered.
#[test]
fn a_replay_is_found() {
    let (mut again, mut told) = (call(2, code(3), Outcome::Unknown), allowed(2).1);
    (again.invoked.time, told.time) = (time(1), time(1));
    breaks(
        vec![fine(1, code(3), allowed(1)), (again, vec![told])],
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
        vec![fine(1, code(3), allowed(1)), {
            let (mut call, mut told) = fine(2, code(2), allowed(2));
            (call.invoked.time, told[0].time) = (time(1), time(1));
            (call, told)
        }],
        &["a step was accepted after a later one"],
    );
}

/// R4: two steps can show one code, and it is the later one that was used: the earlier one is no replay.
#[test]
fn a_code_of_two_steps_is_used_for_the_later_one() {
    let parts = vec![fine(1, code(2), allowed(1)), {
        let (mut call, mut told) = fine(2, code(2), allowed(2));
        (call.invoked.time, told[0].time) = (time(1) + 60 * SECOND, time(1) + 60 * SECOND);
        (call, told)
    }];
    let (calls, events): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let known = Known { beliefs: &HONEST, code: &|_, _, step| format!("{}", step.is_multiple_of(2)) };
    let found = check(&calls, &[events.concat()], &known);
    assert!(found.violations.is_empty(), "{found:?}");
}

/// R7: a code of long ago, or of later, and a wrong one.
#[test]
fn a_code_of_another_time_is_found() {
    let law = "a code succeeded that was not acceptable then";
    for action in [code(8), code(12), Action::Wrong] {
        breaks(vec![fine(5, action, allowed(5))], &[law]);
    }
}

/// R55: a verdict without its event, and one with another's.
#[test]
fn a_missing_event_is_found() {
    let missing = (call(1, code(2), allowed(1).0), Vec::new());
    breaks(
        vec![missing],
        &[
            "an acknowledged verdict has not exactly one event",
            "the event that a verdict names is not its own",
        ],
    );
}

/// R43: a verdict whose event is in the log of the user of the same id in another tenant.
#[test]
fn another_tenants_event_is_found() {
    let wrong = fine(1, Action::Wrong, refused(1));
    let laws = [
        "an acknowledged verdict has not exactly one event",
        "the event that a verdict names is not its own",
    ];
    in_another_log(wrong, &laws);
    let right = fine(1, code(2), allowed(1));
    in_another_log(right, &[laws[0], laws[1], "a success that nobody asked for"]);
}

/// The history of this call, with its events in the log of another user, breaks exactly these laws.
#[track_caller]
fn in_another_log((call, events): (Call, Vec<Told>), expected: &[&str]) {
    let known = Known { beliefs: &HONEST, code: &|user, life, step| format!("{user} {life} {step}") };
    are_exactly(&check(&[call], &[Vec::new(), events], &known), expected);
}

/// R61: a success in the log that was answered as a refusal, and one that nobody asked for.
#[test]
fn an_untold_success_is_found() {
    let told = (call(1, code(2), refused(1).0), vec![refused(1).1, Told { event: 7, ..allowed(1).1 }]);
    breaks(vec![told], &["a request was decided more than once", "a success that was answered as a refusal"]);
    let mut unasked = allowed(7).1;
    unasked.request = 8;
    breaks(vec![(call(7, code(14), Outcome::Unknown), vec![unasked])], &["a success that nobody asked for"]);
}

/// R60: a repeat that is decided anew, while the answer must still be there.
#[test]
fn a_second_decision_is_found() {
    let twice = |outcome| (call(1, code(2), outcome), vec![allowed(1).1, Told { event: 7, ..refused(1).1 }]);
    breaks(vec![twice(allowed(1).0)], &["a request was decided more than once"]);
    breaks(vec![twice(Outcome::Unknown)], &["a request was decided more than once"]);
    // By a clock that was believed the answer was gone.
    let later = Belief { tick: 12, offset: 600_000 };
    breaks_believing(vec![twice(allowed(1).0)], &[HONEST[0], later], &[]);
    let sooner = Belief { offset: 500_000, ..later };
    breaks_believing(vec![twice(allowed(1).0)], &[HONEST[0], sooner], &["a request was decided"]);
    // Refused both times.
    let twice = (call(1, code(2), refused(1).0), vec![refused(1).1, Told { event: 7, ..refused(1).1 }]);
    breaks_believing(vec![twice.clone()], &[HONEST[0], later], &[]);
    let laws = ["an acknowledged verdict has not exactly one event", "a request was decided more than once"];
    breaks_believing(vec![twice], &[HONEST[0], sooner], &laws);
}

/// R65: a decision at a time that no clock showed which could be relied on.
#[test]
fn a_decision_by_a_wrong_clock_is_found() {
    let (call, mut told) = fine(5, Action::Recovery { life: 0, index: 1 }, allowed(5));
    told[0].time += 12 * SECOND;
    let law = "a clock decided that was not to be relied on";
    breaks(vec![(call.clone(), told.clone())], &[law]);
    let ahead = Belief { tick: 40, offset: 12_000 };
    breaks_believing(vec![(call.clone(), told.clone())], &[HONEST[0], ahead], &[]);
    // It was not believed then: before, and no longer.
    breaks_believing(vec![(call.clone(), told.clone())], &[HONEST[0], Belief { tick: 60, ..ahead }], &[law]);
    let over = Belief { tick: 45, ..HONEST[0] };
    breaks_believing(vec![(call.clone(), told.clone())], &[HONEST[0], ahead, over], &[law]);
    told[0].time -= 24 * SECOND;
    breaks(vec![(call, told)], &[law]);
}

/// R36: a success that was asked for after the answer to switching off.
#[test]
fn a_success_after_switching_off_is_found() {
    let off = Action::Disable { life: 0, step: 4 };
    let off = (call(2, off, Outcome::Allowed { event: None }), vec![event(2, What::Disabled)]);
    breaks(
        vec![fine(1, code(2), allowed(1)), off, fine(3, code(6), allowed(3))],
        &["a success of a life that had ended"],
    );
}

/// R36: the same where switching off was never answered, for a login that was under way with it: their commits tell which was
/// first. One that was committed before, and one of the life after, are as they should be.
#[test]
fn a_success_after_an_unanswered_end_is_found() {
    let off =
        (call(2, Action::Disable { life: 0, step: 4 }, Outcome::Unknown), vec![event(2, What::Disabled)]);
    let (mut under_way, told) = fine(3, code(6), allowed(3));
    under_way.invoked.tick = off.0.invoked.tick;
    let recovery = Action::Recovery { life: 0, index: 1 };
    for (late, told) in [(under_way.clone(), told), fine(3, recovery, allowed(3))] {
        breaks(vec![off.clone(), (late, told)], &["a success of a life that had ended"]);
    }
    let mut before = fine(1, code(2), allowed(1));
    before.0.returned = off.0.returned;
    let next = fine(3, Action::Code { life: 1, step: 6 }, allowed(3));
    breaks(vec![before, off, next], &[]);
}

/// R11, R13: a fourth guess within the delay that the third one started, and one after the twenty of a day.
#[test]
fn a_guess_beyond_the_budget_is_found() {
    let mut parts: Vec<_> = (1..=4).map(|number| fine(number, Action::Wrong, refused(number))).collect();
    breaks(parts.clone(), &[]);
    let third = parts[2].1[0].time;
    (parts[3].0.invoked.time, parts[3].1[0].time) = (third, third + 29 * SECOND);
    breaks(parts, &["a code was evaluated while the user was locked"]);

    // A success after every second failure: it starts no delay.
    let parts = (1..=31).map(|number| match number % 3 {
        0 => fine(number, code(number * 2), allowed(number)),
        _ => fine(number, Action::Wrong, refused(number)),
    });
    let parts: Vec<_> = parts.collect();
    breaks(parts[..29].to_vec(), &[]);
    breaks(parts, &["a code was evaluated after too many failures of a day"; 2]);
}
