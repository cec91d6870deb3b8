//! Recovery codes: handed out once, good once, never locked, never charged.

use crate::common::{FIRST, HOUR, MINUTE, Phone, SECOND, World, lacks, typed, user_ref};
use countersign_domain::denial::Denial;
use countersign_domain::event::EventType;
use countersign_domain::login::{Assurance, CheckLogin, Method, RefusedReason, Verdict};
use countersign_domain::policy::{AuthenticatorType, Preset};
use countersign_domain::presented::PresentedProof;
use countersign_domain::recovery::IssuedCodes;
use countersign_domain::user::Failures;
use std::collections::BTreeSet;

const REFUSED: Verdict = Verdict::Refused(RefusedReason::CodeNotAccepted);
const UNKNOWN: &str = "00000-00000-00000-00000-00000";

fn on(preset: Preset) -> (World, Phone, IssuedCodes) {
    on_with(preset, |_| ())
}

fn on_with(
    preset: Preset,
    change: impl FnOnce(&mut countersign_domain::policy::PolicyDocument),
) -> (World, Phone, IssuedCodes) {
    let mut world = World::with(preset, change);
    let (phone, codes) = world.enroll_with_codes();
    (world, phone, codes.expect("switching on returns recovery codes"))
}

fn nth(codes: &IssuedCodes, index: usize) -> PresentedProof {
    PresentedProof::Recovery(codes.codes[index].clone())
}

/// Locks the user with wrong codes.
fn lock(world: &mut World) {
    while world.state.failures.locked_until(world.now).is_none() {
        let wrong = world.wrong();
        assert_eq!(world.check(&world.login_with(wrong)), Ok(REFUSED));
    }
}

/// B26, R27: ten different codes by default, or as many as policy says, as a list and as a file of one a line.
#[test]
fn a_set_has_as_many_different_codes_as_policy_says() {
    for count in [5_u32, 10, 20] {
        let (_, _, codes) = on_with(Preset::SelfServiceCode, |p| p.recovery_codes.count = count);
        let grouped: Vec<_> = codes.codes.iter().map(|code| code.grouped().expose().to_owned()).collect();
        assert_eq!(grouped.iter().collect::<BTreeSet<_>>().len(), count as usize);
        assert_eq!(codes.text_file().expose(), grouped.join("\n") + "\n");
    }
    let (world, _, codes) = on(Preset::SelfServiceCode);
    assert_eq!((codes.codes.len(), codes.create_time), (10, world.state.recovery.unwrap().create_time));
}

/// B27, B28: each code serves once at login; then it is refused like any wrong one, and the others still serve.
#[test]
fn each_code_serves_once() {
    let (mut world, _, codes) = on(Preset::SelfServiceCode);
    for index in 0..10 {
        let allowed = world.log_in(nth(&codes, index));
        assert_eq!(allowed.ground.assurance(), Assurance::Recovered);
        assert_eq!(allowed.recovery_codes_remaining, Some(9 - index), "B30");
        assert_eq!(world.kinds(), [EventType::LoginAllowed, EventType::RecoveryCodeUsed]);
        assert_eq!(world.told, Some(EventType::RecoveryCodeUsed));
        assert_eq!(world.check(&world.login_with(nth(&codes, index))), Ok(REFUSED));
        assert_eq!(world.detail("finding"), Some("recovery_code_used"));
    }
    assert_eq!(world.state.recovery_codes_remaining(), 0);
}

/// B28, R29: of two decisions from one state both consume the same row, so a store's guard lets one through.
#[test]
fn two_uses_at_once_write_the_same_row() {
    use countersign_domain::change::{Write, writes};
    let (world, _, codes) = on(Preset::SelfServiceCode);
    let consumed = || {
        let mut world = world.clone();
        let before = world.state.clone();
        world.log_in(nth(&codes, 4));
        writes(&before, &world.state)
    };
    let (first, second) = (consumed(), consumed());
    assert_eq!(first, second);
    assert!(matches!(first[..], [Write::UseRecoveryCode { index: 4, .. }]), "{first:?}");
}

/// R33, R16: wrong, used and foreign recovery codes are never charged and never lock anything.
#[test]
fn wrong_recovery_codes_charge_nothing() {
    let (mut world, phone, codes) = on(Preset::SelfServiceCode);
    world.log_in(nth(&codes, 0));
    for _ in 0..60 {
        for wrong in [typed(UNKNOWN), nth(&codes, 0)] {
            assert_eq!(world.check(&world.login_with(wrong.clone())), Ok(REFUSED));
            let proofs = world.proofs(Some(wrong));
            let incorrect = Err(Denial::ProofIncorrect { field: "proof.code" });
            assert_eq!(world.disable(&proofs), incorrect);
        }
    }
    assert_eq!(world.state.failures, Failures::default());
    world.log_in(phone.code(world.now));
}

/// R15, ruling 3: while locked, a recovery code still serves, at the form and at the challenge that the verdict of the
/// locked login carries; using one ends the delay.
#[test]
fn a_recovery_code_serves_while_locked() {
    let (mut world, phone, codes) = on(Preset::SelfServiceCode);
    lock(&mut world);
    let mut at_form = world.clone();
    assert_eq!(at_form.log_in(nth(&codes, 0)).ground.assurance(), Assurance::Recovered);

    let Ok(Verdict::LockedOut(locked)) = world.check(&world.login()) else { panic!("{:?}", world.events) };
    let offer = locked.still_open.expect("recovery codes stay open");
    let kinds: Vec<_> = offer.methods.iter().map(Method::kind).collect();
    assert_eq!(kinds, [AuthenticatorType::RecoveryCode]);
    assert_eq!(world.answer(&offer.challenge, typed(UNKNOWN)), Ok(REFUSED));
    assert!(matches!(world.answer(&offer.challenge, phone.code(world.now)), Ok(Verdict::LockedOut(_))));
    assert!(matches!(world.answer(&offer.challenge, nth(&codes, 0)), Ok(Verdict::Allowed(_))));
    assert_eq!(world.status().locked_until, None);
    world.log_in(phone.code(world.now));
}

/// R13: using a recovery code ends the delay, but refills no rolling window.
#[test]
fn a_recovery_code_does_not_refill_the_rolling_window() {
    let (mut world, phone, codes) = on_with(Preset::SelfServiceCode, |p| {
        p.lockout.rolling_limit = 5;
        p.lockout.free_failures = 10;
        p.lockout.rolling_window = HOUR;
    });
    lock(&mut world);
    assert_eq!(world.state.failures.recent.len(), 5);
    world.log_in(nth(&codes, 0));
    let locked = world.check(&world.login_with(phone.code(world.now)));
    assert!(matches!(locked, Ok(Verdict::LockedOut(_))), "{locked:?}");
    world.pass(HOUR);
    world.log_in(phone.code(world.now));
}

/// B27: a recovery code stands in where a code is needed to change something, and is consumed by it.
#[test]
fn a_recovery_code_stands_in_for_a_code() {
    let (mut world, _, codes) = on(Preset::PasswordAndCode);
    let proofs = world.proofs(Some(nth(&codes, 0)));
    assert_eq!(world.clone().disable(&proofs), Ok(vec![AuthenticatorType::Totp]));
    let id = world.state.authenticators[0].id;
    assert_eq!(world.clone().remove(id, &proofs), Ok(vec![AuthenticatorType::Totp]));
    assert!(world.generate(&proofs).is_ok());
    assert_eq!(world.told, Some(EventType::RecoveryCodesGenerated));
    assert!(world.kinds().contains(&EventType::RecoveryCodeUsed));
}

/// B27, B50: of a removal that a recovery code proves, the change comes first, and the owner is told of that; then the code,
/// which was used before it, and what went with it.
#[test]
fn a_removal_by_a_recovery_code_is_told_first() {
    use EventType::{AuthenticatorRemoved, RecoveryCodeUsed, TwoFactorDisabled};
    let (mut world, phone, codes) = on_with(Preset::SelfServiceCode, |p| {
        p.enrollment.max_authenticators = 2;
        p.enrollment.required_proofs = vec![FIRST];
    });
    let other = world.enroll();
    for (index, app, expected) in [
        (0, world.id_of(&phone), vec![AuthenticatorRemoved, RecoveryCodeUsed]),
        (1, world.id_of(&other), vec![TwoFactorDisabled, RecoveryCodeUsed, AuthenticatorRemoved]),
    ] {
        let proofs = world.proofs(Some(nth(&codes, index)));
        world.remove(app, &proofs).unwrap();
        assert_eq!((world.kinds(), world.told), (expected.clone(), Some(expected[0])));
    }
}

/// B29, R30: a new set makes the old one void in the same decision; it needs what switching off needs.
#[test]
fn a_new_set_voids_the_old_one() {
    let (mut world, phone, codes) = on(Preset::SelfServiceCode);
    let incorrect = Denial::ProofIncorrect { field: "proof.code" };
    let missing = lacks(&[SECOND], "proof");
    let without = world.proofs(None);
    assert_eq!(world.generate(&without), Err(missing));
    let wrong = world.wrong();
    let with_wrong = world.proofs(Some(wrong));
    assert_eq!(world.generate(&with_wrong), Err(incorrect));
    assert_eq!(
        world.log_in(nth(&codes, 0)).ground.assurance(),
        Assurance::Recovered,
        "denied calls void nothing"
    );

    let right = world.proofs(Some(phone.code(world.now)));
    let epoch = world.state.epoch;
    let renewed = world.generate(&right).unwrap();
    assert_eq!(
        (world.kinds(), world.told),
        (vec![EventType::RecoveryCodesGenerated], Some(EventType::RecoveryCodesGenerated))
    );
    assert_eq!((renewed.codes.len(), world.state.recovery_codes_remaining()), (10, 10));
    assert_eq!(world.state.epoch, epoch, "ruling 10 does not name it");
    for index in 0..10 {
        assert_eq!(world.check(&world.login_with(nth(&codes, index))), Ok(REFUSED));
    }
    world.log_in(nth(&renewed, 0));
}

/// B29: switching off and on again gives new codes; everything old is dead.
#[test]
fn enabling_again_gives_new_codes() {
    let (mut world, phone, codes) = on(Preset::SelfServiceCode);
    let right = world.proofs(Some(phone.code(world.now)));
    world.disable(&right).unwrap();
    let (renewed_phone, renewed) = world.enroll_with_codes();
    assert_ne!(renewed_phone.key, phone.key);
    for code in [nth(&codes, 0), phone.code(world.now)] {
        assert_eq!(world.check(&world.login_with(code)), Ok(REFUSED));
    }
    world.log_in(nth(&renewed.unwrap(), 0));
}

/// R34, ruling 10: using a recovery code raises the epoch: remembered clients and pending enrollments are dead.
#[test]
fn using_one_raises_the_epoch() {
    let (mut world, phone, codes) = on(Preset::MandatoryManaged);
    let remember = CheckLogin { remember_client: true, ..world.login_with(phone.code(world.now)) };
    world.check(&remember).unwrap();
    world.begun();
    assert_eq!((world.state.clients.len(), world.state.pending.len()), (1, 1));
    let epoch = world.state.epoch;
    let recover = CheckLogin { remember_client: true, ..world.login_with(nth(&codes, 0)) };
    let Ok(Verdict::Allowed(allowed)) = world.check(&recover) else { panic!("{:?}", world.events) };
    assert_eq!(world.state.epoch, epoch.next());
    assert_eq!((world.state.clients.len(), world.state.pending.len()), (0, 0));
    assert_eq!(
        allowed.ground.remembered_client(),
        None,
        "a recovered login is not one to remember a client by"
    );
    assert_eq!(allowed.amr, ["pwd", "otp", "mfa"], "ruling 14");
}

/// Policy may issue a fresh set for a used code; then the login carries it and the old set is void.
#[test]
fn a_used_code_may_bring_a_fresh_set() {
    let (mut world, _, codes) = on_with(Preset::SelfServiceCode, |p| p.recovery_codes.reissue_on_use = true);
    let allowed = world.log_in(nth(&codes, 0));
    let renewed = allowed.ground.reissued_codes().expect("a fresh set");
    assert_eq!(allowed.recovery_codes_remaining, Some(10));
    assert!(world.kinds().contains(&EventType::RecoveryCodesGenerated));
    assert_eq!(world.check(&world.login_with(nth(&codes, 1))), Ok(REFUSED));
    world.log_in(nth(renewed, 1));
}

/// Where policy has none, a recovery code is a wrong code, none are generated, and verdicts do not count them.
#[test]
fn policy_may_have_no_recovery_codes() {
    let (mut world, phone, codes) = on(Preset::SelfServiceCode);
    world.set_policy(|p| {
        p.recovery_codes.enabled = false;
        p.recovery_codes.issue_on_enable = false;
    });
    assert_eq!(world.check(&world.login_with(nth(&codes, 0))), Ok(REFUSED));
    assert_eq!(world.state.failures, Failures::default());
    let right = world.proofs(Some(phone.code(world.now)));
    assert_eq!(world.generate(&right), Err(Denial::RecoveryCodesOff));
    assert_eq!(world.status().recovery_codes_remaining, None);
    let offer = world.challenged();
    assert_eq!(offer.methods.len(), 1);
    assert_eq!(world.log_in(phone.code(world.now)).recovery_codes_remaining, None);
}

/// B29: who has no second factor has no recovery codes to renew.
#[test]
fn codes_are_for_users_with_a_second_factor() {
    for preset in Preset::ALL {
        let mut world = World::new(preset);
        let proofs = world.proofs(None);
        assert_eq!(world.generate(&proofs), Err(Denial::TwoFactorNotEnabled), "{}", preset.id());
    }
}

/// B30: verdict and status count what is left, and warn below three.
#[test]
fn users_are_warned_below_three() {
    let (mut world, _, codes) = on(Preset::SelfServiceCode);
    for index in 0..10 {
        let (left, low) = (9 - index, index > 6);
        let allowed = world.log_in(nth(&codes, index));
        assert_eq!((allowed.recovery_codes_remaining, allowed.recovery_codes_low), (Some(left), low));
        let status = world.status();
        assert_eq!((status.recovery_codes_remaining, status.recovery_codes_low), (Some(left), low));
    }
}

/// B30: who enrolled before policy had recovery codes has no set, and is warned until they have one; who has no second factor
/// is not, nor anybody where policy has none.
#[test]
fn who_has_no_set_is_warned() {
    let mut world = World::with(Preset::SelfServiceCode, |p| {
        p.recovery_codes.enabled = false;
        p.recovery_codes.issue_on_enable = false;
    });
    let allow = |world: &mut World, enabled| world.set_policy(|p| p.recovery_codes.enabled = enabled);
    allow(&mut world, true);
    assert!(!world.status().recovery_codes_low, "off");
    allow(&mut world, false);
    let phone = world.enroll();
    assert!(!world.log_in(phone.code(world.now)).recovery_codes_low);
    assert!(!world.status().recovery_codes_low, "no codes to have");

    allow(&mut world, true);
    world.pass(MINUTE);
    let allowed = world.log_in(phone.code(world.now));
    assert_eq!((allowed.recovery_codes_remaining, allowed.recovery_codes_low), (None, true));
    assert!(world.status().recovery_codes_low);
    world.pass(MINUTE);
    let proofs = world.proofs(Some(phone.code(world.now)));
    world.generate(&proofs).unwrap();
    assert!(!world.status().recovery_codes_low);
}

/// R28: a stored digest is bound to user and set: lifted into another set or user, its code does not serve.
#[test]
fn a_digest_is_bound_to_its_set_and_user() {
    let (world, _, codes) = on(Preset::SelfServiceCode);
    let mut other_set = world.clone();
    let id = countersign_domain::ids::RecoverySetId::from_uuid(other_set.draw_id());
    other_set.state.recovery.as_mut().unwrap().id = id;
    let mut other_user = world.neighbour(user_ref("acme", "bob"));
    other_user.state = world.state.clone();
    for mut planted in [other_set, other_user] {
        assert_eq!(planted.check(&planted.login_with(nth(&codes, 0))), Ok(REFUSED));
    }
}

/// R32: a recovery code may be typed in lower case, with other separators, with letters that look like digits.
#[test]
fn a_recovery_code_is_read_as_people_type_it() {
    let (mut world, _, codes) = on(Preset::SelfServiceCode);
    let grouped = codes.codes[0].grouped();
    let sloppy = grouped.expose().to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
    world.log_in(typed(&sloppy));
}

/// R12: both proofs are looked at for a new set, the first factor before the code is touched.
#[test]
fn a_stale_password_does_not_cost_the_code() {
    let (mut world, phone, _) = on(Preset::PasswordAndCode);
    let right = phone.code(world.now);
    let max_age = world.policy.first_factor.max_age;
    let stale =
        countersign_domain::proof::Proofs { first_factor: Some(world.stale()), code: Some(right.clone()) };
    assert_eq!(world.generate(&stale), Err(Denial::FirstFactorStale { max_age }));
    let none = countersign_domain::proof::Proofs { first_factor: None, code: Some(right.clone()) };
    assert_eq!(world.generate(&none), Err(lacks(&[FIRST], "proof")));
    let proofs = world.proofs(Some(right));
    world.generate(&proofs).unwrap();
    world.pass(MINUTE);
}
