//! Security keys: when one may be added, what it proves and for which challenge, what closes it and what does not.

use crate::common::{DAY, FIRST, Phone, SECOND, World, document, secs, session, typed, user_ref};
use countersign_domain::actor::{Actor, Principal};
use countersign_domain::denial::Denial;
use countersign_domain::enrollment::{self, BeginSecurityKey, BegunSecurityKey, Confirm, Confirmed};
use countersign_domain::event::EventType;
use countersign_domain::ids::{AuthenticatorId, EnrollmentId};
use countersign_domain::login::{Allowed, CheckLogin, Method, Offer, RefusedReason, Verdict};
use countersign_domain::policy::{AuthenticatorType, PolicyDocument, Preset, RequirementMode};
use countersign_domain::presented::PresentedProof;
use countersign_domain::proof::Proofs;
use countersign_domain::security_key::PresentedCredential;
use countersign_domain::team::{self, Delegated, Party};
use countersign_domain::user::{ChallengePurpose, Standing, UserState};
use countersign_testkit::{Page, SoftwareKey};

const ORIGIN: &str = "https://login.example.com";
const REFUSED: Result<Verdict, Denial> = Ok(Verdict::Refused(RefusedReason::CodeNotAccepted));

pub(super) fn with_keys(policy: &mut PolicyDocument) {
    "example.com".clone_into(&mut policy.security_key.relying_party_id);
    policy.security_key.origins = vec![ORIGIN.to_owned()];
}

/// A user with an app under the preset that knows keys.
fn world() -> (World, Phone) {
    World::on_with(Preset::SelfServicePassword, with_keys)
}

fn shown(json: &str) -> PresentedProof {
    PresentedProof::SecurityKey(PresentedCredential::new(json).unwrap())
}

pub(super) fn begin_command(world: &World) -> BeginSecurityKey {
    let authority = world.authority();
    BeginSecurityKey { authority, account_label: crate::common::label(), replaces: None, code: None }
}

pub(super) fn begin(world: &mut World, command: &BeginSecurityKey) -> Result<BegunSecurityKey, Denial> {
    let id = EnrollmentId::from_uuid(world.draw_id());
    let decision = enrollment::begin_security_key(&world.state, &world.ctx(), command, id);
    world.commit(decision)
}

fn confirm(world: &mut World, begun: &BegunSecurityKey, json: &str) -> Result<Confirmed, Denial> {
    let authority = world.authority();
    let code = shown(json);
    world.confirm(&Confirm { id: begun.id, authority, code, existing_code: None, display_name: None })
}

/// Adds this key to a user who has an app.
pub(super) fn add(world: &mut World, key: &mut SoftwareKey) -> AuthenticatorId {
    let command = begin_command(world);
    let begun = begin(world, &command).unwrap();
    let made = key.register(begun.creation_options.expose(), &Page::at(ORIGIN));
    confirm(world, &begun, &made).unwrap().id
}

/// What the challenge's keys are asked to sign.
fn options(offer: &Offer) -> &str {
    let asked = offer.methods.iter().find_map(|method| match method {
        Method::SecurityKey { request_options, .. } => Some(request_options),
        _ => None,
    });
    asked.expect("a key among the methods").expose()
}

fn sign(key: &mut SoftwareKey, offer: &Offer) -> PresentedProof {
    shown(&key.sign(options(offer), &Page::at(ORIGIN)))
}

pub(super) fn log_in(world: &mut World, key: &mut SoftwareKey) -> Result<Verdict, Denial> {
    let offer = world.challenged();
    let answer = sign(key, &offer);
    world.answer(&offer.challenge, answer)
}

fn allowed(verdict: Result<Verdict, Denial>) -> Allowed {
    match verdict {
        Ok(Verdict::Allowed(allowed)) => allowed,
        other => panic!("{other:?}"),
    }
}

fn step_up(world: &mut World) -> Offer {
    let command = CheckLogin { purpose: ChallengePurpose::StepUp, ..world.login() };
    match world.check(&command) {
        Ok(Verdict::ChallengeRequired(offer)) => offer,
        Ok(Verdict::LockedOut(locked)) => locked.still_open.unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Lifts the user's lock, as the people do who run the service.
fn unlock(world: &mut World) {
    let operator =
        Actor { principal: Principal::Operator("operator".to_owned()), ..session(&world.user, None) };
    let command = Delegated {
        by: Party { actor: &operator, state: &UserState::default() },
        actor_code: None,
        second: None,
        justification: "called the help desk",
        preview: false,
    };
    let decision = team::unlock_member(&world.state, &world.ctx(), &command);
    world.commit(decision).unwrap();
}

/// B53: a key is added once an app is active, serves at login, and the verdict says how strong it is.
#[test]
fn a_key_is_added_and_serves_at_login() {
    let (mut world, _) = world();
    for (mut key, method) in [(SoftwareKey::new(1), "hwk"), (SoftwareKey::passkey(2), "swk")] {
        let id = add(&mut world, &mut key);
        assert_eq!(world.told, Some(EventType::AuthenticatorAdded));
        assert_eq!(world.state.authenticator(id).unwrap().kind(), AuthenticatorType::SecurityKey);
        let login = allowed(log_in(&mut world, &mut key));
        assert!(login.ground.is_phishing_resistant());
        assert_eq!(login.amr, ["pwd", method, "mfa"]);
        assert_eq!(login.ground.authenticator(), Some((id, AuthenticatorType::SecurityKey)));
        assert_eq!(world.state.authenticator(id).unwrap().last_use_time, Some(world.now));
    }
}

/// B53: without an active app or telephone, or without a relying party, no key can be added; not at confirmation
/// either, should the other one be gone by then.
#[test]
fn a_key_needs_another_kind_and_a_relying_party() {
    let mut alone = World::with(Preset::SelfServicePassword, with_keys);
    let command = begin_command(&alone);
    assert_eq!(begin(&mut alone, &command), Err(Denial::OtherAuthenticatorRequired));
    alone.set_policy(|policy| policy.security_key.requires_other_type = false);
    assert!(begin(&mut alone, &command).is_ok());

    let (mut nowhere, phone) = World::on(Preset::SelfServicePassword);
    let command = begin_command(&nowhere);
    let kind = AuthenticatorType::SecurityKey;
    assert_eq!(begin(&mut nowhere, &command), Err(Denial::AuthenticatorTypeNotAllowed { kind }));
    nowhere.set_policy(with_keys);
    let replaces = Some(nowhere.id_of(&phone));
    let in_its_place = BeginSecurityKey { replaces, ..command };
    assert_eq!(begin(&mut nowhere, &in_its_place), Err(Denial::OtherAuthenticatorRequired));
}

/// B53: a key that the user has already is not added again, and costs no try.
#[test]
fn a_key_is_added_once() {
    let (mut world, _) = world();
    let mut key = SoftwareKey::new(3);
    add(&mut world, &mut key);
    let command = begin_command(&world);
    let begun = begin(&mut world, &command).unwrap();
    let again = key.register(begun.creation_options.expose(), &Page::at(ORIGIN));
    assert_eq!(confirm(&mut world, &begun, &again), Err(Denial::AuthenticatorExists));
    let other = SoftwareKey::new(4).register(begun.creation_options.expose(), &Page::at(ORIGIN));
    assert!(confirm(&mut world, &begun, &other).is_ok());
}

/// R20, R70: what was made for another enrollment, by another page or in no form at all confirms nothing; wrong ones
/// cost a try, and ten end it.
#[test]
fn wrong_registrations_confirm_nothing() {
    let (mut world, phone) = world();
    let command = begin_command(&world);
    let earlier = begin(&mut world, &command).unwrap();
    let begun = begin(&mut world, &command).unwrap();
    let mut key = SoftwareKey::new(5);
    let of_earlier = key.register(earlier.creation_options.expose(), &Page::at(ORIGIN));
    let elsewhere = key.register(begun.creation_options.expose(), &Page::at("https://evil.example"));
    for (wrong, finding, left) in [(&of_earlier, "wrong_challenge", 9), (&elsewhere, "wrong_origin", 8)] {
        let outcome = confirm(&mut world, &begun, wrong);
        assert!(
            matches!(outcome, Err(Denial::ConfirmationIncorrect { attempts_remaining, .. }) if attempts_remaining == left),
            "{outcome:?}"
        );
        assert_eq!(world.detail("finding"), Some(finding));
    }
    let field = "proof.webauthn_credential_json";
    assert!(
        matches!(confirm(&mut world, &begun, "{}"), Err(Denial::FieldInvalid { field: f, .. }) if f == field)
    );
    let authority = world.authority();
    let code = phone.code(world.now);
    let by_code = Confirm { id: begun.id, authority, code, existing_code: None, display_name: None };
    assert!(matches!(world.confirm(&by_code), Err(Denial::FieldInvalid { field: f, .. }) if f == field));
    for _ in 0..8 {
        assert!(confirm(&mut world, &begun, &of_earlier).is_err());
    }
    let right = key.register(begun.creation_options.expose(), &Page::at(ORIGIN));
    assert_eq!(confirm(&mut world, &begun, &right), Err(Denial::EnrollmentExpired));
}

/// R70: an assertion answers one challenge, once: not another one of the same user, not the same one again, not one of
/// another user.
#[test]
fn an_assertion_answers_its_own_challenge_once() {
    let (mut world, _) = world();
    let mut key = SoftwareKey::new(6);
    add(&mut world, &mut key);
    let (first, second) = (world.challenged(), world.challenged());
    let answer = sign(&mut key, &first);
    assert_eq!(world.answer(&second.challenge, answer.clone()), REFUSED);
    assert_eq!(world.detail("finding"), Some("wrong_challenge"));
    allowed(world.answer(&first.challenge, answer.clone()));
    assert_eq!(world.answer(&first.challenge, answer.clone()), Err(Denial::ChallengeInvalid));
    assert_eq!(world.answer(&second.challenge, answer), REFUSED);

    let mut other = world.neighbour(user_ref("acme", "bob"));
    other.enroll();
    add(&mut other, &mut SoftwareKey::new(7));
    let foreign = other.challenged();
    let answer = sign(&mut key, &foreign);
    assert_eq!(other.answer(&foreign.challenge, answer), REFUSED);
    assert_eq!(other.detail("finding"), Some("unknown_credential"));
}

/// R15: wrong codes lock codes, never a key; and a key's failures lock nothing and are charged to nobody.
#[test]
fn locks_of_codes_and_keys_are_apart() {
    let (mut world, phone) = world();
    let mut key = SoftwareKey::new(8);
    let id = add(&mut world, &mut key);
    for _ in 0..3 {
        let wrong = world.wrong();
        world.check(&world.login_with(wrong)).unwrap();
    }
    assert_eq!(world.state.authenticator(id).unwrap().consecutive_failures, 0);
    let Ok(Verdict::LockedOut(locked)) = world.check(&world.login()) else { panic!("codes are locked") };
    let open = locked.still_open.unwrap();
    assert!(open.methods.iter().any(|method| method.kind() == AuthenticatorType::SecurityKey));
    assert!(!open.methods.iter().any(|method| method.kind() == AuthenticatorType::Totp));
    let answer = sign(&mut key, &open);
    assert!(allowed(world.answer(&open.challenge, answer)).ground.is_phishing_resistant());
    assert_eq!(world.status().locked_until, None);

    for _ in 0..30 {
        let offer = world.challenged();
        let wrong = shown(&key.sign(options(&offer), &Page::at("https://evil.example")));
        assert_eq!(world.answer(&offer.challenge, wrong), REFUSED);
    }
    assert_eq!(world.state.failures.consecutive, 0);
    world.log_in(phone.code(world.now));
}

/// R15: who answers a challenge with a code while codes are locked is handed that one again. What the key then signs is
/// for that one, and the browser waits no longer than it is open.
#[test]
fn a_challenge_that_is_handed_back_is_signed() {
    let (mut world, _) = world();
    let mut key = SoftwareKey::new(14);
    add(&mut world, &mut key);
    let locked_out = |verdict: Result<Verdict, Denial>| match verdict {
        Ok(Verdict::LockedOut(locked)) => locked.still_open.unwrap(),
        other => panic!("{other:?}"),
    };
    for _ in 0..3 {
        let wrong = world.wrong();
        world.check(&world.login_with(wrong)).unwrap();
    }
    let verdict = world.check(&world.login());
    let first = locked_out(verdict);
    assert!(options(&first).contains("\"timeout\":300000"), "{}", options(&first));
    world.pass(secs(20));
    let wrong = world.wrong();
    let verdict = world.answer(&first.challenge, wrong);
    let again = locked_out(verdict);
    assert_eq!(again.challenge, first.challenge);
    assert!(options(&again).contains("\"timeout\":280000"), "{}", options(&again));
    let answer = sign(&mut key, &again);
    allowed(world.answer(&again.challenge, answer));
}

/// R13, R15: where every code is disabled the key still serves, and a user with keys alone is never locked.
#[test]
fn a_key_serves_where_codes_are_closed() {
    let (mut world, phone) = world();
    let mut key = SoftwareKey::new(9);
    add(&mut world, &mut key);
    while world.state.takes_codes() {
        let until = world.state.failures.locked_until(world.now);
        world.pass(until.map_or(DAY / 24, |until| until.since(world.now)));
        let wrong = world.wrong();
        world.check(&world.login_with(wrong)).unwrap();
    }
    allowed(log_in(&mut world, &mut key));

    let proofs = world.proofs(None);
    world.remove(world.id_of(&phone), &proofs).unwrap();
    assert_eq!(world.check(&world.login_with(typed("123456"))), REFUSED);
    assert_eq!(world.state.failures.consecutive, 0);
    allowed(log_in(&mut world, &mut key));
}

/// R70: a counter that falls or stands still is refused, recorded with both values and told to the owner; the key then
/// serves nobody, and no manager brings it back: it is bound anew.
#[test]
fn a_copied_key_is_closed() {
    let (mut world, _) = world();
    let mut key = SoftwareKey::new(10);
    let id = add(&mut world, &mut key);
    let mut copy = key.clone();
    allowed(log_in(&mut world, &mut key));
    assert_eq!(log_in(&mut world, &mut copy), REFUSED);
    assert_eq!(world.kinds(), [EventType::LoginRefused, EventType::AuthenticatorDisabled]);
    assert_eq!(world.told, Some(EventType::AuthenticatorDisabled));
    assert_eq!(world.detail("finding"), Some("sign_count_regressed"));
    assert_eq!(
        (world.detail("sign_count_stored"), world.detail("sign_count_presented")),
        (Some("2"), Some("2"))
    );
    assert!(matches!(world.state.authenticator(id).unwrap().standing, Standing::Disabled { .. }));
    let offer = world.challenged();
    assert!(offer.methods.iter().all(|method| method.kind() != AuthenticatorType::SecurityKey));
}

/// R34, R70: with a copied key everything dies that was handed out before: the epoch rises by one, an open challenge and a
/// remembered client are worth nothing any more.
#[test]
fn closing_a_copied_key_raises_the_epoch() {
    let (mut world, phone) = World::on_with(Preset::MandatoryManaged, |policy| {
        with_keys(policy);
        policy.allowed_types.push(AuthenticatorType::SecurityKey);
    });
    let mut key = SoftwareKey::new(14);
    add(&mut world, &mut key);
    let mut copy = key.clone();
    allowed(log_in(&mut world, &mut key));
    let remember = CheckLogin { remember_client: true, ..world.login_with(phone.code(world.now)) };
    let remembered = allowed(world.check(&remember)).ground.remembered_client().unwrap().clone();
    let open = world.challenged();
    let epoch = world.state.epoch;
    assert_eq!(log_in(&mut world, &mut copy), REFUSED);
    assert_eq!(world.state.epoch, epoch.next());
    let late = sign(&mut key, &open);
    assert_eq!(world.answer(&open.challenge, late), Err(Denial::ChallengeInvalid));
    let showing = CheckLogin { client_token: Some(remembered.token), ..world.login() };
    assert!(matches!(world.check(&showing), Ok(Verdict::ChallengeRequired(_))));
}

/// R15, R70: who lifts the lock of somebody's codes gives the codes back, and no key that was copied; with no code closed
/// nothing changes, and no guess is forgiven.
#[test]
fn unlocking_brings_no_copied_key_back() {
    let (mut world, phone) = world();
    let mut key = SoftwareKey::new(15);
    let id = add(&mut world, &mut key);
    let mut copy = key.clone();
    allowed(log_in(&mut world, &mut key));
    assert_eq!(log_in(&mut world, &mut copy), REFUSED);
    let closed = world.state.authenticator(id).unwrap().clone();
    assert!(!closed.is_active());

    let guess = |world: &mut World| {
        let wrong = world.wrong();
        world.check(&world.login_with(wrong)).unwrap();
    };
    guess(&mut world);
    let before = world.state.clone();
    unlock(&mut world);
    assert_eq!((&world.state, world.told), (&before, None));

    for _ in 0..2 {
        guess(&mut world);
    }
    assert!(world.state.failures.locked_until(world.now).is_some());
    unlock(&mut world);
    assert_eq!(world.told, Some(EventType::UserUnlocked));
    assert_eq!(world.state.authenticator(id), Some(&closed));
    world.log_in(phone.code(world.now));

    world.guess_until_disabled();
    unlock(&mut world);
    assert_eq!(world.state.authenticator(id), Some(&closed));
    assert!(world.state.authenticator(world.id_of(&phone)).unwrap().is_active());
}

/// R23: where a change needs a second factor, what a key signed for a step-up is one; for a login's challenge, or
/// twice, it is none.
#[test]
fn a_key_proves_changes_by_a_step_up() {
    let both = |policy: &mut PolicyDocument| {
        with_keys(policy);
        policy.disable.required_proofs = vec![FIRST, SECOND];
    };
    let (mut world, _) = World::on_with(Preset::SelfServicePassword, both);
    world.set_policy(|policy| policy.enrollment.required_proofs = vec![FIRST]);
    let mut key = SoftwareKey::new(11);
    add(&mut world, &mut key);
    let wrong = Err(Denial::ProofIncorrect { field: "proof.webauthn_credential_json" });

    let login = world.challenged();
    let proofs = |world: &World, proof| Proofs { ..world.proofs(Some(proof)) };
    let for_login = sign(&mut key, &login);
    let given = proofs(&world, for_login);
    assert_eq!(world.generate(&given).map(|_| ()), wrong);

    let offer = step_up(&mut world);
    let proof = sign(&mut key, &offer);
    let given = proofs(&world, proof);
    assert!(world.generate(&given).is_ok());
    assert_eq!(world.disable(&given).map(|_| ()), wrong);

    let offer = step_up(&mut world);
    let malformed = proofs(&world, shown("{}"));
    assert!(matches!(world.disable(&malformed), Err(Denial::FieldInvalid { .. })));
    let proof = sign(&mut key, &offer);
    let given = proofs(&world, proof);
    let gone = world.disable(&given).unwrap();
    assert!(gone.contains(&AuthenticatorType::SecurityKey), "B34: {gone:?}");
    assert!(!world.state.is_on());
}

/// R70: with the login itself nothing was asked, so nothing can be answered.
#[test]
fn a_key_answers_challenges_only() {
    let (mut world, _) = world();
    let mut key = SoftwareKey::new(12);
    add(&mut world, &mut key);
    let offer = world.challenged();
    let answer = sign(&mut key, &offer);
    let outcome = world.check(&world.login_with(answer));
    assert!(matches!(outcome, Err(Denial::FieldInvalid { field: "answer.webauthn_credential_json", .. })));
}

/// R34: an assertion of an older epoch is worth nothing.
#[test]
fn an_assertion_dies_with_its_epoch() {
    let (mut world, phone) = world();
    let mut key = SoftwareKey::new(13);
    add(&mut world, &mut key);
    let offer = world.challenged();
    let answer = sign(&mut key, &offer);
    let proofs = world.proofs(None);
    world.remove(world.id_of(&phone), &proofs).unwrap();
    assert_eq!(world.answer(&offer.challenge, answer), Err(Denial::ChallengeInvalid));
}

/// B20: the challenge names the way that was used last first; one that was never used stands behind.
#[test]
fn the_way_used_last_is_named_first() {
    let (mut world, phone) = world();
    let mut key = SoftwareKey::new(1);
    add(&mut world, &mut key);
    let kinds = |offer: &Offer| offer.methods.iter().map(Method::kind).collect::<Vec<_>>();
    world.pass(DAY);
    world.log_in(phone.code(world.now));
    let [app, own] = [AuthenticatorType::Totp, AuthenticatorType::SecurityKey];
    assert_eq!(kinds(&world.challenged()), [app, own, AuthenticatorType::RecoveryCode]);
    world.pass(DAY);
    allowed(log_in(&mut world, &mut key));
    assert_eq!(kinds(&world.challenged()), [own, app, AuthenticatorType::RecoveryCode]);
}

/// B53, R70: where the policy names nobody any more for whom keys sign, removing one of two keys takes the other one along
/// no more than it would while they serve: it serves again when somebody is named. The last one is switching off.
#[test]
fn removing_a_key_that_serves_nobody_leaves_the_other() {
    let (mut world, _) = world();
    let mut keys = [1, 2].map(SoftwareKey::new);
    let ids = [0, 1].map(|index| add(&mut world, &mut keys[index]));
    world.state.authenticators.retain(|own| own.kind() == AuthenticatorType::SecurityKey);
    world.set_policy(|p| {
        p.security_key.relying_party_id.clear();
        p.security_key.origins.clear();
    });
    let mut alone = world.clone();
    let proofs = world.proofs(None);
    assert_eq!(world.remove(ids[0], &proofs), Ok(vec![AuthenticatorType::SecurityKey]));
    assert_eq!(world.kinds(), [EventType::AuthenticatorRemoved]);
    world.set_policy(with_keys);
    allowed(log_in(&mut world, &mut keys[1]));

    alone.state.authenticators.retain(|own| own.id == ids[0]);
    assert_eq!(alone.remove(ids[0], &proofs), Ok(vec![AuthenticatorType::SecurityKey]));
    assert_eq!(alone.kinds(), [EventType::TwoFactorDisabled, EventType::AuthenticatorRemoved]);
}

/// B19, B20: where the policy names nobody any more for whom keys sign, who has nothing else is told so; a challenge
/// without a way would be one that cannot be passed.
#[test]
fn keys_alone_that_serve_nobody_lock_out() {
    let (mut world, _) = world();
    let mut key = SoftwareKey::new(1);
    add(&mut world, &mut key);
    world.state.authenticators.retain(|own| own.kind() == AuthenticatorType::SecurityKey);
    world.state.recovery = None;
    world.set_policy(|p| {
        p.security_key.relying_party_id.clear();
        p.security_key.origins.clear();
    });
    let wrong = world.wrong();
    for login in [world.login(), world.login_with(wrong)] {
        let Ok(Verdict::LockedOut(locked)) = world.check(&login) else { panic!("not locked out") };
        assert_eq!((locked.retry_after, locked.still_open), (None, None));
        assert_eq!(world.detail("finding"), Some("no_method"));
        assert!(world.state.challenges.is_empty() && world.state.failures.recent.is_empty());
    }
}

/// R37: a key that serves nobody any more is no second factor that could stay behind: beside it the app is the last one,
/// which nobody removes in mandatory mode, and whose removal elsewhere switches off.
#[test]
fn the_last_that_serves_is_the_last() {
    let (mut world, phone) = world();
    add(&mut world, &mut SoftwareKey::new(1));
    let app = world.id_of(&phone);
    world.set_policy(|p| p.security_key.origins.clear());
    let mut optional = world.clone();
    world.set_policy(|p| {
        p.requirement.mode = RequirementMode::Required;
        p.disable.self_service = false;
    });
    let proofs = world.proofs(None);
    let mut served = world.clone();
    served.set_policy(with_keys);
    assert!(served.remove(app, &proofs).is_ok());
    assert_eq!(world.remove(app, &proofs), Err(Denial::LastAuthenticator));
    assert_eq!(world.state.authenticators.len(), 2);

    let gone = optional.remove(app, &proofs).unwrap();
    assert_eq!(gone, [AuthenticatorType::Totp, AuthenticatorType::SecurityKey]);
    assert_eq!((optional.state.is_on(), optional.told), (false, Some(EventType::TwoFactorDisabled)));
}

/// B38: nor is it an active second factor of somebody who acts on others.
#[test]
fn who_acts_on_others_needs_a_key_that_serves() {
    let by_keys = |policy: &mut PolicyDocument| {
        with_keys(policy);
        policy.delegation = document(Preset::AdminPermissions).delegation;
    };
    let (target, _) = World::on_with(Preset::SelfServicePassword, by_keys);
    let mut admin = target.neighbour(user_ref("acme", "adam"));
    admin.enroll();
    add(&mut admin, &mut SoftwareKey::new(1));
    admin.state.authenticators.retain(|own| own.kind() == AuthenticatorType::SecurityKey);
    let permissions = target.policy.delegation[0].permissions.clone();
    let actor = Actor { permissions, ..session(&admin.user, None) };
    let disabled = |mut target: World| {
        let by = Party { actor: &actor, state: &admin.state };
        let justification = "lost the phone";
        let command = Delegated { by, actor_code: None, second: None, justification, preview: false };
        let decision = team::disable_member(&target.state, &target.ctx(), &command);
        target.commit(decision)
    };
    assert_eq!(disabled(target.clone()), Ok(()));
    let mut unnamed = target;
    unnamed.set_policy(|p| p.security_key.origins.clear());
    assert_eq!(disabled(unnamed), Err(Denial::ActorTwoFactorMissing));
}
