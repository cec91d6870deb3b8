//! When no message is sent: too soon after another one, too many in a day, nobody who delivers; and what that means for what
//! is offered.

use super::{
    MEANS, again, begin, begin_as, begin_command, begin_with, code, confirm, id_of, number, on, other, send,
    send_with, step_up, world,
};
use crate::common::{DAY, HOUR, MINUTE, Phone, SECOND, World, secs};
use crate::security_keys::{self, with_keys};
use countersign_domain::denial::Denial;
use countersign_domain::directory;
use countersign_domain::enrollment::{BeginSms, BegunSms};
use countersign_domain::event::EventType;
use countersign_domain::explain;
use countersign_domain::ids::{AuthenticatorId, RequestId, SendId};
use countersign_domain::login::{LockedOut, Method, RefusedReason, Verdict};
use countersign_domain::policy::{AuthenticatorType, Preset, RequirementMode, SmsDelivery};
use countersign_domain::presented::PresentedProof;
use countersign_domain::proof::Proofs;
use countersign_domain::sms::budget::SendCounts;
use countersign_domain::sms::sending::Means;
use countersign_domain::status::OwnAction;
use countersign_domain::time::Timestamp;
use countersign_testkit::SoftwareKey;
use std::time::Duration;

/// B52: the interval holds between messages that confirm enrollments, and between one of these and one for a login.
#[test]
fn the_interval_holds_for_messages_of_enrollments() {
    let mut world = world();
    begin(&mut world);
    world.pass(secs(20));
    let other = number("+4915112345678");
    let denied = begin_with(&mut world, &other, &MEANS);
    assert_eq!(denied, Err(Denial::SendTooSoon { retry_after: secs(40) }));
    world.pass(secs(40));
    begin_with(&mut world, &other, &MEANS).unwrap();

    let (mut world, _) = on();
    begin_with(&mut world, &other, &MEANS).unwrap();
    let challenge = world.challenged().challenge;
    let denied = send_with(&mut world, &challenge, &MEANS);
    assert_eq!(denied, Err(Denial::SendTooSoon { retry_after: MINUTE }));
    world.pass(MINUTE);
    send(&mut world, &challenge);
    let denied = begin_with(&mut world, &other, &MEANS);
    assert_eq!(denied, Err(Denial::SendTooSoon { retry_after: MINUTE }));
}

/// B52, R23, R34: an enrollment that has ended, however it did, still holds back the next message, and is good for nothing else.
#[test]
fn an_enrollment_that_ended_holds_back_the_next_message() {
    type End = fn(&mut World, &BegunSms);
    let ends: [(&str, End); 4] = [
        ("ten wrong codes", |world, begun| {
            for _ in 0..10 {
                confirm(world, begun, other(&begun.message)).unwrap_err();
            }
        }),
        ("another kind", |world, _| {
            world.enroll();
        }),
        ("another epoch", |world, _| {
            let decision = directory::first_factor_changed(&world.state, &world.ctx(), None);
            world.commit(decision);
        }),
        ("time", |world, _| world.pass(Duration::from_mins(10))),
    ];
    for (how, end) in ends {
        let mut world = World::with(Preset::SelfServicePassword, |p| p.sms.resend_interval = HOUR);
        let request = RequestId::from_uuid(world.draw_id());
        let id = id_of(&world, request);
        let begun = begin_as(&mut world, id, &number("+5511987654321"), &MEANS).unwrap();
        assert!(again(&world, request).is_some());
        end(&mut world, &begun);
        assert_eq!(world.status().user.pending, [], "{how}");
        assert_eq!(again(&world, request), None, "{how}");
        let confirmed = confirm(&mut world, &begun, code(&begun.message));
        assert_eq!(confirmed, Err(Denial::EnrollmentExpired), "{how}");

        let other = number("+4915112345678");
        world.now = begun.message.next_send_time.minus(secs(1));
        let denied = begin_with(&mut world, &other, &MEANS);
        assert_eq!(denied, Err(Denial::SendTooSoon { retry_after: secs(1) }), "{how}");
        world.pass(secs(1));
        assert_eq!(world.state.settled(world.now).pending, [], "{how}: nothing is left to be told");
        begin_with(&mut world, &other, &MEANS).unwrap();
    }
}

/// R71: a day's limits, per user, number and tenant, deny what would go beyond, until the day is over.
#[test]
fn a_days_limits_hold() {
    let (mut world, _) = on();
    let challenge = world.challenged().challenge;
    for counts in [
        SendCounts { user: 10, ..MEANS.counts },
        SendCounts { number: 10, ..MEANS.counts },
        SendCounts { tenant: 100, ..MEANS.counts },
    ] {
        let means = Means { counts, ..MEANS };
        let Err(Denial::SendTooSoon { retry_after }) = send_with(&mut world, &challenge, &means) else {
            panic!("{counts:?}");
        };
        assert_eq!(world.now.plus(retry_after).unix_seconds() % 86_400, 0);
        let begun = begin_with(&mut world, &number("+4915112345678"), &means);
        assert!(matches!(begun, Err(Denial::SendTooSoon { .. })), "{counts:?}");
    }
    send(&mut world, &challenge);
}

/// R71: the time that is told for the next message knows the day's limits: after the last one of a day it is tomorrow.
#[test]
fn the_next_time_knows_the_days_limits() {
    let (world, _) = on();
    let today = world.now.unix_seconds().div_euclid(86_400) * 86_400;
    let (soon, tomorrow) = (world.now.plus(MINUTE), Timestamp::from_unix_seconds(today).plus(DAY));
    for (counts, expected) in [
        (SendCounts { user: 8, number: 8, tenant: 98 }, soon),
        (SendCounts { user: 9, ..MEANS.counts }, tomorrow),
        (SendCounts { number: 9, ..MEANS.counts }, tomorrow),
        (SendCounts { tenant: 99, ..MEANS.counts }, tomorrow),
    ] {
        let means = Means { counts, ..MEANS };
        let begun = begin_with(&mut world.clone(), &number("+4915112345678"), &means).unwrap();
        assert_eq!(begun.message.next_send_time, expected, "{counts:?}");
        let mut world = world.clone();
        let challenge = world.challenged().challenge;
        let sent = send_with(&mut world, &challenge, &means).unwrap();
        assert_eq!(sent.next_send_time, expected, "{counts:?}");
    }
}

/// A user who has a telephone and an app, under the longest interval, where adding another needs a code.
fn guarded() -> (World, AuthenticatorId, Phone) {
    let (mut world, telephone) = on();
    let app = world.enroll();
    world.set_policy(|p| {
        p.disable.required_proofs = vec![SECOND];
        p.sms.resend_interval = HOUR;
    });
    (world, telephone, app)
}

/// Asks for a message to another number, in the place of that telephone.
fn change_number(
    world: &mut World,
    telephone: AuthenticatorId,
    proof: PresentedProof,
) -> Result<BegunSms, Denial> {
    let command = BeginSms {
        authority: world.authority(),
        number: number("+4915112345678"),
        replaces: Some(telephone),
        code: Some(proof),
    };
    let send = SendId::from_uuid(world.draw_id());
    begin_command(world, send, &command, &MEANS)
}

/// B31, B32, R71: the code of the old telephone proves the new number however long the interval is, and is used up by that. A
/// wrong one is charged, also while another message would come too soon (R10).
#[test]
fn the_old_telephone_proves_the_new_number() {
    let (mut world, telephone, _) = guarded();
    let sent = step_up(&mut world);
    world.pass(secs(15));
    let incorrect = Denial::ProofIncorrect { field: "proof.code" };
    assert_eq!(change_number(&mut world, telephone, other(&sent)), Err(incorrect.clone()));
    assert_eq!(world.state.failures.consecutive, 1);
    let begun = change_number(&mut world, telephone, code(&sent)).unwrap();
    assert_eq!(world.state.failures.consecutive, 0);
    let used = Proofs { first_factor: None, code: Some(code(&sent)) };
    assert_eq!(world.clone().disable(&used).map(|_| ()), Err(incorrect));
    // The message to the new number holds back the next one, whatever is proved: nothing is evaluated.
    let (before, wrong) = (world.state.clone(), world.wrong());
    let too_soon = Err(Denial::SendTooSoon { retry_after: HOUR });
    for proof in [code(&sent), wrong] {
        assert_eq!(change_number(&mut world, telephone, proof).map(|_| ()), too_soon);
        assert_eq!((&world.state, world.kinds()), (&before, vec![]));
    }
    confirm(&mut world, &begun, code(&begun.message)).unwrap();
    assert_eq!(world.state.authenticator(telephone), None);
}

/// B32, R5, R55: where a message holds back the next one, a proof that cannot be its code is not evaluated: nobody finds out for
/// nothing which recovery codes are good. A code that may be its own is, and counts: right and of an app, it is used and told.
#[test]
fn nothing_is_found_out_where_a_message_is_held_back() {
    let (mut world, telephone, app) = guarded();
    let proofs = world.proofs(Some(app.code(world.now)));
    let recovery_code = world.generate(&proofs).unwrap().codes[0].clone();
    world.pass(MINUTE);
    step_up(&mut world);
    world.pass(secs(15));
    let before = world.state.clone();
    let too_soon = Err(Denial::SendTooSoon { retry_after: secs(3_585) });
    let unproved = BeginSms {
        authority: world.authority(),
        number: number("+4915112345678"),
        replaces: Some(telephone),
        code: None,
    };
    let missing = begin_command(&mut world.clone(), SendId::from_uuid(world.draw_id()), &unproved, &MEANS);
    assert!(matches!(missing, Err(Denial::ProofRequired { .. })), "the code at hand would do: {missing:?}");
    assert_eq!(
        change_number(&mut world, telephone, PresentedProof::Recovery(recovery_code)).map(|_| ()),
        too_soon
    );
    assert_eq!((&world.state, world.kinds()), (&before, vec![]));
    let right = app.code(world.now);
    assert_eq!(change_number(&mut world, telephone, right.clone()).map(|_| ()), too_soon);
    assert_eq!(
        (world.kinds(), world.detail("finding")),
        (vec![EventType::LoginRefused], Some("action_denied"))
    );
    assert_eq!(world.check(&world.login_with(right)), Ok(Verdict::Refused(RefusedReason::CodeNotAccepted)));
}

/// Without anybody to deliver nothing is sent nor switched on, unless it is the caller who does.
#[test]
fn somebody_must_deliver() {
    let mut world = world();
    world.gateway = false;
    let denied = begin_with(&mut world, &number("+5511987654321"), &MEANS);
    assert_eq!(denied, Err(Denial::DeliveryUnavailable));
    world.set_policy(|p| p.sms.delivery = SmsDelivery::Caller);
    let begun = begin(&mut world);
    world.set_policy(|p| p.sms.delivery = SmsDelivery::Gateway);
    assert_eq!(confirm(&mut world, &begun, code(&begun.message)), Err(Denial::DeliveryUnavailable));
    world.gateway = true;
    confirm(&mut world, &begun, code(&begun.message)).unwrap();
}

/// B2: enrolling is shown as open where one kind is, whichever the policy names first.
#[test]
fn the_status_knows_whether_somebody_delivers() {
    let blocked = |gateway: bool, kinds: &[AuthenticatorType]| {
        let mut world = World::with(Preset::SelfServiceCode, |p| p.allowed_types = kinds.to_vec());
        world.gateway = gateway;
        let status = world.status();
        let enroll = status.actions.iter().find(|own| own.action == OwnAction::Enroll).unwrap();
        enroll.blocked.clone()
    };
    assert_eq!(blocked(true, &[AuthenticatorType::Sms]), None);
    assert_eq!(blocked(false, &[AuthenticatorType::Sms]), Some(Denial::DeliveryUnavailable));
    assert_eq!(blocked(false, &[AuthenticatorType::Sms, AuthenticatorType::Totp]), None);
}

/// B20: a telephone that nobody delivers to is no way to answer a challenge. Where there is no other, the login is told so and
/// why, instead of being asked for what cannot come.
#[test]
fn a_telephone_that_nobody_delivers_to_is_no_way() {
    let kinds = |world: &mut World| -> Vec<_> {
        world.challenged().methods.into_iter().map(|method| method.kind()).collect()
    };
    let (mut world, _) = on();
    world.gateway = false;
    assert_eq!(kinds(&mut world), [AuthenticatorType::RecoveryCode]);
    let mut with_app = world.clone();
    with_app.enroll();
    assert_eq!(kinds(&mut with_app), [AuthenticatorType::Totp, AuthenticatorType::RecoveryCode]);

    world.set_policy(|p| {
        p.recovery_codes.enabled = false;
        p.recovery_codes.issue_on_enable = false;
    });
    let nothing = LockedOut { retry_after: None, still_open: None };
    assert_eq!(world.check(&world.login()), Ok(Verdict::LockedOut(nothing)));
    assert_eq!(world.detail("finding"), Some("no_method"));
    let explained = explain::login(&world.state, &world.ctx(), &world.login());
    assert_eq!(explained.steps.last().map(|step| step.field), Some("sms.delivery"));
    world.set_policy(|p| p.sms.delivery = SmsDelivery::Caller);
    assert_eq!(kinds(&mut world), [AuthenticatorType::Sms]);
}

/// B45, R37: nor is it one that stays behind when the last app is removed.
#[test]
fn a_telephone_that_nobody_delivers_to_serves_nobody() {
    let (mut world, _) = on();
    let phone = world.enroll();
    let app = world.id_of(&phone);
    world.set_policy(|p| {
        p.requirement.mode = RequirementMode::Required;
        p.disable.self_service = false;
    });
    world.gateway = false;
    let proofs = world.proofs(None);
    assert_eq!(world.remove(app, &proofs), Err(Denial::LastAuthenticator));
    world.gateway = true;
    world.remove(app, &proofs).unwrap();
}

/// B33, B45: where none of several telephones serves, it makes no difference which of them goes: the others stay, and serve
/// again when somebody delivers.
#[test]
fn one_of_two_telephones_that_serve_nobody_can_go() {
    for mode in [RequirementMode::Optional, RequirementMode::Required] {
        let (mut world, first) = on();
        world.pass(MINUTE);
        let begun = begin_with(&mut world, &number("+4915112345678"), &MEANS).unwrap();
        let second = confirm(&mut world, &begun, code(&begun.message)).unwrap().id;
        world.set_policy(|p| {
            p.requirement.mode = mode;
            p.disable.self_service = mode == RequirementMode::Optional;
        });
        world.gateway = false;
        let proofs = world.proofs(None);
        assert_eq!(world.remove(first, &proofs), Ok(vec![AuthenticatorType::Sms]), "{mode:?}");
        assert_eq!(world.kinds(), [EventType::AuthenticatorRemoved], "{mode:?}");
        let left: Vec<_> = world.state.active().map(|own| own.id).collect();
        assert_eq!(left, [second], "{mode:?}");
    }
}

/// B53: nor is it the other type that must stay active beside a security key.
#[test]
fn a_telephone_that_nobody_delivers_to_is_no_other_type() {
    let (mut world, _) = on();
    world.set_policy(with_keys);
    let command = security_keys::begin_command(&world);
    world.gateway = false;
    let denied = security_keys::begin(&mut world, &command).map(drop);
    assert_eq!(denied, Err(Denial::OtherAuthenticatorRequired));
    world.gateway = true;
    security_keys::begin(&mut world, &command).unwrap();
}

/// R15: a lock closes codes. Who could not be sent one is not told to wait for it, and answers with the key; where the key
/// serves nobody either, both fields are named.
#[test]
fn a_lock_closes_nothing_where_nobody_delivers() {
    let (mut world, _) = on();
    world.set_policy(with_keys);
    let mut key = SoftwareKey::new(30);
    security_keys::add(&mut world, &mut key);
    while world.state.failures.locked_until(world.now).is_none() {
        let wrong = world.wrong();
        world.check(&world.login_with(wrong)).unwrap();
    }
    let Ok(Verdict::LockedOut(locked)) = world.check(&world.login()) else { panic!("{:?}", world.events) };
    assert!(locked.retry_after.is_some());

    world.gateway = false;
    let kinds: Vec<_> = world.challenged().methods.iter().map(Method::kind).collect();
    assert_eq!(kinds, [AuthenticatorType::SecurityKey, AuthenticatorType::RecoveryCode]);
    let wrong = world.wrong();
    let Ok(Verdict::LockedOut(locked)) = world.check(&world.login_with(wrong)) else { panic!("a code") };
    let open: Vec<_> = locked.still_open.unwrap().methods.iter().map(Method::kind).collect();
    assert_eq!((locked.retry_after, open), (None, kinds), "nor whoever sends a code all the same");
    let challenge = world.challenged().challenge;
    assert_eq!(send_with(&mut world, &challenge, &MEANS), Err(Denial::DeliveryUnavailable));
    let policy = world.policy.clone();
    world.set_policy(|p| p.disable.required_proofs = vec![SECOND]);
    let wrong = world.wrong();
    let proofs = world.proofs(Some(wrong));
    assert_eq!(
        world.disable(&proofs).map(drop),
        Err(Denial::UserLocked { retry_after: None }),
        "nor a change"
    );
    world.policy = policy;
    let verdict = security_keys::log_in(&mut world, &mut key);
    assert!(matches!(verdict, Ok(Verdict::Allowed(_))), "{verdict:?}");

    world.set_policy(|p| {
        p.recovery_codes.enabled = false;
        p.recovery_codes.issue_on_enable = false;
        p.security_key.relying_party_id.clear();
        p.security_key.origins.clear();
    });
    let explained = explain::login(&world.state, &world.ctx(), &world.login());
    let fields: Vec<_> = explained.steps.iter().rev().take(2).map(|step| step.field).collect();
    assert_eq!(fields, ["sms.delivery", "security_key.relying_party_id"]);
}
