//! The difference between two states as writes: as small as it can be, and in an order that a store can follow. That
//! the writes make the state is a law that every decision of every test is held to.

use crate::common::{FIRST, Phone, SECOND, STEP, World, in_groups, laws, name};
use countersign_domain::change::{UserCore, Write, accepted_step_offset, writes};
use countersign_domain::directory;
use countersign_domain::enrollment::{BeginTotp, Confirm};
use countersign_domain::login::CheckLogin;
use countersign_domain::policy::Preset;
use countersign_domain::presented::PresentedProof;
use countersign_domain::user::UserState;

/// The kinds of the writes of what is done to a copy of the world.
fn check(world: &World, act: impl FnOnce(&mut World)) -> Vec<&'static str> {
    let mut after = world.clone();
    act(&mut after);
    writes(&world.state, &after.state).iter().map(kind).collect()
}

fn kind(write: &Write) -> &'static str {
    match write {
        Write::SetFirstFactorSince(_) => "set first factor since",
        Write::PutAuthenticator(_) => "put authenticator",
        Write::UseAuthenticator { .. } => "use authenticator",
        Write::RemoveAuthenticator(_) => "remove authenticator",
        Write::PutPending(_) => "put pending",
        Write::ChargePending { .. } => "charge pending",
        Write::RemovePending(_) => "remove pending",
        Write::PutRecoverySet(_) => "put recovery set",
        Write::UseRecoveryCode { .. } => "use recovery code",
        Write::RemoveRecoverySet => "remove recovery set",
        Write::AddChallenge(_) => "add challenge",
        Write::RemoveChallenge(_) => "remove challenge",
        Write::AddTicket(_) => "add ticket",
        Write::RemoveTicket(_) => "remove ticket",
        Write::PutClient(_) => "put client",
        Write::RemoveClient(_) => "remove client",
        Write::PutDirectory(_) => "put directory",
        Write::RemoveDirectory => "remove directory",
    }
}

/// A user with an app that may have a second one, and the recovery codes.
fn on() -> (World, Phone, PresentedProof) {
    let mut world = World::with(Preset::MandatoryManaged, |p| p.disable.required_proofs = vec![SECOND]);
    let (phone, codes) = world.enroll_with_codes();
    (world, phone, PresentedProof::Recovery(codes.unwrap().codes[2].clone()))
}

/// Nothing is written where nothing changed, and a charge alone is the core's.
#[test]
fn nothing_is_written_where_nothing_changed() {
    let (mut world, _, _) = on();
    assert!(writes(&world.state, &world.state).is_empty());
    world.set_policy(|p| p.lockout.free_failures = 10);
    let wrong = world.wrong();
    let kinds = check(&world, |world| drop(world.check(&world.login_with(wrong))));
    // The authenticator counts its own failures beside the core's (R10); its key is not sealed again.
    assert_eq!(kinds, ["use authenticator"]);
}

/// The hot path seals no key again: a login writes what using changes.
#[test]
fn a_login_writes_only_what_using_changes() {
    let (mut world, phone, recovery) = on();
    let code = phone.code(world.now);
    assert_eq!(check(&world, |world| drop(world.log_in(code.clone()))), ["use authenticator"]);
    let remember = CheckLogin { remember_client: true, ..world.login_with(code) };
    assert_eq!(check(&world, |world| drop(world.check(&remember))), ["use authenticator", "put client"]);
    assert_eq!(check(&world, |world| drop(world.challenged())), ["add challenge"]);
    assert_eq!(check(&world, |world| drop(world.log_in(recovery))), ["use recovery code"]);
    let offer = world.challenged();
    world.pass(STEP);
    let code = phone.code(world.now);
    assert_eq!(
        check(&world, |world| drop(world.answer(&offer.challenge, code))),
        ["use authenticator", "remove challenge"]
    );
}

/// R7: the step that a change accepted is told as its distance from the server's clock, at logins and confirmations;
/// other changes accepted none.
#[test]
fn the_distance_of_an_accepted_step_is_told() {
    let (mut world, phone, recovery) = on();
    let accepted =
        |before: &World, after: &World| accepted_step_offset(&before.state, &after.state, after.now);
    for ahead in [1, 0, -1] {
        world.pass(STEP * 3);
        let before = world.clone();
        drop(world.log_in(phone.code_off(world.now, ahead)));
        assert_eq!(accepted(&before, &world), Some(ahead), "{ahead}");
    }
    let before = world.clone();
    drop(world.log_in(recovery));
    assert_eq!(accepted(&before, &world), None);
    let mut fresh = World::new(Preset::SelfServiceCode);
    let before = fresh.clone();
    fresh.enroll();
    assert_eq!(accepted_step_offset(&before.state, &fresh.state, before.now), Some(0));
}

/// A wrong code at confirmation seals no key again either.
#[test]
fn a_wrong_confirmation_writes_the_tries_alone() {
    let (mut world, _, _) = on();
    assert_eq!(check(&world, |world| drop(world.begun())), ["put pending"]);
    let (begun, phone) = world.begun();
    let wrong = world.wrong();
    let command = world.confirm_command(&begun, wrong);
    assert_eq!(check(&world, |world| drop(world.confirm(&command))), ["charge pending"]);
    assert_eq!(check(&world, |world| drop(world.begun())), ["remove pending", "put pending"]);
    let command = Confirm { code: phone.code(world.now), ..command };
    assert_eq!(check(&world, |world| drop(world.confirm(&command))), ["put authenticator", "remove pending"]);
}

/// R34, R71: a telephone's enrollment that ends changes in place: its row stays, and tells when the message was sent.
#[test]
fn a_telephones_enrollment_that_ended_is_put_again() {
    let mut world = World::new(Preset::SelfServicePassword);
    crate::text_messages::begin(&mut world);
    let end = |world: &mut World| {
        let decision = directory::first_factor_changed(&world.state, &world.ctx(), None);
        world.commit(decision);
    };
    assert_eq!(check(&world, end), ["set first factor since", "put pending"]);
}

/// Ruling 9: where a name changes hands, the old row goes before the new one comes.
#[test]
fn removals_come_before_insertions() {
    let (mut world, _, _) = on();
    let replaced = world.state.authenticators[0].id;
    world.rename(replaced, &name("Phone")).unwrap();
    let begun = world.begin(&BeginTotp { replaces: Some(replaced), ..world.begin_command() }).unwrap();
    let command = world.confirm_command(&begun, Phone::of(&begun).code(world.now));
    let command = Confirm { display_name: Some(name("Phone")), ..command };
    assert_eq!(
        check(&world, |world| drop(world.confirm(&command))),
        ["remove authenticator", "put authenticator", "remove pending"]
    );
}

/// A change of a name or of a standing puts the authenticator whole.
#[test]
fn a_renamed_authenticator_is_put_whole() {
    let (world, _, _) = on();
    let id = world.state.authenticators[0].id;
    assert_eq!(check(&world, |world| drop(world.rename(id, &name("Phone")))), ["put authenticator"]);
}

/// R30: a new set replaces the old one in one write; switching off removes it.
#[test]
fn recovery_sets_are_replaced_whole() {
    let (mut world, phone, _) = on();
    let proofs = world.proofs(Some(phone.code(world.now)));
    assert_eq!(
        check(&world, |world| drop(world.generate(&proofs))),
        ["use authenticator", "put recovery set"]
    );
    world.set_policy(|p| {
        *p = crate::common::document(Preset::SelfServiceCode);
        p.enrollment.required_proofs = vec![FIRST];
    });
    assert_eq!(
        check(&world, |world| drop(world.disable(&proofs))),
        ["remove authenticator", "remove recovery set"]
    );
}

/// The directory's part is put whole, memberships included, and removed whole.
#[test]
fn the_directorys_part_is_written_whole() {
    let mut world = World::new(Preset::SelfServiceCode);
    let put = |world: &mut World| world.state.directory = Some(in_groups(&["staff"]));
    assert_eq!(check(&world, put), ["put directory"]);
    put(&mut world);
    assert_eq!(check(&world, put), [""; 0]);
    assert_eq!(check(&world, |world| world.state.directory = None), ["remove directory"]);
}

/// What expired leaves with the next commit.
#[test]
fn what_expired_is_removed_with_the_next_commit() {
    let (mut world, phone, _) = on();
    world.challenged();
    world.begun();
    world.pass(20 * STEP);
    let code = phone.code(world.now);
    assert_eq!(
        check(&world, |world| drop(world.log_in(code))),
        ["use authenticator", "remove pending", "remove challenge"]
    );
}

/// The writes from nothing to a state, and from it to nothing, make the one and the other.
#[test]
fn a_whole_state_can_be_written() {
    let (mut world, phone, _) = on();
    world.log_in(phone.code(world.now));
    world.challenged();
    world.begun();
    world.state.directory = Some(in_groups(&["staff"]));
    for (from, to) in [(UserState::default(), world.state.clone()), (world.state, UserState::default())] {
        let mut stored = from.clone();
        laws::apply(&mut stored, &UserCore::of(&to), writes(&from, &to));
        assert_eq!(laws::sorted(stored), laws::sorted(to));
    }
}
