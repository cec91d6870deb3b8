//! The one budget for wrong codes: what is charged, what locks, what a lock closes, what ends it.

use crate::common::{DAY, HOUR, MINUTE, Phone, SECOND, STEP, World, secs, typed};
use countersign_domain::denial::Denial;
use countersign_domain::enrollment::BeginTotp;
use countersign_domain::event::EventType;
use countersign_domain::login::{Assurance, CheckLogin, RefusedReason, Verdict};
use countersign_domain::otp::Digits;
use countersign_domain::policy::{PolicyDocument, Preset};
use countersign_domain::presented::PresentedProof;
use countersign_domain::user::Standing;
use std::time::Duration;

const REFUSED: Verdict = Verdict::Refused(RefusedReason::CodeNotAccepted);

/// Every path evaluates codes, apps may be added, and nothing but a code is asked.
fn every_path(policy: &mut PolicyDocument) {
    policy.disable.required_proofs = vec![SECOND];
}

/// A wrong guess at login; until when it locked, if it did.
fn guess(world: &mut World) -> Option<Duration> {
    let wrong = world.wrong();
    assert_eq!(world.check(&world.login_with(wrong)), Ok(REFUSED));
    world.status().locked_until.map(|until| until.since(world.now))
}

/// What became of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It was evaluated.
    Evaluated,
    /// It was not: come back after that long, or never.
    Locked(Option<Duration>),
}

/// Logs in with a code and says what became of it.
fn check(world: &mut World, code: PresentedProof) -> Fate {
    match world.check(&world.login_with(code)) {
        Ok(Verdict::LockedOut(locked)) => Fate::Locked(locked.retry_after),
        Ok(Verdict::Allowed(_) | Verdict::Refused(_)) => Fate::Evaluated,
        other => panic!("{other:?}"),
    }
}

/// R13, ruling 4: the third evaluated failure starts the first delay; each further one doubles it, up to an hour.
#[test]
fn the_delay_grows() {
    let (mut world, _) = World::on(Preset::SelfServiceCode);
    let mut delays = Vec::new();
    for _ in 0..12 {
        let delay = guess(&mut world);
        delays.push(delay.map_or(0, |delay| delay.as_secs()));
        world.pass(delay.unwrap_or(secs(1)));
    }
    assert_eq!(delays, [0, 0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
}

/// R14: while locked nothing is evaluated: right and wrong look alike and are told when to come back; the right code
/// is neither consumed nor charged and serves after the delay.
#[test]
fn while_locked_right_and_wrong_look_alike() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    world.pass(DAY);
    for _ in 0..3 {
        guess(&mut world);
    }
    let before = world.state.failures.clone();
    world.pass(secs(10));
    let (right, wrong) = (phone.code(world.now), world.wrong());
    let verdicts = [right, wrong].map(|code| {
        let mut world = world.clone();
        let verdict = world.check(&world.login_with(code.clone())).unwrap();
        assert_eq!((world.kinds(), world.detail("finding")), (vec![EventType::LoginRefused], Some("locked")));
        assert_eq!(world.state.failures, before);
        let proofs = world.proofs(Some(code));
        let locked = Err(Denial::UserLocked { retry_after: Some(secs(20)) });
        assert_eq!(world.disable(&proofs), locked);
        verdict
    });
    assert_eq!(verdicts[0], verdicts[1]);
    assert!(matches!(&verdicts[0], Verdict::LockedOut(locked) if locked.retry_after == Some(secs(20))));
    let code = phone.code(world.now);
    world.pass(secs(19));
    assert_eq!(check(&mut world, code.clone()), Fate::Locked(Some(secs(1))));
    world.pass(secs(1));
    assert_eq!(check(&mut world, code), Fate::Evaluated);
    assert!(world.kinds().contains(&EventType::LoginAllowed));
}

/// R14: the failure that locks kills open challenges; a login without an answer is told of the lock at once.
#[test]
fn a_lock_kills_open_challenges() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    let offer = world.challenged();
    for _ in 0..3 {
        let wrong = world.wrong();
        assert_eq!(world.answer(&offer.challenge, wrong), Ok(REFUSED));
    }
    let wrong = world.wrong();
    assert_eq!(world.answer(&offer.challenge, wrong), Err(Denial::ChallengeInvalid));
    let Ok(Verdict::LockedOut(locked)) = world.check(&world.login()) else { panic!("{:?}", world.events) };
    assert_eq!(locked.retry_after, Some(secs(30)));
    world.pass(secs(30));
    assert_eq!(world.answer(&offer.challenge, phone.code(world.now)), Err(Denial::ChallengeInvalid));
}

/// R10, R12: failures count per user, over every challenge, device and path that evaluates a code.
#[test]
fn there_is_one_budget_for_every_path() {
    type Path = fn(&mut World, PresentedProof);
    let paths: [(&str, Path); 8] = [
        ("login", |world, code| drop(world.check(&world.login_with(code)))),
        ("login elsewhere", |world, code| {
            let client = crate::common::client("other");
            drop(world.check(&CheckLogin { client, ..world.login_with(code) }));
        }),
        ("answer", |world, code| {
            let offer = world.challenged();
            drop(world.answer(&offer.challenge, code));
        }),
        ("step-up", |world, code| {
            let purpose = countersign_domain::user::ChallengePurpose::StepUp;
            drop(world.check(&CheckLogin { purpose, ..world.login_with(code) }));
        }),
        ("disable", |world, code| assert!(world.disable(&world.proofs(Some(code))).is_err())),
        ("remove", |world, code| {
            let id = world.state.authenticators[0].id;
            assert!(world.remove(id, &world.proofs(Some(code))).is_err());
        }),
        ("generate", |world, code| assert!(world.generate(&world.proofs(Some(code))).is_err())),
        ("add", |world, code| {
            let start = BeginTotp { code: Some(code), ..world.begin_command() };
            assert!(world.begin(&start).is_err());
        }),
    ];
    for first in &paths {
        for second in &paths {
            let (mut world, _) = World::on_with(Preset::SelfServicePassword, every_path);
            for (charged, (name, path)) in [first, second, first].into_iter().enumerate() {
                assert_eq!(world.status().locked_until, None);
                let wrong = world.wrong();
                path(&mut world, wrong);
                assert_eq!(world.state.failures.consecutive as usize, charged + 1, "{name}");
            }
            assert!(world.status().locked_until.is_some(), "{} {}", first.0, second.0);
        }
    }
}

/// R16: the same wrong code retyped at once is charged once, in any spelling and at any path; in the next step it is a
/// new guess.
#[test]
fn a_retyped_code_is_charged_once() {
    let (mut world, _) = World::on_with(Preset::SelfServicePassword, every_path);
    let wrong = world.wrong();
    let PresentedProof::Otp(digits) = &wrong else { panic!("digits") };
    let text = String::from_utf8(digits.as_bytes().to_vec()).unwrap();
    let spaced = typed(&format!("{} {}", &text[..3], &text[3..]));
    for code in [&wrong, &spaced, &wrong] {
        assert_eq!(check(&mut world, code.clone()), Fate::Evaluated);
        let proofs = world.proofs(Some(code.clone()));
        assert!(world.disable(&proofs).is_err());
    }
    assert_eq!((world.state.failures.consecutive, world.detail("finding")), (1, Some("retyped")));
    world.pass(STEP);
    check(&mut world, wrong);
    assert_eq!(world.state.failures.consecutive, 2);
}

/// R16: only at once: another wrong code in between makes it a guess again.
#[test]
fn a_code_typed_again_later_is_charged_again() {
    let (mut world, _) = World::on(Preset::SelfServiceCode);
    let (first, second) = (world.wrong(), world.wrong());
    for code in [&first, &second, &first] {
        check(&mut world, code.clone());
    }
    assert_eq!(world.state.failures.consecutive, 3);
}

/// R16: replays of used codes are recorded and never charged: a stolen used code is no weapon.
#[test]
fn a_replay_is_not_charged() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    let used = phone.code(world.now);
    world.log_in(used.clone());
    for _ in 0..60 {
        assert_eq!(check(&mut world, used.clone()), Fate::Evaluated);
        assert_eq!(world.detail("finding"), Some("replayed"));
    }
    assert_eq!((world.state.failures.consecutive, world.state.failures.recent.len()), (0, 0));
    assert_eq!(world.state.authenticators[0].consecutive_failures, 0);
}

/// R2: digits that nothing of the user's has are not evaluated; those of an authenticator of theirs are, whatever
/// policy gives to new ones.
#[test]
fn only_digits_that_the_user_has_are_evaluated() {
    let (mut world, _) = World::on(Preset::SelfServicePassword);
    let invalid = |world: &mut World, text: &str| {
        matches!(world.check(&world.login_with(typed(text))), Err(Denial::FieldInvalid { .. }))
    };
    assert!(invalid(&mut world, "00000000"));
    assert_eq!(world.state.failures.consecutive, 0);
    world.set_policy(|p| p.totp.parameters.digits = Digits::Eight);
    world.enroll();
    assert!(!invalid(&mut world, "00000000") && !invalid(&mut world, "000000"));
    assert_eq!(world.state.failures.consecutive, 2);
}

/// R13: a success ends the streak and its delay, so that three more guesses are free.
#[test]
fn a_success_ends_the_streak() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    for _ in 0..2 {
        guess(&mut world);
    }
    world.log_in(phone.code(world.now));
    assert_eq!(world.state.failures.consecutive, 0);
    assert_eq!(world.state.authenticators[0].consecutive_failures, 0);
    assert_eq!([guess(&mut world), guess(&mut world), guess(&mut world)], [None, None, Some(secs(30))]);
}

/// R13: twenty failures within a day lock until the first of them is a day old, whatever succeeded in between, and
/// switching off and on again does not refill the budget either.
#[test]
fn the_rolling_cap_is_not_refilled() {
    let (mut world, mut phone) = World::on(Preset::SelfServiceCode);
    let start = world.now;
    for round in 0..10 {
        assert_eq!([guess(&mut world), guess(&mut world)][0], None, "round {round}");
        if round == 9 {
            break;
        }
        world.pass(STEP);
        if round == 4 {
            let right = world.proofs(Some(phone.code(world.now)));
            world.disable(&right).unwrap();
            phone = world.enroll();
        } else {
            world.log_in(phone.code(world.now));
        }
    }
    let until = start.plus(DAY);
    assert_eq!(world.status().locked_until, Some(until));
    assert_eq!(world.told, Some(EventType::UserLocked));
    assert!(matches!(check(&mut world, phone.code(start.plus(HOUR))), Fate::Locked(Some(_))));
    world.pass(until.since(world.now));
    world.log_in(phone.code(world.now));
    // Only the two that have left the window are free again.
    assert_eq!(guess(&mut world), None);
    assert_eq!(guess(&mut world), Some(STEP), "until the next pair leaves it");
}

/// R11, R13: however often somebody guesses, no day sees more than twenty evaluated guesses.
#[test]
fn no_day_sees_more_guesses_than_the_cap() {
    let (mut world, _) = World::on_with(Preset::SelfServiceCode, |p| p.lockout.consecutive_limit = 100);
    let mut evaluated = Vec::new();
    for _ in 0..(3 * 24 * 30) {
        let wrong = world.wrong();
        if check(&mut world, wrong) == Fate::Evaluated {
            evaluated.push(world.now);
        }
        world.pass(2 * MINUTE);
    }
    let most = evaluated
        .iter()
        .map(|end| evaluated.iter().filter(|time| **time <= *end && end.since(**time) < DAY).count())
        .max();
    assert_eq!(most, Some(20));
    assert!(evaluated.len() > 40, "the guesser is slowed down, not locked out for good");
}

/// R13: the fiftieth consecutive failure disables the authenticator. Waiting does not help, the right code is not
/// evaluated, and a user whose only authenticator is disabled is not let in without a second factor.
#[test]
fn the_hard_cap_disables_the_authenticator() {
    let (mut world, phone) = World::on_with(Preset::SelfServiceCode, |p| {
        p.recovery_codes.enabled = false;
        p.recovery_codes.issue_on_enable = false;
    });
    world.challenged();
    let epoch = world.state.epoch;
    let mut guesses = 0;
    while world.state.has_active() {
        assert_eq!(world.state.epoch, epoch);
        world.pass(
            world.state.failures.locked_until(world.now).map_or(secs(0), |until| until.since(world.now)),
        );
        guess(&mut world);
        guesses += 1;
    }
    assert_eq!(guesses, 50);
    assert_eq!(world.state.epoch, epoch.next(), "ruling 10");
    assert!(world.kinds().contains(&EventType::AuthenticatorDisabled));
    assert_eq!(world.told, Some(EventType::AuthenticatorDisabled), "R18");
    assert_eq!(world.state.authenticators[0].standing, Standing::Disabled { since: world.now });

    for wait in [secs(0), 2 * HOUR, 300 * DAY] {
        world.pass(wait);
        let right = phone.code(world.now);
        assert_eq!(check(&mut world, right), Fate::Locked(None), "after {wait:?}");
        let Ok(Verdict::LockedOut(locked)) = world.check(&world.login()) else { panic!("{wait:?}") };
        assert_eq!((locked.retry_after, locked.still_open), (None, None), "after {wait:?}");
    }
    let proofs = world.proofs(Some(phone.code(world.now)));
    assert_eq!(world.disable(&proofs), Err(Denial::UserLocked { retry_after: None }));
    assert!(world.state.is_on());
}

/// R13, R15: behind a disabled authenticator a recovery code lets the owner in, and then they bind it anew.
#[test]
fn the_owner_gets_out_of_the_hard_cap() {
    let mut world = World::with(Preset::SelfServicePassword, |p| p.enrollment.max_authenticators = 1);
    let (_, codes) = world.enroll_with_codes();
    world.guess_until_disabled();
    let code = PresentedProof::Recovery(codes.unwrap().codes[0].clone());
    assert_eq!(world.log_in(code).ground.assurance(), Assurance::Recovered);
    let replaces = Some(world.state.authenticators[0].id);
    let begun = world.begin(&BeginTotp { replaces, ..world.begin_command() }).unwrap();
    let phone = Phone::of(&begun);
    world.confirm(&world.confirm_command(&begun, phone.code(world.now))).unwrap();
    world.pass(STEP);
    world.log_in(phone.code(world.now));
}

/// R10, R13: the hard cap counts per authenticator since its own last success: one that is used goes on serving beside
/// one that is disabled.
#[test]
fn the_hard_cap_counts_per_authenticator() {
    let (mut world, used) = World::on_with(Preset::SelfServicePassword, |p| {
        p.lockout.consecutive_limit = 10;
        p.lockout.rolling_limit = 100;
    });
    let idle = world.enroll();
    let id = world.id_of(&idle);
    for _ in 0..5 {
        guess(&mut world);
        guess(&mut world);
        world.pass(STEP);
        world.log_in(used.code(world.now));
    }
    assert!(!world.state.authenticator(id).unwrap().is_active());
    world.pass(STEP);
    world.log_in(used.code(world.now));
    assert_eq!(world.check(&world.login_with(idle.code(world.now))), Ok(REFUSED));
}

/// R18: the owner is told at the third failure of a streak, not per guess.
#[test]
fn the_owner_is_told_at_the_third() {
    let (mut world, _) = World::on(Preset::SelfServiceCode);
    let mut told = Vec::new();
    for _ in 0..6 {
        let delay = guess(&mut world);
        told.push(world.told);
        let locked = world.kinds().contains(&EventType::UserLocked);
        assert_eq!(locked, delay.is_some(), "every lock is in the log");
        world.pass(delay.unwrap_or(secs(1)));
    }
    assert_eq!(told, [None, None, Some(EventType::UserLocked), None, None, None]);
}

/// R18: where policy locks later than at the third failure, the owner is told at the third all the same, and of the lock.
#[test]
fn the_owner_is_told_at_the_third_where_the_lock_comes_later() {
    let (mut world, _) = World::on_with(Preset::SelfServiceCode, |policy| policy.lockout.free_failures = 5);
    let told: Vec<_> = (0..6)
        .map(|_| {
            let delay = guess(&mut world);
            world.pass(delay.unwrap_or(secs(1)));
            world.told
        })
        .collect();
    let (refused, locked) = (Some(EventType::LoginRefused), Some(EventType::UserLocked));
    assert_eq!(told, [None, None, refused, None, locked, None]);
}

/// R18: that the window is full since long, and keeps locking by itself, hides no third failure.
#[test]
fn the_owner_is_told_at_the_third_while_the_window_is_full() {
    let (mut world, _) = World::on_with(Preset::SelfServiceCode, |policy| {
        policy.lockout.free_failures = 5;
        policy.lockout.rolling_limit = 6;
    });
    for _ in 0..8 {
        guess(&mut world);
        world.pass(4 * HOUR);
    }
    // As after a login.
    world.state.failures.consecutive = 0;
    let told: Vec<_> = (0..3)
        .map(|_| {
            assert!(guess(&mut world).is_some(), "the window locks");
            world.pass(4 * HOUR);
            world.told
        })
        .collect();
    assert_eq!(told, [None, None, Some(EventType::LoginRefused)]);
}

/// R18: of the full window the owner is told when it has filled, and not of each guess that keeps it full.
#[test]
fn the_owner_is_told_once_of_a_full_window() {
    let (mut world, _) = World::on_with(Preset::SelfServiceCode, |policy| policy.lockout.rolling_limit = 6);
    // One each four hours keeps six in a window of a day.
    let mut every_four_hours = |count: usize| -> Vec<bool> {
        let guesses = (0..count).map(|_| {
            guess(&mut world);
            world.pass(4 * HOUR);
            world.told.is_some()
        });
        let told = guesses.collect();
        world.pass(2 * DAY);
        told
    };
    let (at_the_third, at_the_sixth) = (2, 5);
    let told = every_four_hours(12);
    assert!((0..12).all(|guess| told[guess] == (guess == at_the_third || guess == at_the_sixth)), "{told:?}");
    // Two days without any empty it. The streak goes on.
    let told = every_four_hours(7);
    assert!((0..7).all(|guess| told[guess] == (guess == at_the_sixth)), "{told:?}");
}

/// R18: where policy is tightened and the window is full by the new limit, its lock begins with the next wrong code: the
/// owner is told of that one, and not of those that keep it full.
#[test]
fn the_owner_is_told_of_a_window_that_a_tighter_policy_fills() {
    let (mut world, _) = World::on(Preset::SelfServiceCode);
    for _ in 0..8 {
        guess(&mut world);
        world.pass(2 * HOUR);
    }
    world.set_policy(|policy| policy.lockout.rolling_limit = 6);
    let told: Vec<_> = (0..2)
        .map(|_| {
            let lock = guess(&mut world).expect("the window is full");
            world.pass(lock);
            world.told
        })
        .collect();
    assert_eq!(told, [Some(EventType::UserLocked), None]);
}

/// R13, R15: a success locks nobody. Where policy is tightened and the window is full by the new limit, the owner's own
/// right code starts no lock; the next wrong one does, and is told.
#[test]
fn a_right_code_starts_no_lock_under_a_tighter_policy() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    for _ in 0..4 {
        assert_eq!([guess(&mut world), guess(&mut world)], [None, None]);
        world.pass(STEP);
        world.log_in(phone.code(world.now));
    }
    world.set_policy(|policy| policy.lockout.rolling_limit = 5);
    world.pass(STEP);
    world.log_in(phone.code(world.now));
    assert_eq!(world.status().locked_until, None);
    world.challenged();
    // With this one the last five count, and the oldest of those must leave the window.
    let oldest = world.state.failures.recent[4];
    assert_eq!(guess(&mut world), Some(oldest.plus(DAY).since(world.now)));
    assert_eq!(world.told, Some(EventType::UserLocked));
}

/// R13: a lock of the full window that runs outlasts a success as before, also where the window was made longer since.
#[test]
fn a_success_keeps_the_lock_of_a_full_window() {
    let mut world = World::with(Preset::SelfServiceCode, |p| p.lockout.rolling_limit = 5);
    let (_, codes) = world.enroll_with_codes();
    let start = world.now;
    while world.status().locked_until != Some(start.plus(DAY)) {
        let delay = guess(&mut world);
        world.pass(delay.filter(|delay| *delay < HOUR).unwrap_or_default());
    }
    world.set_policy(|policy| policy.lockout.rolling_window = 2 * DAY);
    world.log_in(PresentedProof::Recovery(codes.unwrap().codes[0].clone()));
    assert_eq!(world.status().locked_until, Some(start.plus(DAY)));
}

/// R13: where a delay outlasts the lock of the full window, a success ends the delay and leaves the lock. Where the window
/// was made longer since, nobody knows where the one ends and the other goes on: the lock runs as it did, and not longer.
#[test]
fn a_success_lifts_no_lock_that_a_delay_outlasts() {
    let mut world = World::with(Preset::SelfServiceCode, |p| {
        p.lockout.rolling_limit = 5;
        p.lockout.rolling_window = HOUR;
        p.lockout.free_failures = 5;
        p.lockout.first_delay = 2 * HOUR;
        p.lockout.max_delay = 2 * HOUR;
    });
    let (_, codes) = world.enroll_with_codes();
    let right = PresentedProof::Recovery(codes.unwrap().codes[0].clone());
    let start = world.now;
    for _ in 0..5 {
        guess(&mut world);
    }
    assert_eq!(world.status().locked_until, Some(start.plus(2 * HOUR)));
    let mut longer = world.clone();
    world.log_in(right.clone());
    assert_eq!(world.status().locked_until, Some(start.plus(HOUR)));
    longer.set_policy(|policy| policy.lockout.rolling_window = 2 * DAY);
    longer.log_in(right);
    assert_eq!(longer.status().locked_until, Some(start.plus(2 * HOUR)));
}

/// R13: where the window is full by a limit that was lowered since, the lock that runs at a success ends when it would have,
/// whatever became of the delays, and there is none behind it.
#[test]
fn a_lock_ends_in_its_time_under_a_tighter_policy() {
    let mut world = World::new(Preset::SelfServiceCode);
    let (phone, codes) = world.enroll_with_codes();
    for _ in 0..4 {
        let delay = guess(&mut world);
        world.pass(delay.unwrap_or_default());
    }
    assert_eq!(guess(&mut world), Some(secs(120)));
    let until = world.now.plus(secs(120));
    world.set_policy(|policy| {
        policy.lockout.rolling_limit = 5;
        policy.lockout.first_delay = MINUTE;
    });
    world.log_in(PresentedProof::Recovery(codes.unwrap().codes[0].clone()));
    assert_eq!(world.status().locked_until, Some(until));
    world.pass(secs(120));
    world.log_in(phone.code(world.now));
    assert_eq!(world.status().locked_until, None);
}

/// R15: nobody can lock the owner's remembered client out by guessing.
#[test]
fn a_lock_does_not_close_remembered_clients() {
    let (mut world, phone) = World::on(Preset::MandatoryManaged);
    let remember = CheckLogin { remember_client: true, ..world.login_with(phone.code(world.now)) };
    let Ok(Verdict::Allowed(allowed)) = world.check(&remember) else { panic!("{:?}", world.events) };
    for _ in 0..3 {
        guess(&mut world);
    }
    assert!(world.status().locked_until.is_some());
    let client_token = allowed.ground.remembered_client().map(|client| client.token.clone());
    let Ok(Verdict::Allowed(allowed)) = world.check(&CheckLogin { client_token, ..world.login() }) else {
        panic!("{:?}", world.events)
    };
    assert_eq!(allowed.ground.assurance(), Assurance::Remembered);
}

/// R11, R16: a wrong code typed again once another app was confirmed is a guess at that app's key, and is charged.
#[test]
fn a_new_authenticator_makes_old_guesses_new() {
    let (mut world, _) = World::on(Preset::SelfServicePassword);
    let wrong = world.wrong();
    check(&mut world, wrong.clone());
    let (begun, phone) = world.begun();
    world.confirm(&world.confirm_command(&begun, phone.code(world.now))).unwrap();
    check(&mut world, wrong);
    assert_eq!((world.state.failures.consecutive, world.detail("finding")), (2, Some("wrong")));
}
