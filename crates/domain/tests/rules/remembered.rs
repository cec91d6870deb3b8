//! Remembered clients: whom a token spares the challenge, for how long, and what a rotated-out one does.

use crate::common::{DAY, HOUR, MINUTE, Phone, World, client, federated, secs, user_ref};
use countersign_domain::clients::{ClientToken, Revocation};
use countersign_domain::digest::{DigestKeys, KeyId};
use countersign_domain::event::EventType;
use countersign_domain::ids::ClientId;
use countersign_domain::login::{Allowed, Assurance, CheckLogin, Ground, RefusedReason, Verdict};
use countersign_domain::policy::{ChallengeMode, PolicyDocument, Preset};
use countersign_domain::presented::PresentedProof;
use countersign_domain::secret::{SecretBytes, SecretString};
use std::collections::BTreeMap;

/// A user with an app under the preset that asks unknown clients only.
fn on() -> (World, Phone) {
    World::on(Preset::MandatoryManaged)
}

/// Logs in with a fresh code and has the client of that application remembered. Takes a minute, so that the next code
/// is a fresh one.
fn remember(world: &mut World, phone: &Phone, application: &str) -> ClientToken {
    let command = CheckLogin {
        remember_client: true,
        client: client(application),
        ..world.login_with(phone.code(world.now))
    };
    let Ok(Verdict::Allowed(allowed)) = world.check(&command) else { panic!("{:?}", world.events) };
    world.pass(MINUTE);
    allowed.ground.remembered_client().cloned().expect("the client is remembered")
}

/// A login from a client that shows a token.
fn showing(world: &World, token: &SecretString) -> CheckLogin {
    CheckLogin { client_token: Some(token.clone()), ..world.login() }
}

/// Shows a token; the login that it allowed, or `None` where the client is not known.
fn check(world: &mut World, token: &SecretString) -> Option<Allowed> {
    match world.check(&showing(world, token)) {
        Ok(Verdict::Allowed(allowed)) => Some(allowed),
        Ok(Verdict::ChallengeRequired(_)) => None,
        other => panic!("{other:?}"),
    }
}

fn rotated(allowed: Option<Allowed>) -> ClientToken {
    match allowed.map(|allowed| allowed.ground) {
        Some(Ground::Remembered { token } | Ground::Verified { remembered: Some(token), .. }) => token,
        other => panic!("{other:?}"),
    }
}

fn next(allowed: Option<Allowed>) -> SecretString {
    rotated(allowed).token
}

/// B23, R38, R39, ruling 14: a client that the user chose to have remembered is not asked again; the verdict is
/// `REMEMBERED`, with the first factor's amr alone, and its token is rotated.
#[test]
fn a_remembered_client_is_not_asked() {
    let (mut world, phone) = on();
    let first = remember(&mut world, &phone, "web");
    assert_eq!(first.expire_time, world.now.minus(MINUTE).plus(30 * DAY));
    let allowed = check(&mut world, &first.token).expect("it is remembered");
    assert_eq!(allowed.ground.assurance(), Assurance::Remembered);
    assert_eq!(allowed.amr, ["pwd"]);
    assert_eq!((allowed.ground.verify_time(), allowed.ground.authenticator()), (None, None));
    let rotated = allowed.ground.remembered_client().unwrap();
    assert_ne!(rotated.token, first.token);
    assert_eq!(rotated.expire_time, first.expire_time, "R38: the expiry is absolute");
    assert_eq!((world.kinds(), world.told), (vec![EventType::LoginAllowed], None));
}

/// R39: the amr of a remembered login is whatever the first factor's was.
#[test]
fn a_remembered_login_has_the_first_factors_amr() {
    let (mut world, phone) = on();
    let token = remember(&mut world, &phone, "web").token;
    let first_factor = Some(federated(world.now, &["face"]));
    let command = CheckLogin { first_factor, ..showing(&world, &token) };
    let Ok(Verdict::Allowed(allowed)) = world.check(&command) else { panic!("{:?}", world.events) };
    assert_eq!(allowed.amr, ["face"]);
}

/// B23: password and unknown client without a code is not let in; only choosing to be remembered remembers, and only
/// a verified login.
#[test]
fn only_a_verified_login_that_chose_it_is_remembered() {
    let (mut world, phone) = on();
    let plain = world.log_in(phone.code(world.now));
    assert_eq!(plain.ground.remembered_client(), None);
    world.pass(MINUTE);
    let wrong = world.wrong();
    let refused = CheckLogin { remember_client: true, ..world.login_with(wrong) };
    assert_eq!(world.check(&refused), Ok(Verdict::Refused(RefusedReason::CodeNotAccepted)));
    let unasked = CheckLogin { remember_client: true, ..world.login() };
    assert!(matches!(world.check(&unasked), Ok(Verdict::ChallengeRequired(_))));
    assert!(world.state.clients.is_empty());
}

/// B23: the answer to a challenge may have the client remembered too: the one that the challenge was asked from.
#[test]
fn an_answer_may_remember_the_client() {
    let (mut world, phone) = on();
    let command = CheckLogin { client: client("shop"), ..world.login() };
    let Ok(Verdict::ChallengeRequired(offer)) = world.check(&command) else { panic!("{:?}", world.events) };
    let verdict = world.answer_and(&offer.challenge, phone.code(world.now), true);
    let Ok(Verdict::Allowed(allowed)) = verdict else { panic!("{verdict:?}") };
    let token = rotated(Some(allowed)).token;
    assert!(world.kinds().contains(&EventType::ClientRemembered));
    assert_eq!(world.told, Some(EventType::ClientRemembered));
    world.pass(MINUTE);
    let shop = CheckLogin { client: client("shop"), ..showing(&world, &token) };
    assert!(matches!(world.check(&shop), Ok(Verdict::Allowed(_))));
}

/// B23: under `EVERY_LOGIN` nothing is remembered, and what was remembered before is not looked at.
#[test]
fn policy_may_ask_at_every_login() {
    let (mut world, phone) = on();
    let token = remember(&mut world, &phone, "web").token;
    world.set_policy(|p| p.challenge.mode = ChallengeMode::EveryLogin);
    assert_eq!(check(&mut world, &token), None);
    let command = CheckLogin { remember_client: true, ..world.login_with(phone.code(world.now)) };
    let Ok(Verdict::Allowed(allowed)) = world.check(&command) else { panic!("{:?}", world.events) };
    assert_eq!(allowed.ground.remembered_client(), None);
}

/// Ruling 14: where the reply was lost, the rotated-out token is taken for 60 seconds and gets the very same current
/// token again; after that it revokes its family, tells the owner, and the client is asked.
#[test]
fn a_lost_reply_is_forgiven_for_a_minute() {
    for (age, forgiven) in [(0, true), (59, true), (60, true), (61, false), (86_400, false)] {
        let (mut world, phone) = on();
        let first = remember(&mut world, &phone, "web").token;
        let second = next(check(&mut world, &first));
        world.pass(secs(age));
        let again = check(&mut world, &first);
        if forgiven {
            assert_eq!(next(again), second, "{age} s");
            assert_eq!(next(check(&mut world, &first)), second, "{age} s, lost once more");
            assert_ne!(next(check(&mut world, &second)), second, "{age} s");
        } else {
            assert_eq!(again, None, "{age} s");
            assert_eq!(world.kinds(), [EventType::LoginChallenged, EventType::ClientTokenReused]);
            assert_eq!(world.told, Some(EventType::ClientTokenReused));
            assert!(world.state.clients.is_empty());
            assert_eq!(check(&mut world, &second), None, "R38: the whole family is revoked");
        }
    }
}

/// R38, R55: the events of a client name it: when it was remembered, let in, pushed out, shown a copy of, revoked.
#[test]
fn events_name_the_client() {
    let one = |policy: &mut PolicyDocument| policy.challenge.max_remembered_clients = 1;
    let (mut world, phone) = World::on_with(Preset::MandatoryManaged, one);
    let gone = remember(&mut world, &phone, "web").client.to_string();
    assert_eq!((world.detail("client_id"), world.detail("pushed_out")), (Some(&*gone), None));
    let first = remember(&mut world, &phone, "web");
    let id = first.client.to_string();
    assert_eq!((world.detail("client_id"), world.detail("pushed_out")), (Some(&*id), Some(&*gone)));
    let second = rotated(check(&mut world, &first.token));
    assert_eq!((world.kinds(), world.detail("client_id")), (vec![EventType::LoginAllowed], Some(&*id)));
    assert_eq!(second.client, first.client);
    let mut revoking = world.clone();
    assert_eq!(revoking.revoke(&Revocation::All), Ok(1));
    assert_eq!(revoking.detail("client_ids"), Some(&*id));
    assert_eq!(revoking.revoke(&Revocation::All), Ok(0));
    assert_eq!((revoking.detail("count"), revoking.detail("client_ids")), (Some("0"), None));
    world.pass(2 * MINUTE);
    assert_eq!(check(&mut world, &first.token), None);
    assert_eq!(world.kinds(), [EventType::LoginChallenged, EventType::ClientTokenReused]);
    assert_eq!(world.detail("client_id"), Some(&*id));
}

/// R38: a token from before the one that was just rotated out is reuse at any time.
#[test]
fn an_older_token_is_never_forgiven() {
    let (mut world, phone) = on();
    let first = remember(&mut world, &phone, "web").token;
    let second = next(check(&mut world, &first));
    let third = next(check(&mut world, &second));
    assert_eq!(check(&mut world, &first), None);
    assert_eq!(world.told, Some(EventType::ClientTokenReused));
    for token in [second, third] {
        assert_eq!(check(&mut world, &token), None);
        assert_eq!(world.kinds(), [EventType::LoginChallenged], "there is nothing left to revoke");
    }
}

/// R38: reuse revokes its own family alone, and where the same login brings a code, the verdict leads the events.
#[test]
fn reuse_revokes_its_own_family() {
    let (mut world, phone) = on();
    let stolen = remember(&mut world, &phone, "web").token;
    let other = remember(&mut world, &phone, "web").token;
    next(check(&mut world, &stolen));
    world.pass(2 * MINUTE);
    let wrong = world.wrong();
    let command = CheckLogin { answer: Some(wrong), ..showing(&world, &stolen) };
    assert_eq!(world.check(&command), Ok(Verdict::Refused(RefusedReason::CodeNotAccepted)));
    assert_eq!(world.kinds(), [EventType::LoginRefused, EventType::ClientTokenReused]);
    assert_eq!(world.told, Some(EventType::ClientTokenReused));
    assert!(check(&mut world, &other).is_some());
}

/// B50, B28, R18, R58: who shows a rotated-out token beside something graver hides neither: the owner is told of both.
#[test]
fn reuse_hides_nothing_that_the_same_login_does() {
    let mut world = World::new(Preset::MandatoryManaged);
    let (phone, codes) = world.enroll_with_codes();
    let stolen = remember(&mut world, &phone, "web").token;
    next(check(&mut world, &stolen));
    world.pass(2 * MINUTE);
    let recovery = PresentedProof::Recovery(codes.unwrap().codes[0].clone());
    let (right, wrong) = (phone.code(world.now), world.wrong());
    let mut almost_locked = world.clone();
    almost_locked.state.failures.consecutive = world.policy.lockout.free_failures - 1;
    let mut almost_disabled = world.clone();
    almost_disabled.state.authenticators[0].consecutive_failures = world.policy.lockout.consecutive_limit - 1;
    for (mut world, code, remember_client, graver) in [
        (world.clone(), recovery, false, EventType::RecoveryCodeUsed),
        (almost_locked, wrong.clone(), false, EventType::UserLocked),
        (almost_disabled, wrong, false, EventType::AuthenticatorDisabled),
        (world, right, true, EventType::ClientRemembered),
    ] {
        let command = CheckLogin { answer: Some(code), remember_client, ..showing(&world, &stolen) };
        world.check(&command).unwrap();
        assert_eq!(world.all_told, [graver, EventType::ClientTokenReused], "{:?}", world.kinds());
    }
}

/// R38: the expiry is absolute: use does not move it.
#[test]
fn the_expiry_is_absolute() {
    let (mut world, phone) = on();
    let mut token = remember(&mut world, &phone, "web").token;
    let created = world.now.minus(MINUTE);
    for day in 1..30 {
        world.now = created.plus(day * DAY);
        token = next(check(&mut world, &token));
    }
    world.now = created.plus(30 * DAY).minus(secs(1));
    token = next(check(&mut world, &token));
    world.pass(secs(1));
    assert_eq!(check(&mut world, &token), None);
    assert!(world.state.clients.is_empty());
}

/// R38: a shorter duration holds for clients that exist too: they are asked again when it is over, and until then are told
/// when that is. A longer one prolongs none.
#[test]
fn a_shorter_duration_holds_for_clients_that_exist() {
    let hours = |policy: &mut PolicyDocument, count: u32| policy.challenge.remember_duration = count * HOUR;
    let (mut world, phone) = on();
    let created = world.now;
    let token = remember(&mut world, &phone, "web").token;
    world.set_policy(|policy| hours(policy, 3));
    world.now = created.plus(2 * HOUR);
    let spared = rotated(check(&mut world, &token));
    assert_eq!(spared.expire_time, created.plus(3 * HOUR));
    assert_eq!(world.status().user.clients[0].expire_time, created.plus(3 * HOUR));
    world.set_policy(|policy| hours(policy, 1));
    assert_eq!(check(&mut world, &spared.token), None);
    assert!(world.status().user.clients.is_empty());

    let shorter = |policy: &mut PolicyDocument| hours(policy, 1);
    let (mut world, phone) = World::on_with(Preset::MandatoryManaged, shorter);
    let created = world.now;
    let token = remember(&mut world, &phone, "web").token;
    world.set_policy(|policy| hours(policy, 24));
    let spared = rotated(check(&mut world, &token));
    assert_eq!(spared.expire_time, created.plus(HOUR));
    world.now = created.plus(HOUR);
    assert_eq!(check(&mut world, &spared.token), None);
}

/// R38: a client whose time is over pushes out none that is remembered, however recently it was used.
#[test]
fn a_client_that_is_over_pushes_out_nobody() {
    let two = |policy: &mut PolicyDocument| policy.challenge.max_remembered_clients = 2;
    let (mut world, phone) = World::on_with(Preset::MandatoryManaged, two);
    let over = remember(&mut world, &phone, "web").token;
    world.pass(3 * DAY);
    let stays = remember(&mut world, &phone, "web").token;
    world.pass(DAY);
    let over = next(check(&mut world, &over));
    world.set_policy(|policy| policy.challenge.remember_duration = 2 * DAY);
    remember(&mut world, &phone, "web");
    assert_eq!(check(&mut world, &over), None);
    world.set_policy(|policy| policy.challenge.remember_duration = 30 * DAY);
    assert_eq!(check(&mut world, &over), None, "gone for good");
    assert!(check(&mut world, &stays).is_some());
}

/// R38: a token is bound to tenant, user and application.
#[test]
fn a_token_is_bound_to_user_and_application() {
    let (mut world, phone) = on();
    let token = remember(&mut world, &phone, "web").token;
    let elsewhere = CheckLogin { client: client("shop"), ..showing(&world, &token) };
    assert!(matches!(world.clone().check(&elsewhere), Ok(Verdict::ChallengeRequired(_))));
    for user in [user_ref("acme", "bob"), user_ref("globex", "ann")] {
        let mut other = world.neighbour(user);
        other.state = world.state.clone();
        assert_eq!(check(&mut other, &token), None);
        assert_eq!(other.state.clients, world.state.clients, "a foreign token is no reuse");
    }
    assert!(check(&mut world, &token).is_some());
}

/// R38, R34: a token is bound to its epoch: a row that somebody lifts into a later one has no token.
#[test]
fn a_token_is_bound_to_its_epoch() {
    let (mut world, phone) = on();
    let token = remember(&mut world, &phone, "web").token;
    world.state.epoch = world.state.epoch.next();
    let mut lifted = world.clone();
    lifted.state.clients[0].epoch = lifted.state.epoch;
    for world in [&mut world, &mut lifted] {
        assert_eq!(check(world, &token), None);
    }
}

/// R38, R28: what is stored makes no token: without the key that made it there is none, and garbage is not looked at.
#[test]
fn only_our_tokens_are_looked_at() {
    let (mut world, phone) = on();
    let token = remember(&mut world, &phone, "web").token;
    let clients = world.state.clients.clone();
    for garbage in ["", "x", "AAAA", &"A".repeat(600), &token.expose()[1..]] {
        assert_eq!(check(&mut world, &SecretString::new(garbage.to_owned())), None);
        assert_eq!(world.state.clients, clients);
    }
    let keys = BTreeMap::from([(KeyId(1), SecretBytes::new(vec![9; 32]))]);
    let mut planted = world.clone();
    planted.digests.tokens = DigestKeys::new(keys).unwrap();
    assert_eq!(check(&mut planted, &token), None);
}

/// R52: a token of an older key is taken, and rotates to the newest one.
#[test]
fn a_token_rotates_to_the_newest_key() {
    let (mut world, phone) = on();
    let token = remember(&mut world, &phone, "web").token;
    let both = [(KeyId(1), vec![2; 32]), (KeyId(2), vec![7; 32])];
    let keys = both.map(|(id, key)| (id, SecretBytes::new(key)));
    world.digests.tokens = DigestKeys::new(BTreeMap::from(keys)).unwrap();
    let rotated = next(check(&mut world, &token));
    assert_eq!(world.state.clients[0].key, KeyId(2));
    assert_eq!(next(check(&mut world, &token)), rotated, "a lost reply gets the very same token");
}

/// Ruling 10, R34: an epoch that rises forgets every client; here by the use of a recovery code.
#[test]
fn a_raised_epoch_forgets_clients() {
    let mut world = World::new(Preset::MandatoryManaged);
    let (phone, codes) = world.enroll_with_codes();
    let token = remember(&mut world, &phone, "web").token;
    world.log_in(PresentedProof::Recovery(codes.unwrap().codes[0].clone()));
    assert_eq!(check(&mut world, &token), None);
}

/// R49: one client too many pushes out the least recently used one, not the oldest.
#[test]
fn the_least_recently_used_client_makes_room() {
    let (mut world, phone) =
        World::on_with(Preset::MandatoryManaged, |p| p.challenge.max_remembered_clients = 3);
    let mut tokens: Vec<_> = (0..3).map(|_| remember(&mut world, &phone, "web").token).collect();
    tokens[0] = next(check(&mut world, &tokens[0]));
    world.pass(MINUTE);
    tokens.push(remember(&mut world, &phone, "web").token);
    assert_eq!(world.state.clients.len(), 3);
    let known: Vec<_> = tokens.iter().map(|token| check(&mut world.clone(), token).is_some()).collect();
    assert_eq!(known, [true, false, true, true]);
    // Policy lets fewer be kept: the next one pushes out all that are too many.
    world.set_policy(|p| p.challenge.max_remembered_clients = 1);
    remember(&mut world, &phone, "web");
    assert_eq!(world.state.clients.len(), 1);
}

/// B24: users revoke some or all of their clients without a proof; the owner is told once; those that are gone
/// already are skipped.
#[test]
fn users_revoke_remembered_clients() {
    let (mut world, phone) = on();
    let tokens: Vec<_> = (0..3).map(|_| remember(&mut world, &phone, "web").token).collect();
    let ids: Vec<_> = world.state.clients.iter().map(|client| client.id).collect();
    let unknown = ClientId::from_uuid(world.draw_id());
    assert_eq!(world.revoke(&Revocation::Some(vec![unknown])), Ok(0));
    assert_eq!(world.clone().revoke(&Revocation::Some(vec![ids[0], unknown])), Ok(1));
    assert_eq!(world.state.clients.len(), 3);
    let epoch = world.state.epoch;
    assert_eq!(world.revoke(&Revocation::Some(vec![ids[1]])), Ok(1));
    assert_eq!(
        (world.kinds(), world.told),
        (vec![EventType::ClientsRevoked], Some(EventType::ClientsRevoked))
    );
    assert_eq!(check(&mut world.clone(), &tokens[1]), None, "R36");
    assert!(check(&mut world.clone(), &tokens[0]).is_some());
    assert_eq!(world.revoke(&Revocation::All), Ok(2));
    assert_eq!(world.state.epoch, epoch, "ruling 10 does not name it");
    for token in &tokens {
        assert_eq!(check(&mut world.clone(), token), None);
    }
    assert_eq!(world.revoke(&Revocation::All), Ok(0));
    assert_eq!(world.told, None, "B50: nothing changed");
}

/// B24: the list says what users know a client by, and when and where it was last used.
#[test]
fn the_list_says_what_users_know_a_client_by() {
    let (mut world, phone) = on();
    let token = remember(&mut world, &phone, "web").token;
    let created = world.now.minus(MINUTE);
    let elsewhere = countersign_domain::user::ClientClaims {
        ip_address: "198.51.100.7".to_owned(),
        user_agent: "Another name".to_owned(),
        ..client("web")
    };
    let command = CheckLogin { client: elsewhere, ..showing(&world, &token) };
    world.check(&command).unwrap();
    let listed = &world.status().user.clients[0];
    assert_eq!((listed.display_name.as_str(), listed.application.as_str()), ("Browser", "web"));
    assert_eq!(listed.last_ip_address, "198.51.100.7");
    assert_eq!((listed.create_time, listed.last_use_time), (created, world.now));
}
