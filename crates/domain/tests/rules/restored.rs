//! What becomes of users whose rows come out of a backup, and who is told.

use crate::common::{HOUR, MINUTE, World, client, password, secs};
use countersign_domain::denial::Denial;
use countersign_domain::event::EventType;
use countersign_domain::login::{CheckLogin, RefusedReason, Verdict};
use countersign_domain::otp::Period;
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
        assert_eq!(world.status().recovery_codes_low, codes, "B30: and reminded until there is another set");
        world.make_safe(codes);
        assert_eq!(world.told, None, "once");
    }
}

/// R64: what was taken away since the backup comes back with it, and is not taken away by making it safe, which cannot know of
/// it: a removed app passes again once its step has moved on. Whoever puts a backup back removes it again.
#[test]
fn an_app_that_was_removed_since_the_backup_is_back() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    let backup = world.state.clone();
    world.pass(MINUTE);
    let proofs = world.proofs(Some(phone.code(world.now)));
    world.disable(&proofs).unwrap();
    assert!(world.state.authenticators.is_empty());
    world.state = backup;
    world.make_safe(true);
    world.pass(MINUTE);
    world.log_in(phone.code(world.now));
}

/// R64, R34: a change of the first factor that was reported since the backup is forgotten with it, so one that passed before the
/// restore counts no more.
#[test]
fn a_first_factor_from_before_the_restore_is_stale() {
    let mut world = restored(false);
    let before = Some(password(world.now.minus(secs(1))));
    world.make_safe(false);
    let verdict = world.check(&CheckLogin { first_factor: before, ..world.login() });
    assert_eq!(verdict, Err(Denial::FirstFactorStale { max_age: 10 * MINUTE }));
    world.challenged();
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

/// R64, R4: whatever the period, no code up to the window after the present step is accepted after a restore, because it may
/// have been used since the backup; each is refused as one that was, and the one after them is good in its time.
#[test]
fn codes_that_may_have_been_used_are_void() {
    for seconds in [15, 30, 60, 120] {
        let period = Period::new(seconds).unwrap();
        let (mut world, phone) =
            World::on_with(Preset::SelfServiceCode, |p| p.totp.parameters.period = period);
        world.pass(HOUR);
        world.make_safe(false);
        let (restored, step) = (world.now, secs(u64::from(seconds)));
        // The step of the code, and the one that it is typed in.
        for (of, typed_in) in [(-1, 0), (0, 0), (1, 0), (1, 1)] {
            world.now = restored.plus(typed_in * step);
            let refused = world.check(&world.login_with(phone.code_off(restored, of)));
            assert_eq!(refused, Ok(Verdict::Refused(RefusedReason::CodeNotAccepted)), "{seconds} s, {of}");
            assert_eq!(world.detail("finding"), Some("replayed"), "{seconds} s, {of}");
        }
        world.now = restored.plus(2 * step);
        world.log_in(phone.code(world.now));
    }
}
