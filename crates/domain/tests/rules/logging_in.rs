//! Logging in: what first factors count for, which codes are accepted, what the verdict says.

use crate::common::{
    DAY, MINUTE, Phone, STEP, World, client, federated, in_groups, password, secs, typed, user_ref,
};
use countersign_domain::denial::Denial;
use countersign_domain::enrollment::BeginTotp;
use countersign_domain::event::EventType;
use countersign_domain::ids::{AuthenticatorId, ResetRequestId};
use countersign_domain::login::{Assurance, CheckLogin, RefusedReason, Verdict};
use countersign_domain::otp::{Step, TotpKey, TotpParameters, Window};
use countersign_domain::policy::{AuthenticatorType, FirstFactorMethod, Preset};
use countersign_domain::presented::PresentedProof;
use countersign_domain::user::{
    ChallengePurpose, Credential, DirectoryEntry, FirstFactor, ResetRequest, Standing,
};

const REFUSED: Verdict = Verdict::Refused(RefusedReason::CodeNotAccepted);

/// A user with two apps, so that one may be disabled while the other serves.
fn on_with_two() -> (World, Phone, Phone) {
    let (mut world, first) = World::on(Preset::SelfServicePassword);
    let second = world.enroll();
    (world, first, second)
}

/// The assurance of a login, or what it was instead.
fn check(world: &World, command: &CheckLogin) -> Result<Assurance, String> {
    match world.clone().check(command) {
        Ok(Verdict::Allowed(allowed)) => Ok(allowed.ground.assurance()),
        Ok(Verdict::ChallengeRequired(_)) => Err("challenged".to_owned()),
        other => Err(format!("{other:?}")),
    }
}

/// B18, ruling 7: without a first factor of an accepted kind and age there is no verdict and nothing is touched, with
/// or without a second factor, with or without the right code; for a step-up of a running session as for a login.
#[test]
fn a_login_needs_its_first_factor() {
    let change = |p: &mut countersign_domain::policy::PolicyDocument| {
        p.first_factor.allowed_methods = vec![FirstFactorMethod::Password];
    };
    let (on, phone) = World::on_with(Preset::SelfServiceCode, change);
    let mut off = World::with(Preset::SelfServiceCode, change);
    off.now = on.now;
    let max_age = on.policy.first_factor.max_age;
    let passkey = FirstFactor { method: FirstFactorMethod::Passkey, ..password(on.now) };
    for (first_factor, denied) in [
        (None, crate::common::lacks(&[crate::common::FIRST], "")),
        (Some(on.stale()), Denial::FirstFactorStale { max_age }),
        (Some(password(on.now.plus(secs(61)))), Denial::FirstFactorTimeInvalid),
        (Some(passkey), Denial::FirstFactorNotAllowed { method: FirstFactorMethod::Passkey }),
    ] {
        for mut world in [on.clone(), off.clone()] {
            for answer in [None, Some(phone.code(world.now))] {
                let before = world.state.clone();
                for purpose in [ChallengePurpose::Login, ChallengePurpose::StepUp] {
                    let (first_factor, answer) = (first_factor.clone(), answer.clone());
                    let command = CheckLogin { first_factor, answer, purpose, ..world.login() };
                    assert_eq!(world.check(&command), Err(denied.clone()), "{purpose:?}");
                    assert_eq!(world.state, before, "{purpose:?}");
                }
            }
        }
    }
    for fit in [password(on.now.minus(max_age)), password(on.now.plus(secs(60)))] {
        let command = CheckLogin { first_factor: Some(fit), ..on.login_with(phone.code(on.now)) };
        assert_eq!(check(&on, &command), Ok(Assurance::Verified));
    }
}

/// B18: a federated login never skips the second factor, unless policy trusts that provider's own.
#[test]
fn a_federated_login_skips_nothing_unless_trusted() {
    let (mut world, _) = World::on(Preset::SelfServiceCode);
    let now = world.now;
    let passwords_mfa = FirstFactor { amr: vec!["mfa".to_owned()], ..password(now) };
    let challenged = || Err("challenged".to_owned());
    for (trust, first, expected) in [
        (false, federated(now, &["pwd", "mfa"]), challenged()),
        (true, federated(now, &["pwd", "mfa"]), Ok(Assurance::FederatedMfa)),
        (true, federated(now, &["pwd"]), challenged()),
        (true, federated(now, &[]), challenged()),
        (true, passwords_mfa, challenged()),
    ] {
        world.set_policy(|p| p.first_factor.trust_federated_mfa = trust);
        let command = CheckLogin { first_factor: Some(first.clone()), ..world.login() };
        assert_eq!(check(&world, &command), expected, "{trust} {first:?}");
        let step_up = CheckLogin { purpose: ChallengePurpose::StepUp, ..command };
        assert_eq!(check(&world, &step_up), challenged(), "a step-up is asked in any case");
    }
}

/// B18: whatever the first factor was, the second is asked.
#[test]
fn every_kind_of_first_factor_is_asked_for_the_second() {
    let (world, _) = World::on(Preset::SelfServiceCode);
    for method in [
        FirstFactorMethod::Password,
        FirstFactorMethod::Federated,
        FirstFactorMethod::EmailLink,
        FirstFactorMethod::Passkey,
    ] {
        let first_factor = Some(FirstFactor { method, ..password(world.now) });
        let command = CheckLogin { first_factor, ..world.login() };
        assert_eq!(check(&world, &command), Err("challenged".to_owned()), "{method:?}");
    }
}

/// B15, B16: once switched on, the next login asks, whatever application it is for.
#[test]
fn every_application_asks() {
    let mut world = World::new(Preset::SelfServiceCode);
    assert_eq!(check(&world, &world.login()), Ok(Assurance::NotRequired));
    world.enroll();
    for application in ["web", "shop", ""] {
        let command = CheckLogin { client: client(application), ..world.login() };
        assert_eq!(check(&world, &command), Err("challenged".to_owned()), "{application}");
    }
}

/// B19, and one round trip: the form carried the right code, and the verdict says by what and when.
#[test]
fn a_right_code_is_verified_in_one_round_trip() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    let id = world.id_of(&phone);
    let allowed = world.log_in(phone.code(world.now));
    assert_eq!(allowed.ground.assurance(), Assurance::Verified);
    let app = AuthenticatorType::Totp;
    assert_eq!(
        (allowed.ground.authenticator(), allowed.ground.verify_time()),
        (Some((id, app)), Some(world.now))
    );
    assert_eq!(allowed.recovery_codes_remaining, Some(10));
    assert_eq!((allowed.ground.remembered_client(), allowed.ground.reissued_codes()), (None, None));
    assert_eq!((allowed.ground.recommends_enrollment(), allowed.ground.due_time()), (false, None));
    assert_eq!((world.kinds(), world.told), (vec![EventType::LoginAllowed], None));
    assert_eq!(world.state.authenticator(id).unwrap().last_use_time, Some(world.now));
    assert!(world.state.challenges.is_empty());
}

/// B8, B21, R7, ruling 1: at login the window is the policy's; what has rotated out twice is refused.
#[test]
fn a_rotated_out_code_is_refused() {
    for (window, accepted) in [
        (Window::default(), [false, true, true, true, false]),
        (Window::new(1, 0).unwrap(), [false, true, true, false, false]),
        (Window::new(0, 1).unwrap(), [false, false, true, true, false]),
    ] {
        let (mut world, phone) = World::on_with(Preset::SelfServiceCode, |p| p.totp.window = window);
        // Far from the step that the confirmation consumed.
        world.pass(10 * MINUTE);
        let results = [-2, -1, 0, 1, 2]
            .map(|steps| check(&world, &world.login_with(phone.code_off(world.now, steps))).is_ok());
        assert_eq!(results, accepted, "{window:?}");
    }
}

/// B21, R4, R5, R16: a code serves once, at every door; then it is a replay, which is not charged, and with it
/// everything older.
#[test]
fn a_used_code_is_refused_and_not_charged() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    world.pass(10 * MINUTE);
    world.log_in(phone.code_off(world.now, 0));
    for steps in [0, -1] {
        for _ in 0..5 {
            let code = phone.code_off(world.now, steps);
            assert_eq!(world.check(&world.login_with(code.clone())), Ok(REFUSED));
            assert_eq!(world.detail("finding"), Some("replayed"), "{steps}");
            let proofs = world.proofs(Some(code));
            assert!(world.disable(&proofs).is_err());
        }
    }
    assert_eq!(world.state.failures, countersign_domain::user::Failures::default());
    assert_eq!(check(&world, &world.login_with(phone.code_off(world.now, 1))), Ok(Assurance::Verified));
}

/// R4: where two adjacent steps show the same code, the highest is consumed, so that it cannot be used a second time.
#[test]
fn the_highest_matching_step_is_consumed() {
    // Steps 62075368 and 62075369 of this key both show 235522 (`otp-vectors.json`).
    let key = TotpKey::new(b"12345678901234567890".to_vec()).unwrap();
    let (mut world, _) = World::on(Preset::SelfServiceCode);
    let Credential::Totp(totp) = &mut world.state.authenticators[0].credential else { panic!("an app") };
    totp.key = key.clone();
    world.now = countersign_domain::time::Timestamp::from_unix_seconds(62_075_368 * 30);
    let phone = Phone { key, parameters: TotpParameters::default() };
    assert_eq!(phone.code(world.now), typed("235522"));
    world.log_in(typed("235522"));
    let totp = world.state.authenticators[0].credential.totp().unwrap();
    assert_eq!(totp.last_step, Step::new(62_075_369));
    for later in [secs(0), STEP, STEP] {
        world.pass(later);
        assert_eq!(world.check(&world.login_with(typed("235522"))), Ok(REFUSED));
        assert_eq!(world.detail("finding"), Some("replayed"));
    }
}

/// B22: one field takes the code of any app of the user, or a recovery code; the verdict says which it was.
#[test]
fn one_field_takes_every_kind_of_code() {
    let mut world = World::new(Preset::SelfServicePassword);
    let (first, codes) = world.enroll_with_codes();
    let second = world.enroll();
    for phone in [first, second] {
        let allowed = world.log_in(phone.code(world.now));
        assert_eq!(allowed.ground.authenticator(), Some((world.id_of(&phone), AuthenticatorType::Totp)));
    }
    let allowed = world.log_in(PresentedProof::Recovery(codes.unwrap().codes[0].clone()));
    assert_eq!((allowed.ground.assurance(), allowed.ground.authenticator()), (Assurance::Recovered, None));
}

/// B25: another user's or another tenant's code never works, app or recovery.
#[test]
fn a_foreign_code_never_works() {
    for (tenant, user) in [("acme", "bob"), ("globex", "ann")] {
        let mut world = World::new(Preset::SelfServiceCode);
        let (_, own_codes) = world.enroll_with_codes();
        let mut other = world.neighbour(user_ref(tenant, user));
        let (phone, codes) = other.enroll_with_codes();
        world.now = other.now;
        assert_eq!(world.check(&world.login_with(phone.code(world.now))), Ok(REFUSED), "{tenant} {user}");
        let foreign = PresentedProof::Recovery(codes.unwrap().codes[0].clone());
        assert_eq!(world.check(&world.login_with(foreign)), Ok(REFUSED), "{tenant} {user}");
        // R28: nor where the digests themselves were copied over.
        other.state.recovery = world.state.recovery.clone();
        let planted = PresentedProof::Recovery(own_codes.unwrap().codes[0].clone());
        assert_eq!(other.check(&other.login_with(planted)), Ok(REFUSED), "{tenant} {user}");
    }
}

/// Ruling 2: an answer from a user without a second factor is ignored: the verdict is the same as without it.
#[test]
fn an_answer_without_a_factor_is_ignored() {
    let (_, phone) = World::on(Preset::SelfServiceCode);
    for preset in Preset::ALL {
        let world = World::new(preset);
        let fresh = world.clone().fresh_login();
        let decide = |answer: Option<PresentedProof>| {
            let command = CheckLogin { answer, ..world.login() };
            countersign_domain::login::check(&world.state, &world.ctx(), &command, &fresh)
        };
        let without = decide(None);
        for answer in [phone.code(world.now), typed("123456"), typed("00000-00000-00000-00000-00000")] {
            assert_eq!(decide(Some(answer)), without, "{}", preset.id());
        }
    }
}

/// R8: a wrong, rotated-out, replayed, foreign, pending's or disabled one's code gets one and the same verdict; what
/// really happened is in the event alone.
#[test]
fn refusals_look_alike() {
    let (mut world, active, disabled) = on_with_two();
    let id = world.id_of(&disabled);
    for own in world.state.authenticators.iter_mut().filter(|own| own.id == id) {
        own.standing = Standing::Disabled { since: world.now };
    }
    let begun = world.begin(&BeginTotp { replaces: Some(id), ..world.begin_command() }).unwrap();
    let pending = Phone::of(&begun);
    let used = active.code(world.now);
    world.log_in(used.clone());
    let foreign = world.neighbour(user_ref("acme", "bob")).enroll();
    let wrong = world.wrong();
    for (code, finding) in [
        (wrong, "wrong"),
        (active.code_off(world.now, -3), "wrong"),
        (foreign.code(world.now), "wrong"),
        (used, "replayed"),
        (pending.code(world.now), "pending"),
        (disabled.code(world.now), "disabled"),
        (typed("00000-00000-00000-00000-00000"), "recovery_code_unknown"),
    ] {
        let mut at_check = world.clone();
        assert_eq!(at_check.check(&world.login_with(code.clone())), Ok(REFUSED), "{finding}");
        assert_eq!(
            (at_check.kinds()[0], at_check.detail("finding")),
            (EventType::LoginRefused, Some(finding))
        );
        assert_eq!(at_check.told, None, "{finding}");
        let mut at_answer = world.clone();
        let offer = at_answer.challenged();
        assert_eq!(at_answer.answer(&offer.challenge, code), Ok(REFUSED), "{finding}");
    }
}

/// B20: the challenge lists the ways open to this user, by name; disabled apps and used-up codes are none.
#[test]
fn the_challenge_lists_the_ways_that_are_open() {
    let (mut world, first, second) = on_with_two();
    let ids = [world.id_of(&first), world.id_of(&second)];
    let listed = |world: &World| -> Vec<Option<AuthenticatorId>> {
        let methods = world.clone().challenged().methods;
        for method in &methods {
            assert!(method.authenticator().is_none_or(|named| {
                world.state.authenticator(named.id).unwrap().display_name.as_str() == named.display_name
            }));
        }
        methods.iter().map(|method| method.authenticator().map(|named| named.id)).collect()
    };
    assert_eq!(listed(&world), [Some(ids[0]), Some(ids[1]), None]);
    world.state.authenticators[0].standing = Standing::Disabled { since: world.now };
    assert_eq!(listed(&world), [Some(ids[1]), None]);
    for code in &mut world.state.recovery.as_mut().unwrap().codes {
        code.used_time = Some(world.now);
    }
    assert_eq!(listed(&world), [Some(ids[1])]);
}

/// Ruling 14: the amr is the first factor's, and a verified second factor adds its method and `mfa`, each once.
#[test]
fn the_amr_names_both_factors() {
    let mut world = World::new(Preset::SelfServiceCode);
    let (phone, codes) = world.enroll_with_codes();
    let recovery = PresentedProof::Recovery(codes.unwrap().codes[0].clone());
    let by = |method| FirstFactor { method, ..password(world.now) };
    for (first, expected) in [
        (by(FirstFactorMethod::Password), vec!["pwd", "otp", "mfa"]),
        (by(FirstFactorMethod::Passkey), vec!["pop", "otp", "mfa"]),
        (by(FirstFactorMethod::EmailLink), vec!["otp", "mfa"]),
        (federated(world.now, &["face", "geo"]), vec!["face", "geo", "otp", "mfa"]),
        (federated(world.now, &["otp", "mfa"]), vec!["otp", "mfa"]),
    ] {
        for code in [phone.code(world.now), recovery.clone()] {
            let command = CheckLogin { first_factor: Some(first.clone()), ..world.login_with(code) };
            let Ok(Verdict::Allowed(allowed)) = world.clone().check(&command) else { panic!("{first:?}") };
            assert_eq!(allowed.amr, expected, "{first:?}");
        }
    }
}

/// B18, ruling 14: a provider's word that it asked for two factors is passed on only where the policy trusts it, so that
/// nobody who looks for `mfa` in a verdict is misled.
#[test]
fn an_untrusted_provider_says_nothing_of_mfa() {
    for (trusted, expected) in [(false, vec!["pwd"]), (true, vec!["pwd", "mfa"])] {
        let mut world = World::new(Preset::SelfServiceCode);
        world.set_policy(|p| p.first_factor.trust_federated_mfa = trusted);
        let first_factor = Some(federated(world.now, &["pwd", "mfa"]));
        let command = CheckLogin { first_factor, ..world.login() };
        let Ok(Verdict::Allowed(allowed)) = world.check(&command) else { panic!("{:?}", world.events) };
        assert_eq!(allowed.amr, expected);
    }
}

/// B17: a user without a second factor is recommended one in the verdict and in the status, and one with it is not.
#[test]
fn a_second_factor_is_recommended() {
    let mut world = World::new(Preset::SelfServiceCode);
    let Ok(Verdict::Allowed(allowed)) = world.check(&world.login()) else { panic!("{:?}", world.events) };
    assert_eq!((allowed.ground.recommends_enrollment(), world.status().recommended), (true, true));
    let phone = world.enroll();
    let allowed = world.log_in(phone.code(world.now));
    assert_eq!((allowed.ground.recommends_enrollment(), world.status().recommended), (false, false));
    // Outside of the required groups and in the grace period too.
    let mut world = World::with(Preset::MandatoryManaged, |p| {
        p.requirement.groups = vec!["staff".to_owned()];
        p.requirement.grace_period = DAY;
    });
    for groups in [&["guests"][..], &["staff"][..]] {
        world.state.directory = Some(in_groups(groups));
        let Ok(Verdict::Allowed(allowed)) = world.check(&world.login()) else { panic!("{groups:?}") };
        assert_eq!(
            (allowed.ground.recommends_enrollment(), world.status().recommended),
            (true, true),
            "{groups:?}"
        );
    }
}

/// An account that the directory has disabled may not log in, at either call; its right code is not consumed.
#[test]
fn a_disabled_account_may_not_log_in() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    let offer = world.challenged();
    let code = phone.code(world.now);
    world.state.directory = Some(DirectoryEntry { disabled: true, ..DirectoryEntry::default() });
    let refused = Ok(Verdict::Refused(RefusedReason::UserDisabled));
    assert_eq!(world.check(&world.login()), refused);
    assert_eq!(world.check(&world.login_with(code.clone())), refused);
    assert_eq!(world.answer(&offer.challenge, code.clone()), refused);
    assert_eq!(world.kinds(), [EventType::LoginRefused]);
    let mut without = World::new(Preset::SelfServiceCode);
    without.state.directory.clone_from(&world.state.directory);
    assert_eq!(without.check(&without.login()), refused);
    world.state.directory = Some(DirectoryEntry::default());
    world.log_in(code);
}

/// B42, ruling 15: the owner's next verified login closes their request for a reset; a refused one does not, nor does one by a
/// recovery code, which is what is left to who has lost the phone. It closes by itself after seven days.
#[test]
fn a_verified_login_closes_the_request_for_help() {
    let mut world = World::new(Preset::MandatoryManaged);
    let (phone, codes) = world.enroll_with_codes();
    let id = ResetRequestId::from_uuid(world.draw_id());
    let request = ResetRequest { id, reason: "lost phone".to_owned(), create_time: world.now };
    world.state.reset_request = Some(request.clone());
    let wrong = world.wrong();
    assert_eq!(world.check(&world.login_with(wrong)), Ok(REFUSED));
    let recovered = world.log_in(PresentedProof::Recovery(codes.unwrap().codes[0].clone()));
    assert_eq!(recovered.ground.assurance(), Assurance::Recovered);
    assert_eq!(world.state.reset_request, Some(request));
    let mut waiting = world.clone();
    world.log_in(phone.code(world.now));
    assert_eq!(world.state.reset_request, None);
    waiting.pass(secs(7 * 86_400 - 1));
    assert!(waiting.status().user.reset_request.is_some());
    waiting.pass(secs(1));
    assert!(waiting.status().user.reset_request.is_none());
}
