//! What the tenant's directory tells: who a user is, that their first factor changed, that they are gone; and that a
//! member asks for help.

use crate::common::{HOUR, MINUTE, Phone, STEP, World, document, in_groups, password, secs, session};
use countersign_domain::change::{Decision, Notice};
use countersign_domain::denial::Denial;
use countersign_domain::directory;
use countersign_domain::enrollment::{Authority, BeginTotp};
use countersign_domain::event::EventType;
use countersign_domain::ids::{ResetRequestId, TeamId};
use countersign_domain::login::{CheckLogin, Verdict};
use countersign_domain::policy::Preset;
use countersign_domain::proof::Proofs;
use countersign_domain::time::Timestamp;
use countersign_domain::user::{
    DirectoryEntry, RESET_REQUEST_LIFETIME, ResetRequest, Role, TeamMembership, UserState,
};
use std::time::Duration;

fn entry(email: &str) -> DirectoryEntry {
    DirectoryEntry { email: email.to_owned(), ..DirectoryEntry::default() }
}

fn put(world: &mut World, entry: &DirectoryEntry) -> Vec<Notice> {
    let decision = directory::put(&world.state, &world.ctx(), entry);
    let notices = decision.effect.own.notices.clone();
    world.commit(decision);
    notices
}

/// The notice of a changed address, which was that one before.
fn also_at(old: &str) -> Vec<Notice> {
    vec![Notice { event: 1, old_address: Some(old.to_owned()) }]
}

/// B51: another address is told at the new and at the old one; a first address, or other changes, are told to nobody.
#[test]
fn another_address_is_told_at_the_old_one_too() {
    let mut world = World::new(Preset::SelfServiceCode);
    assert_eq!(put(&mut world, &entry("old@example.org")), []);
    assert_eq!(world.kinds(), [EventType::UserPut]);
    let grouped = DirectoryEntry { groups: vec!["staff".to_owned()], ..entry("old@example.org") };
    assert_eq!(put(&mut world, &grouped), []);
    let told = put(&mut world, &entry("new@example.org"));
    assert_eq!(told, also_at("old@example.org"));
    assert_eq!(world.kinds(), [EventType::UserPut, EventType::ContactChanged]);
    assert_eq!(world.told, Some(EventType::ContactChanged));
    // An address that is taken away is told where it was.
    assert_eq!(put(&mut world, &entry("")), also_at("new@example.org"));
}

/// R55: the log tells which fields were put, whom that gives power over a team or takes it from, and who may log in no more or
/// again; never what an address or a label is.
#[test]
fn the_log_tells_what_the_directory_changed() {
    let team = |id: &str, role| TeamMembership { team: TeamId::parse(id).unwrap(), role };
    let mut world = World::new(Preset::SelfServiceCode);
    let mut told = |entry: &DirectoryEntry| {
        put(&mut world, entry);
        assert_eq!(world.events[0].kind, EventType::UserPut);
        let details = world.events[0].details.iter();
        details.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
    };
    let mut entry = DirectoryEntry {
        account_label: "CANARY".to_owned(),
        email: "canary@example.org".to_owned(),
        teams: vec![team("red", Role::Member), team("blue", Role::Manager)],
        ..DirectoryEntry::default()
    };
    assert_eq!(told(&entry), ["fields=account_label email teams", "manages=blue"]);
    entry.teams = vec![team("red", Role::Manager), team("green", Role::Manager)];
    assert_eq!(told(&entry), ["fields=teams", "manages=red green", "manages_no_more=blue"]);
    entry.teams.pop();
    entry.disabled = true;
    assert_eq!(told(&entry), ["fields=teams disabled", "manages_no_more=green", "disabled=true"]);
    entry.disabled = false;
    entry.groups = vec!["staff".to_owned()];
    assert_eq!(told(&entry), ["fields=groups disabled", "disabled=false"]);
    entry.language_code = "de".to_owned();
    assert_eq!(told(&entry), ["fields=language_code"]);
    entry.email = String::new();
    assert_eq!(told(&entry), ["fields=email"]);

    // As many teams as there may be, of the longest names: none is hidden behind others.
    let names: Vec<_> = (0..100).map(|number| format!("{number:0>128}")).collect();
    entry.teams = names.iter().map(|name| team(name, Role::Manager)).collect();
    told(&entry);
    let managed = world.events.iter().flat_map(|event| &event.details).filter(|(name, _)| name == "manages");
    let managed: Vec<_> = managed.flat_map(|(_, teams)| teams.split(' ')).collect();
    assert_eq!(managed, names);
    assert!(world.events.iter().all(|event| event.kind == EventType::UserPut));
}

/// R53: neither address shows in what is printed of the decision.
#[test]
fn addresses_are_not_printed() {
    let mut world = World::new(Preset::SelfServiceCode);
    put(&mut world, &entry("old@example.org"));
    let decision = directory::put(&world.state, &world.ctx(), &entry("new@example.org"));
    let printed = format!("{decision:?} {decision:#?}");
    assert!(!printed.contains("example.org"), "{printed}");
}

/// Saying the same again changes and tells nothing.
#[test]
fn saying_the_same_again_tells_nothing() {
    let mut world = World::new(Preset::SelfServiceCode);
    put(&mut world, &in_groups(&["staff"]));
    let before = world.state.clone();
    assert_eq!(put(&mut world, &in_groups(&["staff"])), []);
    assert_eq!((world.kinds(), world.state), (vec![], before));
}

/// The directory's word leaves the second factor alone.
#[test]
fn the_directory_does_not_touch_the_second_factor() {
    let (mut world, phone) = World::on(Preset::SelfServiceCode);
    let offer = world.challenged();
    let before = UserState { directory: Some(entry("a@example.org")), ..world.state.clone() };
    put(&mut world, &entry("a@example.org"));
    assert_eq!(world.state, before);
    assert!(matches!(world.answer(&offer.challenge, phone.code(world.now)), Ok(Verdict::Allowed(_))));
}

/// R34, ruling 10: a changed first factor kills remembered clients, open challenges and pending enrollments; the second
/// factor and its recovery codes stay.
#[test]
fn a_changed_first_factor_kills_what_it_led_to() {
    let (mut world, phone) = World::on(Preset::MandatoryManaged);
    let remember = CheckLogin { remember_client: true, ..world.login_with(phone.code(world.now)) };
    let Ok(Verdict::Allowed(allowed)) = world.check(&remember) else { panic!("{:?}", world.events) };
    let client_token = allowed.ground.remembered_client().map(|client| client.token.clone());
    world.pass(STEP);
    let offer = world.challenged();
    let (begun, pending) = world.begun();
    let (authenticators, recovery) = (world.state.authenticators.clone(), world.state.recovery.clone());
    let decision: Decision<()> = directory::first_factor_changed(&world.state, &world.ctx(), None);
    world.commit(decision);
    assert_eq!(
        (world.kinds(), world.told),
        (vec![EventType::FirstFactorChanged], Some(EventType::FirstFactorChanged))
    );
    assert_eq!((&world.state.authenticators, &world.state.recovery), (&authenticators, &recovery));
    let verdict = world.check(&CheckLogin { client_token, ..world.login() });
    assert!(matches!(verdict, Ok(Verdict::ChallengeRequired(_))), "{verdict:?}");
    assert_eq!(world.answer(&offer.challenge, phone.code(world.now)), Err(Denial::ChallengeInvalid));
    let confirm = world.confirm_command(&begun, pending.code(world.now));
    assert_eq!(world.confirm(&confirm), Err(Denial::EnrollmentExpired));
    world.log_in(phone.code(world.now));
}

/// Says that the first factor changed.
fn report(world: &mut World, change_time: Option<Timestamp>) {
    let decision: Decision<()> = directory::first_factor_changed(&world.state, &world.ctx(), change_time);
    world.commit(decision);
}

/// What who passed the first factor at that time is denied: a login, an enrollment, switching off.
fn denied(world: &World, verify_time: Timestamp) -> [Option<Denial>; 3] {
    let first_factor = Some(password(verify_time));
    let login = CheckLogin { first_factor: first_factor.clone(), ..world.login() };
    let authority = Authority::Session(session(&world.user, first_factor.clone()));
    let begin = BeginTotp { authority, ..world.begin_command() };
    let proofs = Proofs { first_factor, code: None };
    let world = || world.clone();
    [world().check(&login).err(), world().begin(&begin).err(), world().disable(&proofs).err()]
}

/// R34, R23: who passed the first factor before it changed is told the same as who passed it too long ago, whatever they ask.
/// Times count by whole seconds, because callers may tell no more: who passed it in that second is not refused. A change
/// that is reported later was when the report says, or a minute from now at the latest, and never before another one.
#[test]
fn a_first_factor_from_before_a_change_is_stale() {
    let (mut world, _) = World::on(Preset::SelfServicePassword);
    world.pass(HOUR + Duration::from_millis(700));
    let stale = || [(); 3].map(|()| Some(Denial::FirstFactorStale { max_age: 10 * MINUTE }));
    let fresh = [None, None, None];
    let (now, earlier) = (world.now, world.now.minus(5 * MINUTE));
    assert_eq!(denied(&world, earlier), fresh, "nothing is reported");
    let ahead = now.plus(MINUTE);
    for (change_time, changed) in [
        (None, now),
        (Some(now), now),
        (Some(ahead), ahead),
        (Some(now.plus(HOUR)), ahead),
        (Some(earlier), earlier),
    ] {
        let mut world = world.clone();
        report(&mut world, change_time);
        let since = Timestamp::from_unix_seconds(changed.unix_seconds());
        for verify_time in [since.minus(secs(1)), since.minus(Duration::from_micros(1))] {
            assert_eq!(denied(&world, verify_time), stale(), "{change_time:?}");
        }
        for verify_time in [since, changed, now.max(changed)] {
            assert_eq!(denied(&world, verify_time), fresh, "{change_time:?}");
        }
        report(&mut world, Some(earlier));
        assert_eq!(world.state.first_factor_since, Some(since), "an older change makes nothing fresh again");
    }
}

/// R34, R65: a report that was decided by a clock far ahead refuses the owner's new first factor until then. One more report by a
/// right clock ends that; one by a clock that is behind a little takes nothing back.
#[test]
fn a_report_of_a_wrong_clock_is_mended_by_another() {
    let (mut world, _) = World::on(Preset::SelfServicePassword);
    let right = world.now;
    world.pass(HOUR);
    report(&mut world, None);
    world.now = right;
    assert_eq!(denied(&world, right)[0], Some(Denial::FirstFactorStale { max_age: 10 * MINUTE }));
    report(&mut world, None);
    assert_eq!((denied(&world, right), world.state.first_factor_since), ([None, None, None], Some(right)));
    world.now = right.minus(secs(2));
    report(&mut world, None);
    assert_eq!(world.state.first_factor_since, Some(right));
}

/// R34: a challenge of the present epoch that the old first factor opened is dead: a node of the version before, which knows of no
/// change, asked it. So is one by a clock that ran behind.
#[test]
fn a_challenge_for_an_old_first_factor_is_dead() {
    let (mut world, phone) = World::on(Preset::SelfServicePassword);
    world.pass(HOUR);
    let offer = world.challenged();
    world.state.first_factor_since = Some(world.now.plus(secs(1)));
    world.pass(secs(2));
    assert_eq!(world.answer(&offer.challenge, phone.code(world.now)), Err(Denial::ChallengeInvalid));
    world.log_in(phone.code(world.now));
}

/// R34: the change holds for who has no second factor, and is not forgotten with one that is switched off.
#[test]
fn a_change_holds_without_a_second_factor() {
    let mut without = World::new(Preset::SelfServicePassword);
    report(&mut without, None);
    let (mut off, _) = World::on(Preset::SelfServicePassword);
    report(&mut off, None);
    off.disable(&off.proofs(None)).unwrap();
    for mut world in [without, off] {
        let first_factor = Some(password(world.now.minus(secs(1))));
        let verdict = world.check(&CheckLogin { first_factor, ..world.login() });
        assert_eq!(verdict, Err(Denial::FirstFactorStale { max_age: 10 * MINUTE }));
        assert!(matches!(world.check(&world.login()), Ok(Verdict::Allowed(_))));
    }
}

/// B50: the event of a changed first factor says when that was, where the report did.
#[test]
fn a_changed_first_factor_says_when() {
    let (world, _) = World::on(Preset::MandatoryManaged);
    let reported = world.now.minus(MINUTE);
    for (change_time, expected) in [(None, None), (Some(reported), Some(reported.unix_seconds().to_string()))]
    {
        let decision: Decision<()> = directory::first_factor_changed(&world.state, &world.ctx(), change_time);
        let [event] = decision.effect.own.events.as_slice() else {
            panic!("{:?}", decision.effect.own.events)
        };
        let told = event.details.iter().find(|(name, _)| *name == directory::CHANGE_TIME);
        assert_eq!(told.map(|(_, seconds)| seconds.clone()), expected);
    }
}

/// Erasing leaves nothing but a risen epoch, so that no old token comes to life again when the user comes back.
#[test]
fn erasing_leaves_nothing_but_the_epoch() {
    let (mut world, phone) = World::on(Preset::MandatoryManaged);
    put(&mut world, &entry("a@example.org"));
    let remember = CheckLogin { remember_client: true, ..world.login_with(phone.code(world.now)) };
    let Ok(Verdict::Allowed(allowed)) = world.check(&remember) else { panic!("{:?}", world.events) };
    let offer = world.challenged();
    let epoch = world.state.epoch;
    let decision = directory::erase(&world.state, &world.ctx());
    world.commit(decision);
    assert_eq!(world.state, UserState { epoch: epoch.next(), ..UserState::default() });
    assert_eq!(world.kinds(), [EventType::UserErased]);
    world.pass(MINUTE);
    let back = world.enroll();
    assert_eq!(world.answer(&offer.challenge, back.code(world.now)), Err(Denial::ChallengeInvalid));
    let client_token = allowed.ground.remembered_client().map(|client| client.token.clone());
    let verdict = world.check(&CheckLogin { client_token, ..world.login() });
    assert!(matches!(verdict, Ok(Verdict::ChallengeRequired(_))), "{verdict:?}");
}

/// B50, R58: erasing takes a second factor away, and its owner hears of that; who had none is told nothing.
#[test]
fn whose_second_factor_is_erased_is_told() {
    for (mut world, told) in [
        (World::on(Preset::SelfServiceCode).0, Some(EventType::UserErased)),
        (World::new(Preset::SelfServiceCode), None),
    ] {
        let decision = directory::erase(&world.state, &world.ctx());
        world.commit(decision);
        assert_eq!((world.kinds(), world.told), (vec![EventType::UserErased], told));
    }
}

/// Asks for a reset, a minute later each time.
fn ask(world: &mut World, reason: &str) -> Result<ResetRequest, Denial> {
    world.pass(MINUTE);
    let id = ResetRequestId::from_uuid(world.draw_id());
    let decision = directory::request_reset(&world.state, &world.ctx(), reason, id);
    world.commit(decision)
}

/// B42, B50: a member with a second factor asks for a reset, and the owner is told; asking again replaces the reason and nothing
/// else, and sends no letter in which others would be buried. Asking for the same again is nothing.
#[test]
fn a_member_asks_for_a_reset() {
    let mut world = World::new(Preset::MandatoryManaged);
    assert_eq!(ask(&mut world, "lost"), Err(Denial::TwoFactorNotEnabled));
    world.enroll();
    let asked = EventType::ResetRequested;
    let first = ask(&mut world, "lost").unwrap();
    let told = (vec![asked], Some(asked));
    assert_eq!((world.kinds(), world.told), told, "nobody asks in the owner's place unnoticed");
    let again = ask(&mut world, "stolen").unwrap();
    assert_eq!((world.kinds(), world.told), (vec![asked], None));
    let before = world.state.clone();
    assert_eq!(ask(&mut world, "stolen"), Ok(again.clone()));
    assert_eq!((world.kinds(), &world.state), (vec![], &before));
    assert_eq!(again, ResetRequest { reason: "stolen".to_owned(), ..first });
    assert_eq!(world.state.reset_request, Some(again.clone()));
    assert!(world.state.is_on(), "asking changes nothing yet");
    // It closes seven days after the first asking (ruling 15); then asking makes a new one.
    world.now = again.create_time.plus(RESET_REQUEST_LIFETIME);
    assert_ne!(ask(&mut world, "stolen").unwrap().id, again.id);
    assert_eq!(world.told, Some(asked));
}

/// B42, ruling 15: who helped themself asks no longer, so that no manager takes a new phone away: by a phone that replaces the
/// lost one, by switching off, by removing the only one.
#[test]
fn who_helps_themself_asks_no_longer() {
    let (mut world, lost) = World::on(Preset::MandatoryManaged);
    ask(&mut world, "lost").unwrap();
    let replaces = Some(world.id_of(&lost));
    let begun = world.begin(&BeginTotp { replaces, ..world.begin_command() }).unwrap();
    assert!(world.state.reset_request.is_some(), "it is not confirmed yet");
    world.confirm(&world.confirm_command(&begun, Phone::of(&begun).code(world.now))).unwrap();
    assert_eq!(world.state.reset_request, None);

    let (mut world, phone) = World::on_with(Preset::AdminPermissions, |p| {
        p.delegation = document(Preset::MandatoryManaged).delegation;
    });
    ask(&mut world, "lost").unwrap();
    let (mut other, id, proofs) = (world.clone(), world.id_of(&phone), world.proofs(None));
    world.disable(&proofs).unwrap();
    other.remove(id, &proofs).unwrap();
    assert_eq!((world.state.reset_request, other.state.reset_request), (None, None));
}

/// B42: where no team manager may reset anybody, there is nobody to ask.
#[test]
fn there_must_be_somebody_to_ask() {
    for preset in Preset::ALL {
        let (mut world, _) = World::on(preset);
        let denied = ask(&mut world, "lost").err();
        let expected = (preset != Preset::MandatoryManaged)
            .then_some(Denial::ActionNotAllowed { policy_field: "delegation" });
        assert_eq!(denied, expected, "{}", preset.id());
    }
}
