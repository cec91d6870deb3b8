//! Enrolling an authenticator app: who may, how often, which codes confirm, what is switched on.

use crate::common::{FIRST, MINUTE, Phone, SECOND, STEP, World, label, name, secs, session, typed, user_ref};
use countersign_domain::actor::{Actor, Principal};
use countersign_domain::denial::Denial;
use countersign_domain::enrollment::{Authority, BeginTotp, Confirm};
use countersign_domain::event::EventType;
use countersign_domain::ids::{AuthenticatorId, TicketId};
use countersign_domain::login::{Assurance, RefusedReason, Verdict};
use countersign_domain::otp::{Algorithm, Digits, Period, TotpParameters};
use countersign_domain::policy::{AuthenticatorType, Preset, Replace};
use countersign_domain::presented::PresentedProof;
use countersign_domain::status::TwoFactorState;
use countersign_domain::token::Opened;
use countersign_domain::user::ClientClaims;

const RECOVERY: &str = "00000-00000-00000-00000-00000";

/// Presents the code of a phone whose clock is `steps` ahead, under `period`, and says what confirmation answers.
fn confirm_off(world: &World, period: u32, steps: i64) -> Result<(), Denial> {
    let mut world = world.clone();
    world.set_policy(|p| p.totp.parameters.period = Period::new(period).unwrap());
    let (begun, phone) = world.begun();
    let code = phone.code_off(world.now, steps);
    world.confirm(&world.confirm_command(&begun, code)).map(|_| ())
}

fn incorrect(clock_offset_seconds: Option<i64>) -> Result<(), Denial> {
    refused_with(9, clock_offset_seconds)
}

fn refused_with(attempts_remaining: u32, clock_offset_seconds: Option<i64>) -> Result<(), Denial> {
    Err(Denial::ConfirmationIncorrect { field: "proof.code", attempts_remaining, clock_offset_seconds })
}

/// B1: no other user, operator or job enrolls for somebody, at neither stage, whatever permissions it holds.
#[test]
fn only_the_user_enrolls_for_themself() {
    let mut world = World::new(Preset::AdminPermissions);
    let actor = |principal| {
        let permissions = vec!["users.view".to_owned(), "users.disable-two-factor".to_owned()];
        Authority::Session(Actor { principal, permissions, ..session(&user_ref("acme", "ann"), None) })
    };
    let (begun, phone) = world.begun();
    let before = world.state.clone();
    for principal in [
        Principal::User(user_ref("acme", "bob").user),
        Principal::Operator("ann".to_owned()),
        Principal::Job("ann".to_owned()),
    ] {
        let start = BeginTotp { authority: actor(principal.clone()), ..world.begin_command() };
        assert_eq!(world.begin(&start), Err(Denial::ActorNotSubject), "{principal:?}");
        let confirm = Confirm {
            authority: actor(principal.clone()),
            ..world.confirm_command(&begun, phone.code(world.now))
        };
        assert_eq!(world.confirm(&confirm), Err(Denial::ActorNotSubject), "{principal:?}");
        assert_eq!(world.state, before, "{principal:?}");
    }
}

/// B2: where policy allows one authenticator, beginning another is refused and changes nothing.
#[test]
fn a_second_one_is_refused_where_policy_allows_one() {
    for preset in [Preset::SelfServiceCode, Preset::AdminPermissions, Preset::PasswordAndCode] {
        let (mut world, phone) = World::on(preset);
        let before = world.state.clone();
        let start = BeginTotp { code: Some(phone.code(world.now)), ..world.begin_command() };
        assert_eq!(
            world.begin(&start),
            Err(Denial::AuthenticatorLimitReached { limit: 1 }),
            "{}",
            preset.id()
        );
        assert_eq!(world.state, before, "{}", preset.id());
    }
}

/// B2: the limit is looked at again at confirmation, because policy may have changed in between.
#[test]
fn the_limit_holds_at_confirmation_too() {
    let (mut world, _) = World::on(Preset::MandatoryManaged);
    let (begun, phone) = world.begun();
    world.set_policy(|p| p.enrollment.max_authenticators = 1);
    let confirm = world.confirm_command(&begun, phone.code(world.now));
    assert_eq!(world.confirm(&confirm), Err(Denial::AuthenticatorLimitReached { limit: 1 }));
    assert_eq!(world.state.authenticators.len(), 1);
}

/// B2: a kind that policy does not name is refused at both stages.
#[test]
fn a_kind_that_policy_does_not_allow_is_refused() {
    let mut world = World::new(Preset::SelfServicePassword);
    let (begun, phone) = world.begun();
    world.set_policy(|p| p.allowed_types = vec![AuthenticatorType::Sms]);
    let denied = Denial::AuthenticatorTypeNotAllowed { kind: AuthenticatorType::Totp };
    assert_eq!(world.begin(&world.begin_command()).map(|_| ()), Err(denied.clone()));
    let confirm = world.confirm_command(&begun, phone.code(world.now));
    assert_eq!(world.confirm(&confirm).map(|_| ()), Err(denied));
}

/// B3: hash, digits and period are policy; the key that is shown says so and its codes serve.
#[test]
fn hash_digits_and_period_are_policy() {
    for algorithm in Algorithm::ALL {
        for digits in [Digits::Six, Digits::Eight] {
            let parameters = TotpParameters { algorithm, digits, period: Period::new(60).unwrap() };
            let mut world = World::with(Preset::SelfServiceCode, |p| p.totp.parameters = parameters);
            let (begun, phone) = world.begun();
            assert_eq!(begun.parameters, parameters);
            assert_eq!(begun.account_label, label());
            world.confirm(&world.confirm_command(&begun, phone.code(world.now))).unwrap();
            world.pass(MINUTE);
            assert_eq!(world.log_in(phone.code(world.now)).ground.assurance(), Assurance::Verified);
        }
    }
}

/// B3: an authenticator keeps what it was enrolled with, also after policy asks new ones for something else.
#[test]
fn an_authenticator_keeps_its_parameters() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    world.set_policy(|p| p.totp.parameters.digits = Digits::Eight);
    assert_eq!(world.log_in(phone.code(world.now)).ground.assurance(), Assurance::Verified);
}

/// B6: while an enrollment is pending, logins go on as if there were none, whatever code they bring (ruling 2).
#[test]
fn a_pending_enrollment_does_not_touch_logins() {
    let mut world = World::new(Preset::SelfServiceCode);
    let (_, phone) = world.begun();
    for command in [world.login(), world.login_with(phone.code(world.now)), world.login_with(typed("123456"))]
    {
        let Ok(Verdict::Allowed(allowed)) = world.check(&command) else { panic!("{command:?}") };
        assert_eq!(allowed.ground.assurance(), Assurance::NotRequired);
        assert_eq!(allowed.amr, ["pwd"]);
    }
    assert!(!world.state.is_on());
}

/// R21, B6: a pending key's code is a wrong code everywhere but at its own confirmation, and is charged as one.
#[test]
fn a_pending_keys_code_is_refused_everywhere_else() {
    let (mut world, _) = World::on_with(Preset::SelfServicePassword, |p| {
        p.disable.required_proofs = vec![SECOND];
        p.enrollment.required_proofs = vec![FIRST];
    });
    let (_, pending) = world.begun();
    let code = || pending.code(world.now);
    let id = world.state.authenticators[0].id;
    let proofs = world.proofs(Some(code()));
    let refused = Verdict::Refused(RefusedReason::CodeNotAccepted);
    let incorrect = Denial::ProofIncorrect { field: "proof.code" };

    let mut at_login = world.clone();
    assert_eq!(at_login.check(&world.login_with(code())), Ok(refused));
    assert_eq!(at_login.detail("finding"), Some("pending"));
    assert_eq!(at_login.state.failures.consecutive, 1);
    assert_eq!(world.clone().disable(&proofs), Err(incorrect.clone()));
    assert_eq!(world.clone().remove(id, &proofs), Err(incorrect.clone()));
    assert_eq!(world.clone().generate(&proofs), Err(incorrect));
}

/// B7, R2: at confirmation anything but the digits of the key is an invalid argument, not a try.
#[test]
fn another_shape_is_no_try() {
    let mut world = World::new(Preset::SelfServiceCode);
    let (begun, phone) = world.begun();
    for shape in ["12345678", RECOVERY] {
        let denied = world.confirm(&world.confirm_command(&begun, typed(shape)));
        let Err(Denial::FieldInvalid { field: "proof.code", .. }) = denied else {
            panic!("{shape}: {denied:?}")
        };
        assert_eq!(world.state.pending[0].tries_left, 10, "{shape}");
    }
    world.confirm(&world.confirm_command(&begun, phone.code(world.now))).unwrap();
}

/// B8, R7, ruling 1: at confirmation the current code and its neighbours are accepted, older and later ones are not.
#[test]
fn confirmation_takes_the_window_of_the_policy() {
    let world = World::new(Preset::SelfServiceCode);
    for (steps, good) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
        assert_eq!(confirm_off(&world, 30, steps).is_ok(), good, "{steps} steps");
    }
    let mut narrow = world;
    narrow.set_policy(|p| p.totp.window = countersign_domain::otp::Window::new(0, 0).unwrap());
    for (steps, good) in [(-1, false), (0, true), (1, false)] {
        assert_eq!(confirm_off(&narrow, 30, steps).is_ok(), good, "{steps} steps without a window");
    }
}

/// B10, ruling 5: the hint tells how far the phone is ahead (positive) or behind, up to ten minutes and no further.
#[test]
fn a_wrong_clock_is_told_with_sign_and_size() {
    let world = World::new(Preset::SelfServiceCode);
    for (period, steps, hint) in [
        (30, 2, Some(60)),
        (30, -2, Some(-60)),
        (30, 20, Some(600)),
        (30, -20, Some(-600)),
        (30, 21, None),
        (30, -21, None),
        (60, 10, Some(600)),
        (60, -11, None),
        (120, -5, Some(-600)),
        (15, 40, Some(600)),
        (15, -41, None),
    ] {
        assert_eq!(confirm_off(&world, period, steps), incorrect(hint), "{steps} steps of {period} s");
    }
}

/// Ruling 5: the hint is given at confirmation only; a login says nothing of the sort.
#[test]
fn the_hint_is_given_at_confirmation_only() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    let code = phone.code_off(world.now, 5);
    let proofs = world.proofs(Some(code.clone()));
    assert_eq!(world.clone().disable(&proofs), Err(Denial::ProofIncorrect { field: "proof.code" }));
    assert_eq!(world.check(&world.login_with(code)), Ok(Verdict::Refused(RefusedReason::CodeNotAccepted)));
}

/// B9: a wrong code keeps the same pending key; a later right one succeeds, up to the last try.
#[test]
fn a_wrong_code_keeps_the_pending_key() {
    let mut world = World::new(Preset::SelfServiceCode);
    let (begun, phone) = world.begun();
    for left in (1..10).rev() {
        let wrong = world.wrong();
        let denied = world.confirm(&world.confirm_command(&begun, wrong)).map(|_| ());
        assert_eq!(denied, refused_with(left, None));
        assert_eq!(world.state.pending[0].tries_left, left);
        assert_eq!(world.state.failures.consecutive, 0, "R12: the small budget is its own");
    }
    world.confirm(&world.confirm_command(&begun, phone.code(world.now))).unwrap();
    assert!(world.state.is_on());
}

/// B9, R20, ruling 5: the tenth wrong code ends the enrollment; then the right one is too late.
#[test]
fn the_tenth_wrong_code_ends_the_enrollment() {
    let mut world = World::new(Preset::SelfServiceCode);
    let (begun, phone) = world.begun();
    for left in (0..10).rev() {
        let wrong = world.wrong();
        let denied = world.confirm(&world.confirm_command(&begun, wrong)).map(|_| ());
        assert_eq!(denied, refused_with(left, None));
    }
    let late = world.confirm(&world.confirm_command(&begun, phone.code(world.now)));
    assert_eq!(late, Err(Denial::EnrollmentExpired));
    assert!(!world.state.is_on());
}

/// B9, R20: an enrollment lives for the time of the policy, which starts with its beginning.
#[test]
fn an_enrollment_expires() {
    for (age, alive) in [(secs(599), true), (secs(600), false), (secs(601), false)] {
        let mut world = World::new(Preset::SelfServiceCode);
        let (begun, phone) = world.begun();
        assert_eq!(begun.expire_time, world.now.plus(secs(600)));
        world.pass(age);
        let confirmed = world.confirm(&world.confirm_command(&begun, phone.code(world.now)));
        let expected = if alive { Ok(()) } else { Err(Denial::EnrollmentExpired) };
        assert_eq!(confirmed.map(|_| ()), expected, "{age:?}");
    }
}

/// R20: beginning touches nothing active, and there is one pending enrollment: a later beginning voids an earlier one.
#[test]
fn beginning_again_starts_from_a_fresh_key() {
    let (mut world, active) = World::on(Preset::MandatoryManaged);
    let authenticators = world.state.authenticators.clone();
    let (first, first_phone) = world.begun();
    let (second, second_phone) = world.begun();
    assert_ne!(first.id, second.id);
    assert_ne!(first_phone.key, second_phone.key);
    assert_eq!((&world.state.authenticators, world.state.pending.len()), (&authenticators, 1));
    let old = world.confirm(&world.confirm_command(&first, first_phone.code(world.now)));
    assert_eq!(old, Err(Denial::EnrollmentExpired));
    assert_eq!(world.log_in(active.code(world.now)).ground.assurance(), Assurance::Verified);
    world.confirm(&world.confirm_command(&second, second_phone.code(world.now))).unwrap();
}

/// B11: success says on, with the time; a status read right after agrees, and the owner is told once.
#[test]
fn confirmation_switches_on() {
    let mut world = World::new(Preset::SelfServiceCode);
    let (begun, phone) = world.begun();
    assert_eq!((world.kinds(), world.told), (vec![EventType::EnrollmentStarted], None));
    world.pass(secs(7));
    let confirmed = world.confirm(&world.confirm_command(&begun, phone.code(world.now))).unwrap();
    assert_eq!(world.kinds()[0], EventType::TwoFactorEnabled);
    assert!(world.kinds().contains(&EventType::AuthenticatorAdded));
    assert_eq!(world.told, Some(EventType::TwoFactorEnabled));
    let status = world.status();
    assert_eq!((status.state, status.user.state_since), (TwoFactorState::On, Some(world.now)));
    let own = status.user.authenticator(confirmed.id).unwrap();
    assert_eq!((own.create_time, own.last_use_time, own.consecutive_failures), (world.now, None, 0));
    assert!(world.state.pending.is_empty());
}

/// R6: the code that confirms an enrollment is consumed too; showing it again is a replay, which is not charged.
#[test]
fn the_confirming_code_is_consumed() {
    let mut world = World::new(Preset::SelfServiceCode);
    let (begun, phone) = world.begun();
    let code = phone.code(world.now);
    world.confirm(&world.confirm_command(&begun, code.clone())).unwrap();
    let verdict = world.check(&world.login_with(code));
    assert_eq!(verdict, Ok(Verdict::Refused(RefusedReason::CodeNotAccepted)));
    assert_eq!((world.detail("finding"), world.state.failures.consecutive), (Some("replayed"), 0));
    world.pass(STEP);
    world.log_in(phone.code(world.now));
}

/// B14: an authenticator has a default name until it is named; names are unique after case folding.
#[test]
fn authenticators_are_named() {
    let mut world = World::new(Preset::MandatoryManaged);
    let mut confirm = |chosen: Option<&str>| {
        let (begun, phone) = world.begun();
        let command = Confirm {
            display_name: chosen.map(name),
            ..world.confirm_command(&begun, phone.code(world.now))
        };
        world.confirm(&command).map(|confirmed| {
            let own = world.state.authenticator(confirmed.id).unwrap();
            (own.display_name.as_str().to_owned(), own.named)
        })
    };
    assert_eq!(confirm(None), Ok(("Authenticator app".to_owned(), false)));
    assert_eq!(confirm(Some("Work phone")), Ok(("Work phone".to_owned(), true)));
    assert_eq!(confirm(Some("WORK PHONE")), Err(Denial::DisplayNameExists));
    assert_eq!(confirm(Some("authenticator APP 2")), Ok(("authenticator APP 2".to_owned(), true)));
    assert_eq!(confirm(None), Ok(("Authenticator app 3".to_owned(), false)));
}

/// B14: a name that is taken costs neither a try nor the code.
#[test]
fn a_taken_name_costs_nothing() {
    let (mut world, _) = World::on(Preset::MandatoryManaged);
    let (begun, phone) = world.begun();
    let command = world.confirm_command(&begun, phone.code(world.now));
    let taken = Confirm { display_name: Some(name("authenticator app")), ..command.clone() };
    assert_eq!(world.confirm(&taken), Err(Denial::DisplayNameExists));
    assert_eq!(world.state.pending[0].tries_left, 10);
    world.confirm(&command).unwrap();
}

/// B26: switching on returns recovery codes where policy says so; adding another authenticator returns none.
#[test]
fn only_switching_on_returns_recovery_codes() {
    for (enabled, issue) in [(true, true), (true, false), (false, false)] {
        let mut world = World::with(Preset::MandatoryManaged, |p| {
            p.recovery_codes.enabled = enabled;
            p.recovery_codes.issue_on_enable = issue;
        });
        let (_, codes) = world.enroll_with_codes();
        assert_eq!(codes.map(|codes| codes.codes.len()), issue.then_some(10));
        assert_eq!(world.state.recovery.is_some(), issue);
        let before = world.state.recovery.clone();
        let (_, more) = world.enroll_with_codes();
        assert_eq!((more, &world.state.recovery), (None, &before));
        assert_eq!(world.told, Some(EventType::AuthenticatorAdded));
    }
}

/// Ruling 10: adding an authenticator does not raise the epoch: open challenges stay open.
#[test]
fn adding_one_does_not_raise_the_epoch() {
    let (mut world, phone) = World::on(Preset::SelfServicePassword);
    let offer = world.challenged();
    let epoch = world.state.epoch;
    world.enroll();
    assert_eq!(world.state.epoch, epoch);
    let verdict = world.answer(&offer.challenge, phone.code(world.now));
    assert!(matches!(verdict, Ok(Verdict::Allowed(_))), "{verdict:?}");
}

/// Begins in the place of the user's first authenticator and takes the key into a phone.
fn begin_replacing(world: &mut World) -> (countersign_domain::enrollment::BegunTotp, Phone) {
    let replaces = Some(world.state.authenticators[0].id);
    let begun = world.begin(&BeginTotp { replaces, ..world.begin_command() }).unwrap();
    let phone = Phone::of(&begun);
    (begun, phone)
}

/// B49, ruling 9: replacing takes the old one away in the commit that confirms the new one, without a moment of being
/// off, also where no more authenticators fit; the epoch rises and the owner is told.
#[test]
fn replacing_has_no_moment_of_being_off() {
    for preset in [Preset::MandatoryManaged, Preset::SelfServicePassword] {
        let (mut world, old) = World::on_with(preset, |p| p.enrollment.max_authenticators = 1);
        let (since, epoch) = (world.state.state_since, world.state.epoch);
        let recovery = world.state.recovery.clone();
        let (begun, new) = begin_replacing(&mut world);
        assert_eq!(
            world.log_in(old.code(world.now)).ground.assurance(),
            Assurance::Verified,
            "the old one serves"
        );
        world.confirm(&world.confirm_command(&begun, new.code(world.now))).unwrap();
        assert_eq!(world.kinds(), [EventType::AuthenticatorAdded, EventType::AuthenticatorRemoved]);
        assert!(world.detail("replaces").is_some(), "B50: the owner hears that the other one is gone");
        assert_eq!(world.told, Some(EventType::AuthenticatorAdded));
        assert_eq!((world.state.authenticators.len(), world.state.state_since), (1, since));
        assert_eq!(world.state.recovery, recovery, "recovery codes are not the replaced one's");
        assert_eq!(world.state.epoch, epoch.next());
        world.pass(STEP);
        let verdict = world.check(&world.login_with(old.code(world.now)));
        assert_eq!(verdict, Ok(Verdict::Refused(RefusedReason::CodeNotAccepted)), "B34");
        world.log_in(new.code(world.now));
    }
}

/// Ruling 9, B14: the new one may take over the name of the one that it replaces.
#[test]
fn the_replaced_ones_name_is_free() {
    let (mut world, _) = World::on(Preset::MandatoryManaged);
    let id = world.state.authenticators[0].id;
    world.rename(id, &name("Phone")).unwrap();
    let (begun, new) = begin_replacing(&mut world);
    let command = world.confirm_command(&begun, new.code(world.now));
    world.confirm(&Confirm { display_name: Some(name("phone")), ..command }).unwrap();
    assert_eq!(world.state.authenticators[0].display_name, name("phone"));
}

/// Ruling 9, B35: under `DISABLE_FIRST` nothing is replaced, and at the limit nothing is added without replacing.
#[test]
fn replacing_is_refused_where_switching_off_comes_first() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    let replaces = Some(world.state.authenticators[0].id);
    let code = Some(phone.code(world.now));
    let command = BeginTotp { replaces, code, ..world.begin_command() };
    let full = |limit| Err(Denial::AuthenticatorLimitReached { limit });
    assert_eq!(world.begin(&command).map(|_| ()), full(1));
    world.set_policy(|p| p.enrollment.max_authenticators = 3);
    assert_eq!(world.begin(&command).map(|_| ()), full(3), "not even where there is room");
    world.set_policy(|p| {
        p.enrollment.max_authenticators = 1;
        p.enrollment.replace = Replace::AnyTime;
    });
    assert_eq!(world.begin(&BeginTotp { replaces: None, ..command.clone() }).map(|_| ()), full(1));
    assert_eq!(world.begin(&command).map(|_| ()), Ok(()));
}

/// B2, B49: who has more than a lowered limit may replace one, and then has as many as before; adding is refused.
#[test]
fn who_is_above_the_limit_may_still_replace() {
    let (mut world, _) = World::on(Preset::MandatoryManaged);
    world.enroll();
    world.set_policy(|p| p.enrollment.max_authenticators = 1);
    let full = Err(Denial::AuthenticatorLimitReached { limit: 1 });
    assert_eq!(world.begin(&world.begin_command()).map(|_| ()), full);
    let replaced = world.state.authenticators[0].id;
    let (begun, new) = begin_replacing(&mut world);
    world.confirm(&world.confirm_command(&begun, new.code(world.now))).unwrap();
    assert_eq!(world.state.authenticators.len(), 2);
    assert!(world.state.authenticator(replaced).is_none());
    // Whose place it was to take is gone: it would be one more.
    let (begun, newer) = begin_replacing(&mut world);
    world.state.authenticators.remove(0);
    let denied = world.confirm(&world.confirm_command(&begun, newer.code(world.now)));
    assert_eq!(denied, Err(Denial::ResourceNotFound { what: "authenticator" }));
}

/// R43: replacing an authenticator that the user does not have is like one that never was.
#[test]
fn only_ones_own_authenticators_are_replaced() {
    let (mut world, _) = World::on(Preset::MandatoryManaged);
    let foreign = Some(AuthenticatorId::from_uuid(world.draw_id()));
    let command = BeginTotp { replaces: foreign, ..world.begin_command() };
    assert_eq!(world.begin(&command), Err(Denial::ResourceNotFound { what: "authenticator" }));
}

/// Ruling 10: a pending enrollment is of its epoch: when something old must die, it dies too.
#[test]
fn a_raised_epoch_ends_the_enrollment() {
    let mut world = World::new(Preset::MandatoryManaged);
    let (_, codes) = world.enroll_with_codes();
    let (begun, phone) = world.begun();
    let recovery = PresentedProof::Recovery(codes.unwrap().codes[0].clone());
    world.log_in(recovery);
    let denied = world.confirm(&world.confirm_command(&begun, phone.code(world.now)));
    assert_eq!(denied, Err(Denial::EnrollmentExpired));
}

/// B1, R24: an opened ticket that nobody issued is worth nothing.
#[test]
fn a_ticket_that_was_never_issued_is_worth_nothing() {
    let mut world = World::new(Preset::MandatoryManaged);
    let id = TicketId::from_uuid(world.draw_id());
    let opened = Opened { user: world.user.clone(), epoch: world.state.epoch, id };
    let authority = Authority::Ticket(opened, ClientClaims::default());
    let command = BeginTotp { authority, ..world.begin_command() };
    assert_eq!(world.begin(&command), Err(Denial::EnrollmentTicketInvalid));
}
