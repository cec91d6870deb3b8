//! What becomes of users whose rows come out of a backup, and who is told.

use crate::common::{MINUTE, World, client};
use countersign_domain::event::EventType;
use countersign_domain::login::{CheckLogin, Verdict};
use countersign_domain::policy::Preset;

/// A user with an app and recovery codes, and with a client that is remembered if that is wanted.
fn restored(remembered: bool) -> World {
    let (mut world, phone) = World::on(Preset::MandatoryManaged);
    let command = CheckLogin {
        remember_client: remembered,
        client: client("web"),
        ..world.login_with(phone.code(world.now))
    };
    assert!(matches!(world.check(&command), Ok(Verdict::Allowed(_))));
    assert_eq!(world.state.clients.is_empty(), !remembered);
    assert!(world.state.recovery.is_some());
    world.pass(MINUTE);
    world
}

/// R64, R58, B50: whose clients or recovery codes are voided is told once, by the event that says so; who loses nothing that
/// they would miss is not told.
#[test]
fn owners_are_told_what_a_restore_took_from_them() {
    for (remembered, codes) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut world = restored(remembered);
        let epoch = world.state.epoch;
        world.make_safe(codes);
        assert_eq!(world.kinds(), [EventType::ClientsRevoked]);
        assert_eq!(world.detail("cause"), Some("database-restored"));
        assert_eq!(world.detail("recovery_codes"), codes.then_some("voided"));
        let told = (remembered || codes).then_some(EventType::ClientsRevoked);
        assert_eq!(world.told, told, "{remembered} {codes}");
        assert!(world.state.clients.is_empty() && world.state.epoch != epoch);
        assert_eq!(world.state.recovery.is_none(), codes);
        world.make_safe(codes);
        assert_eq!(world.told, None, "once");
    }
}

/// R64, B50: who was remembered no longer is told nothing of that.
#[test]
fn clients_that_had_expired_are_no_loss() {
    let mut world = restored(true);
    world.pass(world.policy.challenge.remember_duration);
    world.make_safe(false);
    assert_eq!((world.kinds(), world.told), (vec![EventType::ClientsRevoked], None));
}

/// R64: somebody who owns nothing is left as they are.
#[test]
fn who_owns_nothing_is_left_alone() {
    let mut world = World::new(Preset::MandatoryManaged);
    let before = world.state.clone();
    world.make_safe(true);
    assert_eq!((world.state, world.told), (before, None));
}
