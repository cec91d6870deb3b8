//! Which proofs adding an authenticator needs, at which stage, and that missing ones cost nothing.

use crate::common::{FIRST, Phone, SECOND, STEP, World, lacks, password, secs, session};
use countersign_domain::denial::Denial;
use countersign_domain::enrollment::{Authority, BeginTotp, Confirm};
use countersign_domain::policy::{FirstFactorMethod, Preset, ProofStage};
use countersign_domain::user::FirstFactor;

/// Every first factor that does not do, with its denial.
fn unfit(world: &World) -> Vec<(Option<FirstFactor>, Denial)> {
    let max_age = world.policy.first_factor.max_age;
    let link = FirstFactor { method: FirstFactorMethod::EmailLink, ..password(world.now) };
    vec![
        (None, lacks(&[FIRST], "proof")),
        (Some(world.stale()), Denial::FirstFactorStale { max_age }),
        (Some(password(world.now.plus(secs(61)))), Denial::FirstFactorTimeInvalid),
        (Some(link), Denial::FirstFactorNotAllowed { method: FirstFactorMethod::EmailLink }),
    ]
}

/// Every first factor that only just does.
fn fit(world: &World) -> Vec<FirstFactor> {
    let max_age = world.policy.first_factor.max_age;
    vec![password(world.now), password(world.now.minus(max_age)), password(world.now.plus(secs(60)))]
}

fn by(world: &World, first_factor: Option<FirstFactor>) -> Authority {
    Authority::Session(session(&world.user, first_factor))
}

fn without_links(preset: Preset) -> World {
    World::with(preset, |p| p.first_factor.allowed_methods = vec![FirstFactorMethod::Password])
}

/// B12, B13: where policy wants a fresh password at the start, no key leaves the service without one (ruling 7).
#[test]
fn no_key_leaves_without_the_fresh_password() {
    let mut world = without_links(Preset::MandatoryManaged);
    for (first, denied) in unfit(&world) {
        let command = BeginTotp { authority: by(&world, first), ..world.begin_command() };
        assert_eq!(world.begin(&command), Err(denied));
        assert!(world.state.pending.is_empty());
    }
    for first in fit(&world) {
        let command = BeginTotp { authority: by(&world, Some(first)), ..world.begin_command() };
        world.begin(&command).unwrap();
    }
}

/// B12, R23: an enrollment that was begun before the policy was changed is asked at its confirmation for what the new one
/// names, whatever the stage: at its beginning nobody asked.
#[test]
fn what_was_begun_under_another_policy_is_asked_at_confirmation() {
    let mut world = without_links(Preset::PasswordAndCode);
    let start = BeginTotp { authority: by(&world, None), ..world.begin_command() };
    let begun = world.begin(&start).unwrap();
    let phone = Phone::of(&begun);
    world.pass(secs(1));
    world.set_policy(|p| p.enrollment.proof_stage = ProofStage::Begin);
    for (first, denied) in unfit(&world) {
        let command = world.confirm_command(&begun, phone.code(world.now));
        assert_eq!(world.confirm(&Confirm { authority: by(&world, first), ..command }), Err(denied));
        assert!(!world.state.is_on());
    }
    let command = world.confirm_command(&begun, phone.code(world.now));
    world.confirm(&Confirm { authority: by(&world, Some(password(world.now))), ..command }).unwrap();
    assert!(world.state.is_on());
}

/// B12, R23: so it is where the new policy asks for a proof that the old one did not name, and one begun under the new
/// policy is asked once.
#[test]
fn a_proof_that_was_named_meanwhile_is_asked_at_confirmation() {
    let (mut world, active) = World::on_with(Preset::SelfServicePassword, |p| {
        p.disable.required_proofs.clear();
    });
    let (begun, phone) = world.begun();
    world.pass(STEP);
    world.set_policy(|p| p.disable.required_proofs = vec![SECOND]);
    let command = world.confirm_command(&begun, phone.code(world.now));
    assert_eq!(world.confirm(&command), Err(lacks(&[SECOND], "existing_proof")));
    assert_eq!(world.state.authenticators.len(), 1);
    let existing_code = Some(active.code(world.now));
    world.clone().confirm(&Confirm { existing_code: existing_code.clone(), ..command }).unwrap();

    let start = BeginTotp { code: existing_code, ..world.begin_command() };
    let begun = world.begin(&start).unwrap();
    let phone = Phone::of(&begun);
    world.confirm(&world.confirm_command(&begun, phone.code(world.now))).unwrap();
    assert_eq!(world.state.authenticators.len(), 2);
}

/// B12: under `BEGIN` the password is not asked again with the code.
#[test]
fn a_password_at_the_start_is_not_asked_again() {
    let mut world = without_links(Preset::MandatoryManaged);
    let (begun, phone) = world.begun();
    let command = world.confirm_command(&begun, phone.code(world.now));
    world.confirm(&Confirm { authority: by(&world, None), ..command }).unwrap();
}

/// B12, ruling 7: where policy wants the fresh password with the code, a missing or stale one switches nothing on and
/// costs neither a try nor the code, right or wrong.
#[test]
fn a_stale_password_costs_neither_a_try_nor_the_code() {
    let mut world = without_links(Preset::PasswordAndCode);
    let start = BeginTotp { authority: by(&world, None), ..world.begin_command() };
    let begun = world.begin(&start).unwrap();
    let phone = Phone::of(&begun);
    let (right, wrong) = (phone.code(world.now), world.wrong());
    for (first, denied) in unfit(&world) {
        for code in [&right, &wrong] {
            let command = world.confirm_command(&begun, code.clone());
            let command = Confirm { authority: by(&world, first.clone()), ..command };
            assert_eq!(world.confirm(&command), Err(denied.clone()));
            assert_eq!((world.state.is_on(), world.state.pending[0].tries_left), (false, 10));
        }
    }
    for first in fit(&world) {
        let command = world.confirm_command(&begun, right.clone());
        world.clone().confirm(&Confirm { authority: by(&world, Some(first)), ..command }).unwrap();
    }
}

/// B12: the right password does not help a wrong code.
#[test]
fn a_fresh_password_does_not_help_a_wrong_code() {
    let mut world = World::new(Preset::PasswordAndCode);
    let (begun, _) = world.begun();
    let wrong = world.wrong();
    let denied = world.confirm(&world.confirm_command(&begun, wrong));
    let incorrect = Denial::ConfirmationIncorrect {
        field: "proof.code",
        attempts_remaining: 9,
        clock_offset_seconds: None,
    };
    assert_eq!(denied, Err(incorrect));
    assert!(!world.state.is_on());
}

/// Presets that ask for no proof take an enrollment from a session whose password is long ago.
#[test]
fn presets_without_proofs_ask_for_none() {
    for preset in [Preset::SelfServiceCode, Preset::SelfServicePassword, Preset::AdminPermissions] {
        let mut world = World::new(preset);
        let start = BeginTotp { authority: by(&world, None), ..world.begin_command() };
        let begun = world.begin(&start).unwrap();
        let phone = Phone::of(&begun);
        let command = world.confirm_command(&begun, phone.code(world.now));
        world.confirm(&Confirm { authority: by(&world, None), ..command }).unwrap();
        assert!(world.state.is_on(), "{}", preset.id());
    }
}

/// R23: adding to an active second factor asks for what policy names for enrolling, or else for what switching off
/// needs.
#[test]
fn adding_another_needs_what_switching_off_needs_where_nothing_is_named() {
    for (enroll, disable, needed) in [
        (vec![], vec![SECOND], Some(vec![SECOND])),
        (vec![], vec![FIRST], Some(vec![FIRST])),
        (vec![], vec![FIRST, SECOND], Some(vec![FIRST, SECOND])),
        (vec![FIRST], vec![SECOND], Some(vec![FIRST])),
        (vec![], vec![], None),
    ] {
        for stage in [ProofStage::Begin, ProofStage::Confirm] {
            let (mut world, _) = World::on_with(Preset::SelfServicePassword, |p| {
                p.enrollment.required_proofs.clone_from(&enroll);
                p.enrollment.proof_stage = stage;
                p.disable.required_proofs.clone_from(&disable);
            });
            let case = format!("{enroll:?} {disable:?} {stage:?}");
            let start = BeginTotp { authority: by(&world, None), ..world.begin_command() };
            let field = if stage == ProofStage::Begin { "proof" } else { "existing_proof" };
            let missing = needed.as_ref().map(|kinds| lacks(kinds, field));
            let refused = if stage == ProofStage::Begin {
                world.begin(&start).err()
            } else {
                let begun = world.begin(&start).unwrap();
                let phone = Phone::of(&begun);
                let command = world.confirm_command(&begun, phone.code(world.now));
                world.confirm(&Confirm { authority: by(&world, None), ..command }).err()
            };
            // At confirmation the first factor is looked at before anything else.
            let first_alone = Some(lacks(&[FIRST], field));
            let both = needed.as_ref().is_some_and(|needed| needed.len() == 2);
            if both && stage == ProofStage::Confirm {
                assert_eq!(refused, first_alone, "{case}");
            } else {
                assert_eq!(refused, missing, "{case}");
            }
        }
    }
}

/// R12, R23: the code that adding needs is charged when wrong and consumed when right, at either stage.
#[test]
fn the_existing_code_is_charged_and_consumed() {
    for stage in [ProofStage::Begin, ProofStage::Confirm] {
        let (mut world, active) = World::on_with(Preset::SelfServicePassword, |p| {
            p.enrollment.proof_stage = stage;
            p.disable.required_proofs = vec![SECOND];
        });
        let (wrong, right) = (world.wrong(), active.code(world.now));
        let present = |world: &mut World, code: &_| {
            let at_begin = stage == ProofStage::Begin;
            let start = BeginTotp { code: at_begin.then_some(code).cloned(), ..world.begin_command() };
            let begun = world.begin(&start)?;
            let phone = Phone::of(&begun);
            let existing_code = (!at_begin).then_some(code).cloned();
            let command = world.confirm_command(&begun, phone.code(world.now));
            world.confirm(&Confirm { existing_code, ..command })
        };
        let at_begin = stage == ProofStage::Begin;
        let field = if at_begin { "proof.code" } else { "existing_proof.code" };
        let incorrect = Err(Denial::ProofIncorrect { field });
        assert_eq!(present(&mut world, &wrong), incorrect, "{stage:?}");
        assert_eq!((world.state.failures.consecutive, world.state.authenticators.len()), (1, 1), "{stage:?}");
        present(&mut world, &right).unwrap();
        assert_eq!((world.state.failures.consecutive, world.state.authenticators.len()), (0, 2), "{stage:?}");
        assert_eq!(present(&mut world, &right), incorrect, "B32: {stage:?}");
        world.pass(STEP);
        let next = active.code(world.now);
        present(&mut world, &next).unwrap();
    }
}

/// B27, R34: a recovery code serves where a code is needed to add; it raises the epoch and the enrollment goes on.
#[test]
fn a_recovery_code_serves_to_add_another() {
    for stage in [ProofStage::Begin, ProofStage::Confirm] {
        let mut world = World::with(Preset::SelfServicePassword, |p| {
            p.enrollment.proof_stage = stage;
            p.disable.required_proofs = vec![SECOND];
        });
        let (_, codes) = world.enroll_with_codes();
        let code = countersign_domain::presented::PresentedProof::Recovery(codes.unwrap().codes[3].clone());
        let epoch = world.state.epoch;
        let at_begin = stage == ProofStage::Begin;
        let start = BeginTotp { code: at_begin.then(|| code.clone()), ..world.begin_command() };
        let begun = world.begin(&start).unwrap();
        let phone = Phone::of(&begun);
        let existing_code = (!at_begin).then_some(code);
        let command = world.confirm_command(&begun, phone.code(world.now));
        world.confirm(&Confirm { existing_code, ..command }).unwrap();
        assert_eq!((world.state.authenticators.len(), world.state.epoch), (2, epoch.next()), "{stage:?}");
        assert_eq!(world.state.recovery_codes_remaining(), 9);
    }
}

/// R23, R39: a remembered client is no proof, because nothing but the two proofs has a place in the command; a code
/// that is not required is not looked at.
#[test]
fn a_code_that_is_not_required_is_not_consumed() {
    let (mut world, active) = World::on(Preset::MandatoryManaged);
    let code = active.code(world.now);
    let start = BeginTotp { code: Some(code.clone()), ..world.begin_command() };
    world.begin(&start).unwrap();
    world.log_in(code);
}
