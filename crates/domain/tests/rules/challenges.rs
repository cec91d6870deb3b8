//! Challenges: how long they are open, what passes them, what kills them; and step-up.

use crate::common::{MINUTE, World, client, password, secs, user_ref};
use countersign_domain::denial::Denial;
use countersign_domain::event::EventType;
use countersign_domain::ids::ChallengeId;
use countersign_domain::login::{
    self, AnswerChallenge, Assurance, CheckLogin, Offer, RefusedReason, Verdict,
};
use countersign_domain::policy::Preset;
use countersign_domain::presented::PresentedProof;
use countersign_domain::proof::Proofs;
use countersign_domain::token::{self, Opened};
use countersign_domain::user::{ChallengePurpose, ClientClaims};

const REFUSED: Verdict = Verdict::Refused(RefusedReason::CodeNotAccepted);
const DEAD: Result<Verdict, Denial> = Err(Denial::ChallengeInvalid);

/// Ruling 3: a challenge is open for five minutes.
#[test]
fn a_challenge_is_open_for_five_minutes() {
    for (age, alive) in [(secs(299), true), (secs(300), false)] {
        let (mut world, phone) = World::on(Preset::SelfServiceCode);
        let offer = world.challenged();
        assert_eq!(world.kinds(), [EventType::LoginChallenged]);
        assert_eq!(offer.expire_time, world.now.plus(5 * MINUTE));
        world.pass(age);
        let verdict = world.answer(&offer.challenge, phone.code(world.now));
        if alive {
            assert!(matches!(verdict, Ok(Verdict::Allowed(_))), "{verdict:?}");
        } else {
            assert_eq!(verdict, DEAD);
        }
    }
}

/// Ruling 3: a refused answer leaves the challenge open; a passed one closes it, whatever is shown again.
#[test]
fn a_challenge_is_passed_once() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    let offer = world.challenged();
    let wrong = world.wrong();
    assert_eq!(world.answer(&offer.challenge, wrong), Ok(REFUSED));
    let right = phone.code(world.now);
    let Ok(Verdict::Allowed(allowed)) = world.answer(&offer.challenge, right) else {
        panic!("{:?}", world.events)
    };
    assert_eq!(allowed.ground.assurance(), Assurance::Verified);
    world.pass(MINUTE);
    assert_eq!(world.answer(&offer.challenge, phone.code(world.now)), DEAD);
}

/// The verdict of an answer speaks of the login that was challenged: its first factor and its device.
#[test]
fn an_answer_finishes_the_login_that_was_challenged() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    let first = crate::common::federated(world.now, &["face"]);
    let command = CheckLogin { first_factor: Some(first), client: client("shop"), ..world.login() };
    let Ok(Verdict::ChallengeRequired(offer)) = world.check(&command) else { panic!("{:?}", world.events) };
    let Ok(Verdict::Allowed(allowed)) = world.answer(&offer.challenge, phone.code(world.now)) else {
        panic!("{:?}", world.events)
    };
    assert_eq!(allowed.amr, ["face", "otp", "mfa"]);
}

/// Ruling 3, R43: an unknown challenge and one of another epoch are dead; nothing is evaluated or charged for them.
#[test]
fn an_unknown_challenge_is_dead() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    let offer = world.challenged();
    let opened = token::open_challenge(&world.digests.tokens, offer.challenge.expose()).unwrap();
    let unknown = ChallengeId::from_uuid(world.draw_id());
    let fresh = world.fresh_login();
    let wrong = world.wrong();
    for (challenge, code) in [
        (Opened { id: unknown, ..opened.clone() }, phone.code(world.now)),
        (Opened { epoch: opened.epoch.next(), ..opened.clone() }, phone.code(world.now)),
        (Opened { id: unknown, ..opened }, wrong),
    ] {
        let command = AnswerChallenge { challenge, answer: code, remember_client: false };
        let decision = login::answer(&world.state, &world.ctx(), &command, &fresh);
        assert_eq!((decision.outcome, &decision.effect.own.next), (DEAD, &world.state));
    }
}

/// B25: a challenge of one user says nothing to another.
#[test]
fn a_challenge_is_of_one_user() {
    let (mut world, _) = World::on(Preset::SelfServiceCode);
    let offer = world.challenged();
    let mut other = world.neighbour(user_ref("acme", "bob"));
    let phone = other.enroll();
    assert_eq!(other.answer(&offer.challenge, phone.code(other.now)), DEAD);
}

/// R34: whatever raises the epoch kills open challenges, here a recovery code used for another one.
#[test]
fn a_raised_epoch_kills_open_challenges() {
    let mut world = World::new(Preset::SelfServiceCode);
    let (phone, codes) = world.enroll_with_codes();
    let (first, second) = (world.challenged(), world.challenged());
    let code = PresentedProof::Recovery(codes.unwrap().codes[0].clone());
    assert!(matches!(world.answer(&first.challenge, code), Ok(Verdict::Allowed(_))));
    assert_eq!(world.answer(&second.challenge, phone.code(world.now)), DEAD);
}

/// R49: a user has at most eight open challenges; of one network's the oldest makes room.
#[test]
fn the_oldest_challenge_makes_room() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    let offers: Vec<_> = (0..9).map(|_| world.challenged()).collect();
    let alive: Vec<_> = offers
        .iter()
        .map(|offer| world.clone().answer(&offer.challenge, phone.code(world.now)).is_ok())
        .collect();
    assert_eq!(alive, [false, true, true, true, true, true, true, true, true]);
}

/// The challenge that a lock leaves open for a login from this client.
fn still_open(world: &mut World, client: ClientClaims) -> Offer {
    match world.check(&CheckLogin { client, ..world.login() }) {
        Ok(Verdict::LockedOut(locked)) => locked.still_open.expect("recovery codes stay open"),
        other => panic!("{other:?}"),
    }
}

/// R15: who has the password locks the user, and then answers a challenge of their own, or asks for others, without end. The
/// owner's challenge stays, and a recovery code passes it.
#[test]
fn a_thief_of_the_password_pushes_out_no_challenge_of_the_owner() {
    type Thief = fn(usize) -> ClientClaims;
    let thieves: [(&str, Thief); 4] = [
        ("elsewhere", |_| ClientClaims { ip_address: "198.51.100.7".to_owned(), ..client("web") }),
        ("elsewhere, by many names", |try_| ClientClaims {
            ip_address: "198.51.100.7".to_owned(),
            user_agent: format!("Browser {try_}"),
            ..client(&format!("web {try_}"))
        }),
        ("elsewhere, at every address of a network", |try_| ClientClaims {
            ip_address: format!("2001:db8:0:7:{try_}::1"),
            user_agent: format!("Browser {try_}"),
            ..client("web")
        }),
        ("beside the owner", |_| ClientClaims { user_agent: "Script".to_owned(), ..client("web") }),
    ];
    for (who, thief) in thieves {
        let mut world = World::new(Preset::SelfServiceCode);
        let (_, codes) = world.enroll_with_codes();
        while world.state.failures.locked_until(world.now).is_none() {
            let wrong = world.wrong();
            world.check(&world.login_with(wrong)).unwrap();
        }
        let owners = still_open(&mut world, client("web"));
        let own = still_open(&mut world, thief(0));
        for _ in 0..9 {
            world.pass(secs(1));
            let wrong = world.wrong();
            let Ok(Verdict::LockedOut(locked)) = world.answer(&own.challenge, wrong) else { panic!("{who}") };
            assert_eq!(
                locked.still_open.as_ref(),
                Some(&own),
                "{who}: the one that was answered, to its end"
            );
        }
        assert_eq!(world.state.challenges.len(), 2, "{who}");
        for try_ in 0..9 {
            still_open(&mut world, thief(try_));
        }
        assert_eq!(world.state.challenges.len(), 8, "{who}");
        let code = PresentedProof::Recovery(codes.unwrap().codes[0].clone());
        let Ok(Verdict::Allowed(allowed)) = world.answer(&owners.challenge, code) else { panic!("{who}") };
        assert_eq!(allowed.ground.assurance(), Assurance::Recovered, "{who}");
    }
}

/// R15: nor does somebody at the owner's address, or through a caller that tells none, choose which one goes. What was asked
/// by the owner's own user agent does not stand out before it is half of all.
#[test]
fn nobody_beside_the_owner_chooses_which_challenge_goes() {
    for ip_address in ["192.0.2.1", ""] {
        let (mut world, phone) = World::on(Preset::SelfServiceCode);
        let ask = |world: &mut World, user_agent: String| {
            let client = ClientClaims { ip_address: ip_address.to_owned(), user_agent, ..client("web") };
            match world.check(&CheckLogin { client, ..world.login() }) {
                Ok(Verdict::ChallengeRequired(offer)) => offer,
                other => panic!("{other:?}"),
            }
        };
        for try_ in 0..7 {
            ask(&mut world, format!("Browser {try_}"));
        }
        let owners = ask(&mut world, "Browser".to_owned());
        for _ in 0..3 {
            ask(&mut world, "Browser".to_owned());
        }
        let verdict = world.answer(&owners.challenge, phone.code(world.now));
        assert!(matches!(verdict, Ok(Verdict::Allowed(_))), "{ip_address:?}: {verdict:?}");
    }
}

/// R2, B7: a code of another number of digits than anything of the user's is an invalid argument, named, free, and
/// leaves everything as it was.
#[test]
fn another_number_of_digits_is_free() {
    let (mut world, _) = World::on(Preset::SelfServiceCode);
    let offer = world.challenged();
    let before = world.state.clone();
    for _ in 0..60 {
        let eight = crate::common::typed("12345678");
        for denied in
            [world.check(&world.login_with(eight.clone())), world.answer(&offer.challenge, eight.clone())]
        {
            assert!(matches!(denied, Err(Denial::FieldInvalid { field: "answer.code", .. })), "{denied:?}");
        }
        let proofs = world.proofs(Some(eight));
        let denied = world.disable(&proofs);
        assert!(matches!(denied, Err(Denial::FieldInvalid { field: "proof.code", .. })), "{denied:?}");
    }
    assert_eq!(world.state, before);
}

/// A step-up is asked like a login, and a proof made for it is a verified one.
#[test]
fn a_step_up_is_asked() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    let step_up = CheckLogin { purpose: ChallengePurpose::StepUp, ..world.login() };
    let Ok(Verdict::ChallengeRequired(offer)) = world.check(&step_up) else { panic!("{:?}", world.events) };
    let verdict = world.answer(&offer.challenge, phone.code(world.now));
    assert!(
        matches!(verdict, Ok(Verdict::Allowed(allowed)) if allowed.ground.assurance() == Assurance::Verified)
    );
}

/// R55: the log tells what a code was asked for: a login, which says nothing of it, a step-up, or a change.
#[test]
fn the_log_tells_what_a_proof_is_for() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    let wrong = world.wrong();
    let step_up = CheckLogin { purpose: ChallengePurpose::StepUp, ..world.login() };
    world.check(&world.login()).unwrap();
    assert_eq!((world.kinds(), world.detail("purpose")), (vec![EventType::LoginChallenged], None));
    world.check(&world.login_with(wrong.clone())).unwrap();
    assert_eq!((world.kinds(), world.detail("purpose")), (vec![EventType::LoginRefused], None));
    let Ok(Verdict::ChallengeRequired(offer)) = world.check(&step_up) else { panic!("{:?}", world.events) };
    assert_eq!((world.kinds(), world.detail("purpose")), (vec![EventType::LoginChallenged], Some("step_up")));
    world.answer(&offer.challenge, phone.code(world.now)).unwrap();
    assert_eq!((world.kinds(), world.detail("purpose")), (vec![EventType::LoginAllowed], Some("step_up")));
    let proofs = Proofs { first_factor: None, code: Some(wrong) };
    assert_eq!(world.disable(&proofs).map(|_| ()), Err(Denial::ProofIncorrect { field: "proof.code" }));
    assert_eq!((world.kinds(), world.detail("purpose")), (vec![EventType::LoginRefused], Some("change")));
    let mut world = World::new(Preset::SelfServiceCode);
    let begun = world.begin(&world.begin_command()).unwrap();
    let wrong = world.wrong();
    let confirm = world.confirm_command(&begun, wrong);
    assert!(matches!(world.confirm(&confirm), Err(Denial::ConfirmationIncorrect { .. })));
    assert_eq!((world.kinds(), world.detail("purpose")), (vec![EventType::LoginRefused], Some("change")));
}

/// A step-up of a user without a second factor is refused, whatever the requirement: there is nothing to prove.
#[test]
fn a_step_up_needs_a_second_factor() {
    for preset in Preset::ALL {
        let mut world = World::new(preset);
        let step_up = CheckLogin { purpose: ChallengePurpose::StepUp, ..world.login() };
        let refused = Verdict::Refused(RefusedReason::TwoFactorNotEnabled);
        assert_eq!(world.check(&step_up), Ok(refused), "{}", preset.id());
        assert!(world.state.tickets.is_empty(), "{}", preset.id());
    }
}

/// R39: a step-up is never spared by a remembered client, and never makes one.
#[test]
fn a_step_up_knows_no_remembered_client() {
    let (mut world, phone) = World::on(Preset::MandatoryManaged);
    let remember = CheckLogin { remember_client: true, ..world.login_with(phone.code(world.now)) };
    let Ok(Verdict::Allowed(allowed)) = world.check(&remember) else { panic!("{:?}", world.events) };
    let client_token = allowed.ground.remembered_client().map(|client| client.token.clone());
    assert!(client_token.is_some());
    world.pass(MINUTE);
    let step_up = CheckLogin { purpose: ChallengePurpose::StepUp, client_token, ..world.login() };
    let clients = world.state.clients.clone();
    let Ok(Verdict::ChallengeRequired(offer)) = world.check(&step_up) else { panic!("{:?}", world.events) };
    for verdict in [
        world.clone().answer_and(&offer.challenge, phone.code(world.now), true),
        world.clone().check(&CheckLogin {
            answer: Some(phone.code(world.now)),
            remember_client: true,
            ..step_up.clone()
        }),
    ] {
        let Ok(Verdict::Allowed(allowed)) = verdict else { panic!("{verdict:?}") };
        assert_eq!(
            (allowed.ground.assurance(), allowed.ground.remembered_client()),
            (Assurance::Verified, None)
        );
    }
    assert_eq!(world.state.clients, clients, "nor is its token rotated");
}

/// Ruling 3: the age of the first factor is looked at when the challenge is asked; the challenge's own five minutes
/// bound the answer.
#[test]
fn an_open_challenge_keeps_its_first_factor() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    let oldest = world.now.minus(world.policy.first_factor.max_age);
    let command = CheckLogin { first_factor: Some(password(oldest)), ..world.login() };
    let Ok(Verdict::ChallengeRequired(offer)) = world.check(&command) else { panic!("{:?}", world.events) };
    world.pass(4 * MINUTE);
    assert!(matches!(world.answer(&offer.challenge, phone.code(world.now)), Ok(Verdict::Allowed(_))));
}
