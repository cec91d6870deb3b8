//! Codes by text message: enrolling a telephone, sending a code for a challenge, and what that code is good for.

mod withheld;

use crate::common::{MINUTE, World, secs};
use countersign_domain::denial::Denial;
use countersign_domain::digest::{DigestKeys, KeyId};
use countersign_domain::enrollment::{self, BeginSms, BegunSms, Confirm, Confirmed, FreshSms};
use countersign_domain::event::EventType;
use countersign_domain::ids::{AuthenticatorId, CallerId, EnrollmentId, RequestId, SendId};
use countersign_domain::login::{Assurance, CheckLogin, Method, Offer, RefusedReason, Verdict};
use countersign_domain::phone_number::PhoneNumber;
use countersign_domain::policy::{AuthenticatorType, Preset, ProofKind};
use countersign_domain::presented::PresentedProof;
use countersign_domain::secret::{SecretBytes, SecretString};
use countersign_domain::sms::budget::{SendCounts, SendLimits};
use countersign_domain::sms::sending::{self, Means, Message, SendCode};
use countersign_domain::token;
use countersign_domain::user::ChallengePurpose;
use std::time::Duration;

const REFUSED: Verdict = Verdict::Refused(RefusedReason::CodeNotAccepted);
const MEANS: Means = Means {
    limits: SendLimits { user: 10, number: 10, tenant: 100 },
    counts: SendCounts { user: 0, number: 0, tenant: 0 },
};

fn number(text: &str) -> PhoneNumber {
    PhoneNumber::parse(text).unwrap()
}

fn world() -> World {
    World::new(Preset::SelfServicePassword)
}

fn begin_with(world: &mut World, number: &PhoneNumber, means: &Means) -> Result<BegunSms, Denial> {
    let send = SendId::from_uuid(world.draw_id());
    begin_as(world, send, number, means)
}

fn begin_as(
    world: &mut World,
    send: SendId,
    number: &PhoneNumber,
    means: &Means,
) -> Result<BegunSms, Denial> {
    let command =
        BeginSms { authority: world.authority(), number: number.clone(), replaces: None, code: None };
    begin_command(world, send, &command, means)
}

fn begin_command(
    world: &mut World,
    send: SendId,
    command: &BeginSms,
    means: &Means,
) -> Result<BegunSms, Denial> {
    let fresh = FreshSms { id: EnrollmentId::from_uuid(world.draw_id()), send };
    let decision = enrollment::begin_sms(&world.state, &world.ctx(), command, means, fresh);
    assert_eq!(decision.effect.send.is_some(), decision.outcome.is_ok(), "R71: what is sent is counted");
    world.commit(decision)
}

pub(super) fn begin(world: &mut World) -> BegunSms {
    begin_with(world, &number("+5511987654321"), &MEANS).unwrap()
}

fn confirm(world: &mut World, begun: &BegunSms, code: PresentedProof) -> Result<Confirmed, Denial> {
    let authority = world.authority();
    world.confirm(&Confirm { id: begun.id, authority, code, existing_code: None, display_name: None })
}

fn code(message: &Message) -> PresentedProof {
    PresentedProof::Otp(message.code.clone())
}

/// Another code of the same length.
fn other(message: &Message) -> PresentedProof {
    let first = message.code.as_bytes()[0];
    let rest = std::str::from_utf8(&message.code.as_bytes()[1..]).unwrap();
    PresentedProof::parse(&format!("{}{rest}", (first - b'0' + 1) % 10)).unwrap()
}

/// A user whose only second factor is a telephone.
fn on() -> (World, AuthenticatorId) {
    let mut world = world();
    let begun = begin(&mut world);
    let confirmed = confirm(&mut world, &begun, code(&begun.message)).unwrap();
    (world, confirmed.id)
}

fn send_with(world: &mut World, challenge: &SecretString, means: &Means) -> Result<Message, Denial> {
    let id = SendId::from_uuid(world.draw_id());
    send_as(world, id, challenge, means)
}

fn send_as(
    world: &mut World,
    id: SendId,
    challenge: &SecretString,
    means: &Means,
) -> Result<Message, Denial> {
    let challenge = token::open_challenge(&world.digests.tokens, challenge.expose()).unwrap();
    let command = SendCode { challenge, authenticator: None };
    let decision = sending::send_code(&world.state, &world.ctx(), &command, means, id);
    assert_eq!(decision.effect.send.is_some(), decision.outcome.is_ok(), "R71: what is sent is counted");
    world.commit(decision)
}

fn send(world: &mut World, challenge: &SecretString) -> Message {
    send_with(world, challenge, &MEANS).unwrap()
}

/// A message for a step-up.
fn step_up(world: &mut World) -> Message {
    let command = CheckLogin { purpose: ChallengePurpose::StepUp, ..world.login() };
    let Ok(Verdict::ChallengeRequired(offer)) = world.check(&command) else { panic!("not asked") };
    let message = send(world, &offer.challenge);
    assert_eq!(world.detail("purpose"), Some("step_up"), "R55: the log tells it from a login");
    message
}

fn verified(verdict: Result<Verdict, Denial>) {
    match verdict {
        Ok(Verdict::Allowed(allowed)) => {
            assert_eq!(allowed.ground.assurance(), Assurance::Verified);
            assert!(allowed.amr.ends_with(&["sms".into(), "mfa".into()]), "{:?}", allowed.amr);
        }
        other => panic!("{other:?}"),
    }
}

/// B52: a code by text message is a second factor: from the number to the login.
#[test]
fn a_code_by_text_message_is_a_second_factor() {
    let mut world = world();
    let begun = begin(&mut world);
    assert_eq!(world.kinds(), [EventType::EnrollmentStarted]);
    assert!(!world.state.is_on());
    let confirmed = confirm(&mut world, &begun, code(&begun.message)).unwrap();
    assert_eq!(world.told, Some(EventType::TwoFactorEnabled));
    assert!(confirmed.recovery_codes.is_some());

    let Offer { challenge, methods, .. } = world.challenged();
    let Method::Sms { obfuscated_number, .. } = &methods[0] else { panic!("{methods:?}") };
    assert_eq!(*obfuscated_number, number("+5511987654321").obfuscated());
    let sent = send(&mut world, &challenge);
    assert_eq!(sent.number, number("+5511987654321"));
    verified(world.answer(&challenge, code(&sent)));
    assert!(world.state.challenges.is_empty());
}

/// B52, R71: no code is sent before somebody asks for it.
#[test]
fn a_challenge_alone_sends_nothing() {
    let (mut world, _) = on();
    world.challenged();
    let sms = world.state.authenticators[0].credential.sms().unwrap();
    assert_eq!(sms.sent, None);
}

/// R71: a code has more than 20 bits and lives no longer than ten minutes, nor than what it is bound to.
#[test]
fn codes_are_long_and_short_lived() {
    let mut world = World::with(Preset::SelfServicePassword, |p| {
        p.enrollment.expire_after = Duration::from_mins(30);
    });
    let begun = begin(&mut world);
    assert!(10_f64.powi(i32::try_from(begun.message.code.as_bytes().len()).unwrap()).log2() >= 20.0);
    assert_eq!(begun.message.expire_time, world.now.plus(Duration::from_mins(10)));
    let mut late = world.clone();
    late.pass(Duration::from_mins(10));
    assert_eq!(confirm(&mut late, &begun, code(&begun.message)), Err(Denial::EnrollmentExpired));

    confirm(&mut world, &begun, code(&begun.message)).unwrap();
    let offer = world.challenged();
    world.pass(MINUTE);
    assert_eq!(send(&mut world, &offer.challenge).expire_time, offer.expire_time);
}

/// R71, R16: once. Used again it is refused like any wrong code, and not charged.
#[test]
fn a_code_is_good_once() {
    let (mut world, _) = on();
    let first = world.challenged().challenge;
    let sent = send(&mut world, &first);
    verified(world.answer(&first, code(&sent)));
    let second = world.challenged().challenge;
    assert_eq!(world.answer(&second, code(&sent)), Ok(REFUSED));
    assert_eq!(world.detail("finding"), Some("replayed"));
    assert_eq!(world.state.failures.consecutive, 0);
}

/// R71, R8: a code answers the challenge that it was sent for and no other, nor a login without one; each is refused in
/// one and the same way, and charged.
#[test]
fn a_code_is_bound_to_its_challenge() {
    let (mut world, _) = on();
    let (mine, other) = (world.challenged().challenge, world.challenged().challenge);
    let sent = send(&mut world, &mine);
    assert_eq!(world.answer(&other, code(&sent)), Ok(REFUSED));
    assert_eq!(world.state.failures.consecutive, 1);
    assert_eq!(world.check(&world.login_with(code(&sent))), Ok(REFUSED));
    verified(world.answer(&mine, code(&sent)));
}

/// R71: another message voids the one before it; the interval holds between two that are not used.
#[test]
fn resending_voids_the_old_code() {
    let (mut world, _) = on();
    let challenge = world.challenged().challenge;
    let old = send(&mut world, &challenge);
    world.pass(secs(20));
    let denied = send_with(&mut world, &challenge, &MEANS);
    assert_eq!(denied, Err(Denial::SendTooSoon { retry_after: secs(40) }));
    let elsewhere = world.challenged().challenge;
    assert!(matches!(send_with(&mut world, &elsewhere, &MEANS), Err(Denial::SendTooSoon { .. })));
    world.pass(secs(40));
    let new = send(&mut world, &challenge);
    assert_ne!(old.code, new.code);
    assert_eq!(world.answer(&challenge, code(&old)), Ok(REFUSED));
    verified(world.answer(&challenge, code(&new)));
    // Who used the last one need not wait for the next.
    let next = world.challenged().challenge;
    send(&mut world, &next);
}

/// R10, R12, R13: wrong codes are charged to the one budget, and the lock closes sending and evaluating alike (R14).
#[test]
fn wrong_codes_are_charged_to_the_one_budget() {
    let (mut world, id) = on();
    let challenge = world.challenged().challenge;
    let sent = send(&mut world, &challenge);
    let mut wrong = other(&sent);
    for guess in 1..=3 {
        assert_eq!(world.answer(&challenge, wrong.clone()), Ok(REFUSED), "guess {guess}");
        assert_eq!(world.state.authenticator(id).unwrap().consecutive_failures, guess);
        wrong = PresentedProof::parse(&format!("0000000{guess}")).unwrap();
    }
    assert!(world.state.failures.locked_until(world.now).is_some());
    assert_eq!(world.answer(&challenge, code(&sent)), Err(Denial::ChallengeInvalid));
    let Ok(Verdict::LockedOut(locked)) = world.check(&world.login()) else { panic!("not locked") };
    let open = locked.still_open.unwrap();
    assert!(open.methods.iter().all(|method| method.kind() == AuthenticatorType::RecoveryCode));
    let denied = send_with(&mut world, &open.challenge, &MEANS);
    assert!(matches!(denied, Err(Denial::UserLocked { .. })), "{denied:?}");
}

/// R21: the code of a pending enrollment is good at its own confirmation only.
#[test]
fn a_pending_code_is_no_second_factor() {
    let (mut world, _) = on();
    let begun = begin_with(&mut world, &number("+4915112345678"), &MEANS).unwrap();
    let challenge = world.challenged().challenge;
    assert_eq!(world.answer(&challenge, code(&begun.message)), Ok(REFUSED));
    assert_eq!(world.detail("finding"), Some("pending"));
}

/// Ruling 5: ten wrong codes end an enrollment; until then the right one confirms it.
#[test]
fn tries_to_confirm_are_counted() {
    let mut world = world();
    let begun = begin(&mut world);
    for left in (0..10).rev() {
        let wrong = confirm(&mut world, &begun, other(&begun.message));
        let denial = Denial::ConfirmationIncorrect {
            field: "proof.code",
            attempts_remaining: left,
            clock_offset_seconds: None,
        };
        assert_eq!(wrong, Err(denial));
    }
    assert_eq!(confirm(&mut world, &begun, code(&begun.message)), Err(Denial::EnrollmentExpired));
}

/// Policy decides whether telephones may be enrolled at all; one number is one authenticator.
#[test]
fn telephones_are_authenticators_like_others() {
    let mut other = World::new(Preset::SelfServiceCode);
    let denied = begin_with(&mut other, &number("+5511987654321"), &MEANS);
    let kind = AuthenticatorType::Sms;
    assert_eq!(denied, Err(Denial::AuthenticatorTypeNotAllowed { kind }));

    let (mut world, _) = on();
    let again = begin_with(&mut world, &number("+55 11 98765-4321"), &MEANS);
    assert_eq!(again, Err(Denial::AuthenticatorExists));
    world.set_policy(|p| p.enrollment.max_authenticators = 1);
    let full = begin_with(&mut world, &number("+4915112345678"), &MEANS);
    assert_eq!(full, Err(Denial::AuthenticatorLimitReached { limit: 1 }));
}

/// B31, R71: where a change needs a code, one that was sent for an open step-up challenge is a proof, once; one that was
/// sent for a login is none.
#[test]
fn a_code_of_a_step_up_challenge_proves_a_change() {
    let (mut world, _) = on();
    world.set_policy(|p| p.disable.required_proofs = vec![ProofKind::SecondFactor]);
    let login = world.challenged().challenge;
    let sent = send(&mut world, &login);
    let proofs = world.proofs(Some(code(&sent)));
    assert_eq!(world.disable(&proofs), Err(Denial::ProofIncorrect { field: "proof.code" }));
    world.pass(MINUTE);
    let sent = step_up(&mut world);
    let proofs = world.proofs(Some(code(&sent)));
    assert_eq!(world.disable(&proofs), Ok(vec![AuthenticatorType::Sms]), "B34: no entry to delete");
    assert!(!world.state.is_on());
}

fn caller(id: &str) -> CallerId {
    CallerId::parse(id).unwrap()
}

/// The message that a repeat of this request of the login service finds.
fn again(world: &World, request: RequestId) -> Option<Message> {
    sending::still_good(&world.state, &world.ctx(), &caller("login"), request)
}

/// The id of the message that this request of the login service asks for.
fn id_of(world: &World, request: RequestId) -> SendId {
    sending::id_of_request(&world.digests, &world.user, &caller("login"), request)
}

/// A repeated request finds its message and gives the same code; a used, expired or voided one is not sent again, nor one
/// that another caller or request asked for.
#[test]
fn a_message_can_be_sent_again() {
    let (mut world, _) = on();
    let challenge = world.challenged().challenge;
    let request = RequestId::from_uuid(world.draw_id());
    let id = id_of(&world, request);
    let sent = send_as(&mut world, id, &challenge, &MEANS).unwrap();
    let found = again(&world, request);
    assert_eq!(found.map(|message| (message.id, message.code)), Some((sent.id, sent.code.clone())));
    assert_eq!(sending::still_good(&world.state, &world.ctx(), &caller("settings"), request), None);
    let other = RequestId::from_uuid(world.draw_id());
    assert_eq!(again(&world, other), None);
    let mut late = world.clone();
    late.pass(5 * MINUTE);
    assert_eq!(again(&late, request), None);
    let mut voided = world.clone();
    voided.pass(MINUTE);
    send(&mut voided, &challenge);
    assert_eq!(again(&voided, request), None);
    verified(world.answer(&challenge, code(&sent)));
    assert_eq!(again(&world, request), None);
}

/// R52, R60: a repeat finds its message also where another root key is the newest, later or on another node; not where the
/// key that the message was made with is gone.
#[test]
fn a_message_is_found_by_its_own_key() {
    let keys = |ids: &[u32], newest: u32| {
        let key = |id: &u32| (KeyId(*id), SecretBytes::new(id.to_be_bytes().repeat(8)));
        DigestKeys::with_newest(ids.iter().map(key).collect(), KeyId(newest)).unwrap()
    };
    for (made_with, other) in [(2, 1), (1, 2)] {
        let mut world = world();
        world.digests.text_messages = keys(&[1, 2], made_with);
        let request = RequestId::from_uuid(world.draw_id());
        let id = id_of(&world, request);
        let begun = begin_as(&mut world, id, &number("+5511987654321"), &MEANS).unwrap();
        world.digests.text_messages = keys(&[1, 2], other);
        assert_eq!(again(&world, request).map(|message| message.id), Some(id));
        let mut gone = world.clone();
        gone.digests.text_messages = keys(&[other], other);
        assert_eq!(again(&gone, request), None);

        confirm(&mut world, &begun, code(&begun.message)).unwrap();
        let challenge = world.challenged().challenge;
        let request = RequestId::from_uuid(world.draw_id());
        let id = id_of(&world, request);
        let sent = send_as(&mut world, id, &challenge, &MEANS).unwrap();
        world.digests.text_messages = keys(&[1, 2], made_with);
        assert_eq!(again(&world, request), Some(sent));
        gone.state = world.state.clone();
        gone.digests.text_messages = keys(&[made_with], made_with);
        assert_eq!(again(&gone, request), None);
    }
}

/// B25, R71: the same row identities under another user or tenant make another code.
#[test]
fn codes_differ_between_users() {
    let (mut mine, _) = on();
    let mut theirs = mine.clone();
    theirs.user = crate::common::user_ref("acme", "bob");
    let (mine_too, theirs_too) = (mine.challenged().challenge, theirs.challenged().challenge);
    let (a, b) = (send(&mut mine, &mine_too), send(&mut theirs, &theirs_too));
    assert_eq!(a.id, b.id, "the same numbers were drawn");
    assert_ne!(a.code, b.code);
}

/// R23: what was begun while nothing was needed for it does not outlive switching on: adding one needs more then, and
/// nobody has proved that.
#[test]
fn what_was_begun_before_switching_on_is_gone() {
    let mut world = world();
    let (begun, thief) = world.begun();
    let mine = begin(&mut world);
    confirm(&mut world, &mine, code(&mine.message)).unwrap();
    let command = world.confirm_command(&begun, thief.code(world.now));
    assert_eq!(world.confirm(&command), Err(Denial::EnrollmentExpired));
    assert_eq!(world.state.authenticators.len(), 1);
}
