//! Switching off, removing, renaming: what it needs per preset, what dies, what mandatory mode forbids.

use crate::common::{
    DAY, FIRST, MINUTE, Phone, SECOND, STEP, World, client, in_groups, lacks, name, password, secs,
};
use countersign_domain::authenticators;
use countersign_domain::denial::Denial;
use countersign_domain::event::EventType;
use countersign_domain::ids::AuthenticatorId;
use countersign_domain::login::{Assurance, CheckLogin, RefusedReason, Verdict};
use countersign_domain::policy::{AuthenticatorType, PolicyDocument, Preset, ProofKind, RequirementMode};
use countersign_domain::proof::Proofs;
use countersign_domain::status::TwoFactorState;
use countersign_domain::user::Standing;
use countersign_testkit::{SeededRandom, fixtures};

const REFUSED: Verdict = Verdict::Refused(RefusedReason::CodeNotAccepted);

fn missing(kinds: &[ProofKind]) -> Denial {
    lacks(kinds, "proof")
}

/// B31, B27: what switching off needs is the preset's: a code, a fresh password, both, nothing more, or it is not
/// possible. Asking without the proof changes nothing.
#[test]
fn what_switching_off_needs_is_policy() {
    let incorrect = || Err(Denial::ProofIncorrect { field: "proof.code" });
    let stale = || Err(Denial::FirstFactorStale { max_age: 10 * MINUTE });
    let mandatory = || Err(Denial::TwoFactorMandatory);
    // Columns: nothing, password alone, code alone, both, both with a wrong code, both with a stale password.
    let table: [(Preset, [Result<(), Denial>; 6]); 5] = [
        (
            Preset::SelfServiceCode,
            [Err(missing(&[SECOND])), Err(missing(&[SECOND])), Ok(()), Ok(()), incorrect(), Ok(())],
        ),
        (
            Preset::SelfServicePassword,
            [Err(missing(&[FIRST])), Ok(()), Err(missing(&[FIRST])), Ok(()), Ok(()), stale()],
        ),
        (
            Preset::MandatoryManaged,
            [mandatory(), mandatory(), mandatory(), mandatory(), mandatory(), mandatory()],
        ),
        (Preset::AdminPermissions, [Ok(()), Ok(()), Ok(()), Ok(()), Ok(()), Ok(())]),
        (
            Preset::PasswordAndCode,
            [
                Err(missing(&[FIRST, SECOND])),
                Err(missing(&[SECOND])),
                Err(missing(&[FIRST])),
                Ok(()),
                incorrect(),
                stale(),
            ],
        ),
    ];
    for (preset, expected) in table {
        let (mut world, phone) = World::on(preset);
        let (fresh, right) = (Some(password(world.now)), Some(phone.code(world.now)));
        let given = [
            (None, None),
            (fresh.clone(), None),
            (None, right.clone()),
            (fresh.clone(), right.clone()),
            (fresh, Some(world.wrong())),
            (Some(world.stale()), right),
        ];
        for (column, ((first_factor, code), expected)) in given.into_iter().zip(expected).enumerate() {
            let proofs = Proofs { first_factor, code };
            let mut world = world.clone();
            let before = world.state.clone();
            let case = format!("{} {column}", preset.id());
            assert_eq!(world.disable(&proofs).map(|_| ()), expected, "{case}");
            assert_eq!(world.state.is_on(), expected.is_err(), "{case}");
            match expected {
                Err(Denial::ProofIncorrect { .. }) => {
                    assert_eq!(world.state.failures.consecutive, 1, "{case}");
                }
                Err(_) => assert_eq!(world.state, before, "{case}"),
                Ok(()) => assert_eq!(world.told, Some(EventType::TwoFactorDisabled), "{case}"),
            }
        }
    }
}

/// B31: policy may take switching off from users altogether, without a requirement.
#[test]
fn switching_off_may_be_impossible() {
    let (mut world, phone) = World::on_with(Preset::SelfServiceCode, |p| p.disable.self_service = false);
    let proofs = world.proofs(Some(phone.code(world.now)));
    assert_eq!(
        world.disable(&proofs),
        Err(Denial::ActionNotAllowed { policy_field: "disable.self_service" })
    );
    let id = world.state.authenticators[0].id;
    assert_eq!(
        world.remove(id, &proofs),
        Err(Denial::ActionNotAllowed { policy_field: "disable.self_service" })
    );
    world.log_in(phone.code(world.now));
}

/// B32: a code serves one call only, whichever the second one is.
#[test]
fn a_proof_serves_one_call_only() {
    let incorrect = Denial::ProofIncorrect { field: "proof.code" };
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    let code = phone.code(world.now);
    let proofs = world.proofs(Some(code.clone()));
    world.generate(&proofs).unwrap();
    assert_eq!(world.disable(&proofs), Err(incorrect.clone()));
    assert_eq!(world.generate(&proofs), Err(incorrect.clone()));
    assert_eq!(world.check(&world.login_with(code.clone())), Ok(REFUSED));
    world.pass(STEP);
    let code = phone.code(world.now);
    world.log_in(code.clone());
    let proofs = world.proofs(Some(code));
    assert_eq!(world.disable(&proofs), Err(incorrect));
    assert_eq!(world.state.failures.consecutive, 0, "R16: replays are free");
}

/// B33, B34, R36: after switching off logins are not asked, everything old is dead, and enrolling again starts from a
/// fresh key.
#[test]
fn switching_off_leaves_nothing_behind() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    let (epoch, offer) = (world.state.epoch, world.challenged());
    let proofs = world.proofs(Some(phone.code(world.now)));
    world.pass(secs(3));
    world.disable(&proofs).unwrap();
    assert_eq!(world.kinds(), [EventType::TwoFactorDisabled]);
    let left = &world.state;
    assert!(left.authenticators.is_empty() && left.recovery.is_none() && left.clients.is_empty());
    assert_eq!((left.epoch, left.state_since), (epoch.next(), Some(world.now)));
    assert_eq!(world.status().state, TwoFactorState::Off);
    world.pass(STEP);
    let old = phone.code(world.now);
    assert_eq!(world.answer(&offer.challenge, old.clone()), Err(Denial::ChallengeInvalid));
    let Ok(Verdict::Allowed(allowed)) = world.check(&world.login_with(old)) else {
        panic!("{:?}", world.events)
    };
    assert_eq!(allowed.ground.assurance(), Assurance::NotRequired);

    let renewed = world.enroll();
    assert_ne!(renewed.key, phone.key);
    assert_eq!(world.check(&world.login_with(phone.code(world.now))), Ok(REFUSED));
    world.log_in(renewed.code(world.now));
}

/// B33: who has no second factor has none to switch off, whatever is pending.
#[test]
fn there_must_be_something_to_switch_off() {
    for preset in Preset::ALL {
        let mut world = World::new(preset);
        let (_, pending) = world.begun();
        let proofs = world.proofs(Some(pending.code(world.now)));
        assert_eq!(world.disable(&proofs), Err(Denial::TwoFactorNotEnabled), "{}", preset.id());
        assert_eq!(world.state.pending.len(), 1, "{}", preset.id());
    }
}

/// Ruling 6: looking ahead evaluates no proof, charges and consumes nothing, and answers what would happen.
#[test]
fn looking_ahead_touches_nothing() {
    let (world, _) = World::on(Preset::PasswordAndCode);
    let preview = authenticators::preview_disable(&world.state, &world.ctx());
    assert_eq!(preview.outcome, Ok(vec![AuthenticatorType::Totp]), "B34");
    assert!(!preview.effect.own.next.is_on());
    for (preset, expected) in [
        (Preset::MandatoryManaged, Denial::TwoFactorMandatory),
        (Preset::SelfServiceCode, Denial::TwoFactorNotEnabled),
    ] {
        let mut world = World::new(preset);
        if preset == Preset::MandatoryManaged {
            world.enroll();
        }
        let preview = authenticators::preview_disable(&world.state, &world.ctx());
        assert_eq!((preview.outcome, preview.effect.own.next), (Err(expected), world.state.clone()));
    }
}

/// A user with two apps, one code of each that is not consumed, and what removing needs.
fn on_with_two(preset: Preset, change: impl FnOnce(&mut PolicyDocument)) -> (World, Phone, Phone) {
    let (mut world, first) = World::on_with(preset, |p| {
        p.enrollment.max_authenticators = 5;
        p.enrollment.required_proofs = vec![FIRST];
        change(p);
    });
    let second = world.enroll();
    (world, first, second)
}

/// B31, R23: removing one of several needs what switching off needs; the other goes on serving, everything handed out
/// before is dead (ruling 10) and the owner is told.
#[test]
fn removing_one_of_several_leaves_the_others() {
    let (mut world, first, second) = on_with_two(Preset::MandatoryManaged, |_| ());
    let id = world.id_of(&first);
    let (since, epoch, recovery) = (world.state.state_since, world.state.epoch, world.state.recovery.clone());
    let without = world.proofs(None);
    assert_eq!(world.remove(id, &without), Err(missing(&[SECOND])));
    let offer = world.challenged();
    let proofs = world.proofs(Some(second.code(world.now)));
    world.remove(id, &proofs).unwrap();
    assert_eq!(
        (world.kinds(), world.told),
        (vec![EventType::AuthenticatorRemoved], Some(EventType::AuthenticatorRemoved))
    );
    assert_eq!((world.state.state_since, world.state.epoch), (since, epoch.next()));
    assert_eq!(world.state.recovery, recovery);
    world.pass(STEP);
    assert_eq!(world.answer(&offer.challenge, second.code(world.now)), Err(Denial::ChallengeInvalid));
    assert_eq!(world.check(&world.login_with(first.code(world.now))), Ok(REFUSED), "B34");
    world.log_in(second.code(world.now));
}

/// An authenticator may prove its own removal.
#[test]
fn an_authenticator_may_prove_its_own_removal() {
    let (mut world, first, second) = on_with_two(Preset::MandatoryManaged, |_| ());
    let id = world.id_of(&first);
    let proofs = world.proofs(Some(first.code(world.now)));
    world.remove(id, &proofs).unwrap();
    world.log_in(second.code(world.now));
}

/// B33: removing the only one is switching off, and needs that it is possible.
#[test]
fn removing_the_only_one_is_switching_off() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    let id = world.state.authenticators[0].id;
    let proofs = world.proofs(Some(phone.code(world.now)));
    world.remove(id, &proofs).unwrap();
    assert_eq!(world.kinds(), [EventType::TwoFactorDisabled, EventType::AuthenticatorRemoved]);
    assert_eq!(world.told, Some(EventType::TwoFactorDisabled), "B50: one notice");
    assert!(!world.state.is_on() && world.state.recovery.is_none());
}

/// R37: in mandatory mode the last authenticator cannot be removed, and two removals, one decided after the other,
/// leave one.
#[test]
fn two_removals_leave_one_in_mandatory_mode() {
    let (mut world, first, second) = on_with_two(Preset::MandatoryManaged, |_| ());
    let (first_id, second_id) = (world.id_of(&first), world.id_of(&second));
    let proofs = world.proofs(Some(first.code(world.now)));
    world.remove(first_id, &proofs).unwrap();
    world.pass(STEP);
    let proofs = world.proofs(Some(second.code(world.now)));
    assert_eq!(world.remove(second_id, &proofs), Err(Denial::LastAuthenticator));
    assert_eq!(world.state.authenticators.len(), 1);
    // Nothing was consumed by the denial.
    world.log_in(second.code(world.now));
}

/// R37: a disabled authenticator is no second factor: beside it the last active one stays, while it may go itself.
#[test]
fn a_disabled_one_does_not_count_as_another() {
    let (mut world, first, second) = on_with_two(Preset::MandatoryManaged, |_| ());
    let (first_id, second_id) = (world.id_of(&first), world.id_of(&second));
    world.state.authenticators[0].standing = Standing::Disabled { since: world.now };
    let proofs = world.proofs(Some(second.code(world.now)));
    assert_eq!(world.remove(second_id, &proofs), Err(Denial::LastAuthenticator));
    world.remove(first_id, &proofs).unwrap();
    assert_eq!(world.state.authenticators.len(), 1);
}

/// R37: where none serves, removing one removes that one, also where a second factor is mandatory: nobody is let in by what
/// stays, and nothing that stays is taken away. The last one is the last one all the same.
#[test]
fn where_none_serves_the_others_stay() {
    for (preset, last) in [
        (Preset::MandatoryManaged, Err(Denial::LastAuthenticator)),
        (Preset::AdminPermissions, Ok(vec![AuthenticatorType::Totp])),
    ] {
        let (mut world, first, second) = on_with_two(preset, |p| p.disable.required_proofs = vec![FIRST]);
        let (first_id, second_id) = (world.id_of(&first), world.id_of(&second));
        for own in &mut world.state.authenticators {
            own.standing = Standing::Disabled { since: world.now };
        }
        let recovery = world.state.recovery.clone();
        let proofs = world.proofs(None);
        assert_eq!(world.remove(first_id, &proofs), Ok(vec![AuthenticatorType::Totp]));
        assert_eq!(world.kinds(), [EventType::AuthenticatorRemoved], "{}", preset.id());
        assert_eq!(world.told, Some(EventType::AuthenticatorRemoved));
        assert_eq!((world.state.authenticators.len(), &world.state.recovery), (1, &recovery));
        let proofs = world.proofs(None);
        assert_eq!(world.remove(second_id, &proofs), last, "{}", preset.id());
        assert_eq!(world.state.is_on(), last.is_err());
    }
}

/// R37, R70: nobody brings a copied key back. Where none serves, such a key may go while an app stays that may be unlocked;
/// the app may not go while only such keys stay. Of two such keys each is the last one.
#[test]
fn where_none_serves_a_copied_key_is_none_that_stays() {
    let (key, app) = (AuthenticatorType::SecurityKey, AuthenticatorType::Totp);
    for (preset, is_mandatory) in [(Preset::MandatoryManaged, true), (Preset::AdminPermissions, false)] {
        let (mut world, first, second) = on_with_two(preset, |p| p.disable.required_proofs = vec![FIRST]);
        let (copied, other) = (world.id_of(&first), world.id_of(&second));
        for own in &mut world.state.authenticators {
            own.standing = Standing::Disabled { since: world.now };
        }
        let last = |kinds: [AuthenticatorType; 2]| {
            if is_mandatory { Err(Denial::LastAuthenticator) } else { Ok(kinds.to_vec()) }
        };
        let proofs = world.proofs(None);
        let random = SeededRandom::new(1);
        let [one, another] =
            [(); 2].map(|()| fixtures::security_key_authenticator(&random, "key").credential);
        world.state.authenticators[0].credential = one;
        assert_eq!(world.clone().remove(copied, &proofs), Ok(vec![key]), "{}", preset.id());
        let mut without = world.clone();
        assert_eq!(without.remove(other, &proofs), last([key, app]), "{}", preset.id());
        assert_eq!(without.state.is_on(), is_mandatory);

        world.state.authenticators[1].credential = another;
        for id in [copied, other] {
            assert_eq!(world.clone().remove(id, &proofs), last([key, key]), "{}", preset.id());
        }
    }
}

/// R37, B44: whether it is mandatory is asked at the time of the call, and of the user: before the date and outside of
/// the groups the policy's self service decides.
#[test]
fn mandatory_is_asked_of_user_and_time() {
    let change = |p: &mut PolicyDocument| {
        p.requirement.required_from = Some(crate::common::START.plus(DAY));
        p.requirement.groups = vec!["staff".to_owned()];
    };
    let (world, phone) = World::on_with(Preset::MandatoryManaged, change);
    for (groups, wait, expected) in [
        (&["staff"][..], secs(0), Denial::ActionNotAllowed { policy_field: "disable.self_service" }),
        (&["staff"][..], DAY, Denial::TwoFactorMandatory),
        (&["guests"][..], DAY, Denial::ActionNotAllowed { policy_field: "disable.self_service" }),
        (&[][..], DAY, Denial::ActionNotAllowed { policy_field: "disable.self_service" }),
    ] {
        let mut world = world.clone();
        world.state.directory = Some(in_groups(groups));
        world.pass(wait);
        let proofs = world.proofs(Some(phone.code(world.now)));
        assert_eq!(world.disable(&proofs), Err(expected), "{groups:?} {wait:?}");
    }
}

/// B45, R37: during the grace period too, who has a second factor keeps it.
#[test]
fn grace_is_no_way_off() {
    let (mut world, phone) =
        World::on_with(Preset::MandatoryManaged, |p| p.requirement.grace_period = 30 * DAY);
    let proofs = world.proofs(Some(phone.code(world.now)));
    assert_eq!(world.disable(&proofs), Err(Denial::TwoFactorMandatory));
    let id = world.state.authenticators[0].id;
    assert_eq!(world.remove(id, &proofs), Err(Denial::LastAuthenticator));
}

/// R43: an authenticator that the user does not have is like one that never was, for removing and renaming alike; it
/// costs no code.
#[test]
fn an_unknown_authenticator_is_not_found() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    let unknown = AuthenticatorId::from_uuid(world.draw_id());
    let code = phone.code(world.now);
    let proofs = world.proofs(Some(code.clone()));
    let not_found = Denial::ResourceNotFound { what: "authenticator" };
    assert_eq!(world.remove(unknown, &proofs), Err(not_found.clone()));
    assert_eq!(world.rename(unknown, &name("Phone")), Err(not_found));
    world.log_in(code);
}

/// B14: a name can be changed at any time, without a proof; it stays unique among the user's own.
#[test]
fn names_can_be_changed() {
    let (mut world, first, second) = on_with_two(Preset::MandatoryManaged, |_| ());
    let (first_id, second_id) = (world.id_of(&first), world.id_of(&second));
    let epoch = world.state.epoch;
    world.rename(first_id, &name("Work phone")).unwrap();
    assert_eq!((world.kinds(), world.told), (vec![EventType::AuthenticatorRenamed], None));
    let own = world.state.authenticator(first_id).unwrap();
    assert_eq!((own.display_name.as_str(), own.named), ("Work phone", true));
    assert_eq!(world.rename(second_id, &name("WORK PHONE")), Err(Denial::DisplayNameExists));
    world.rename(first_id, &name("work PHONE")).unwrap();
    world.rename(second_id, &name("Tablet")).unwrap();
    assert_eq!(world.state.epoch, epoch);
    // Keys and steps are untouched.
    world.log_in(first.code(world.now));
    world.log_in(second.code(world.now));
}

/// Policy validation keeps mandatory mode and self service apart, so that the two rules cannot meet.
#[test]
fn mandatory_mode_and_self_service_are_never_together() {
    for preset in Preset::ALL {
        let mut document = crate::common::document(preset);
        document.requirement.mode = RequirementMode::Required;
        document.disable.self_service = true;
        assert!(document.validated().is_err(), "{}", preset.id());
    }
}

/// R23, R39: a remembered client is no proof: with its token alone nothing is switched off.
#[test]
fn a_remembered_client_is_no_proof() {
    let (mut world, phone) = World::on_with(Preset::SelfServiceCode, |p| {
        p.challenge.mode = countersign_domain::policy::ChallengeMode::NewClient;
    });
    let command = CheckLogin {
        remember_client: true,
        client: client("web"),
        ..world.login_with(phone.code(world.now))
    };
    let Ok(Verdict::Allowed(allowed)) = world.check(&command) else { panic!("{:?}", world.events) };
    let token = allowed.ground.remembered_client().map(|client| client.token.clone());
    let remembered = CheckLogin { client_token: token, ..world.login() };
    assert!(matches!(world.check(&remembered), Ok(Verdict::Allowed(_))));
    let proofs = world.proofs(None);
    assert_eq!(world.disable(&proofs), Err(missing(&[SECOND])));
}
