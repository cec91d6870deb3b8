//! Enrollment tickets: what a stopped login or a manager hands out, and what it is bound to.

use crate::common::{MINUTE, Phone, STEP, World, client, federated, name, secs, user_ref};
use countersign_domain::denial::Denial;
use countersign_domain::enrollment::{Authority, BeginTotp, Confirm, Confirmed};
use countersign_domain::event::EventType;
use countersign_domain::ids::TicketId;
use countersign_domain::login::{CheckLogin, EnrollmentRequired, Verdict};
use countersign_domain::policy::{
    AuthenticatorType, DelegatedAction, Delegation, FirstEnrollment, Grant, Preset, SmsDelivery,
};
use countersign_domain::secret::SecretString;
use countersign_domain::token;
use countersign_domain::user::{DirectoryEntry, ResetRequest, Ticket, TicketIssuer};

/// A user whom the mandatory preset has just stopped, and the verdict's ticket.
fn stopped() -> (World, SecretString) {
    let mut world = World::new(Preset::MandatoryManaged);
    let login = world.login();
    let ticket = stop(&mut world, &login);
    (world, ticket)
}

fn stop(world: &mut World, login: &CheckLogin) -> SecretString {
    let Ok(Verdict::EnrollmentRequired(stop)) = world.check(login) else { panic!("{:?}", world.kinds()) };
    stop.ticket.expect("the login issues a ticket").ticket
}

/// Begins and confirms with the right code by what right ever.
fn enroll_by(world: &mut World, authority: Authority) -> Result<(Confirmed, Phone), Denial> {
    let begun = world.begin(&BeginTotp { authority: authority.clone(), ..world.begin_command() })?;
    let phone = Phone::of(&begun);
    let command = world.confirm_command(&begun, phone.code(world.now));
    world.confirm(&Confirm { authority, ..command }).map(|confirmed| (confirmed, phone))
}

/// A manager's ticket, as the delegated call will leave it in the state.
fn ticket_of_manager(world: &mut World) -> SecretString {
    let id = TicketId::from_uuid(world.draw_id());
    let expire_time = world.now.plus(Ticket::MANAGER_LIFETIME);
    let epoch = world.state.epoch;
    world.state.tickets.push(Ticket {
        id,
        issuer: TicketIssuer::Manager,
        expire_time,
        epoch,
        client: client("web"),
    });
    token::ticket(&world.digests.tokens, &world.user, epoch, id)
}

/// B47: an enrollment asked for during login goes through with one code, and that login is verified by it.
#[test]
fn an_enrollment_at_login_finishes_that_login() {
    let mut world = World::new(Preset::MandatoryManaged);
    let first_factor = Some(federated(world.now, &["face"]));
    let login = CheckLogin { first_factor, ..world.login() };
    let ticket = stop(&mut world, &login);
    world.pass(MINUTE);
    let authority = world.by_ticket(&ticket);
    let (confirmed, _) = enroll_by(&mut world, authority).unwrap();
    let login = confirmed.login.expect("the login that was stopped");
    assert_eq!(login.ground.authenticator(), Some((confirmed.id, AuthenticatorType::Totp)));
    assert_eq!(login.amr, ["face", "otp", "mfa"]);
    assert_eq!((login.ground.verify_time(), login.recovery_codes_remaining), (Some(world.now), Some(10)));
    assert!(world.kinds().contains(&EventType::LoginAllowed), "R55");
    assert_eq!(confirmed.recovery_codes.unwrap().codes.len(), 10);
}

/// R55: the log tells by what right somebody enrolled, when it began and when it was done.
#[test]
fn the_log_tells_by_what_right_somebody_enrolled() {
    let (stopped, ticket) = stopped();
    let mut vouched = stopped.clone();
    let managers = ticket_of_manager(&mut vouched);
    let rights = [
        (stopped.clone(), stopped.authority(), "session"),
        (stopped.clone(), stopped.by_ticket(&ticket), "login_ticket"),
        (vouched.clone(), vouched.by_ticket(&managers), "manager_ticket"),
    ];
    for (mut world, authority, expected) in rights {
        let begun =
            world.begin(&BeginTotp { authority: authority.clone(), ..world.begin_command() }).unwrap();
        assert_eq!(world.detail("authority"), Some(expected));
        let command = world.confirm_command(&begun, Phone::of(&begun).code(world.now));
        world.confirm(&Confirm { authority, ..command }).unwrap();
        assert_eq!(
            (world.kinds()[0], world.detail("authority")),
            (EventType::TwoFactorEnabled, Some(expected))
        );
    }
}

/// A session that enrolls is no login: nothing is allowed that was not asked.
#[test]
fn an_enrollment_from_a_session_is_no_login() {
    let (mut world, _) = stopped();
    let authority = world.authority();
    let (confirmed, _) = enroll_by(&mut world, authority).unwrap();
    assert_eq!(confirmed.login, None);
}

/// R24: a login's ticket lives ten minutes.
#[test]
fn a_ticket_expires() {
    for (age, alive) in [(secs(599), true), (secs(600), false)] {
        let (mut world, ticket) = stopped();
        world.pass(age);
        let authority = world.by_ticket(&ticket);
        let expected = if alive { Ok(()) } else { Err(Denial::EnrollmentTicketInvalid) };
        assert_eq!(enroll_by(&mut world, authority).map(|_| ()), expected, "{age:?}");
    }
}

/// R24: a ticket is bound to tenant and user.
#[test]
fn a_ticket_is_bound_to_its_user() {
    let (world, ticket) = stopped();
    for user in [user_ref("acme", "bob"), user_ref("evil", "ann")] {
        let mut other = world.neighbour(user);
        // Even the row itself, planted under another user, is opened by nobody else's token.
        other.state.tickets = world.state.tickets.clone();
        let authority = other.by_ticket(&ticket);
        assert_eq!(enroll_by(&mut other, authority).map(|_| ()), Err(Denial::EnrollmentTicketInvalid));
    }
}

/// R24, R34: a ticket is of its epoch.
#[test]
fn a_ticket_is_bound_to_its_epoch() {
    let (mut world, ticket) = stopped();
    let opened = world.by_ticket(&ticket);
    world.state.epoch = world.state.epoch.next();
    // The row of the old epoch, and the same row lifted into the new one.
    assert_eq!(enroll_by(&mut world, opened.clone()).map(|_| ()), Err(Denial::EnrollmentTicketInvalid));
    let (mut lifted, _) = stopped();
    lifted.state.epoch = lifted.state.epoch.next();
    lifted.state.tickets[0].epoch = lifted.state.epoch;
    assert_eq!(enroll_by(&mut lifted, opened).map(|_| ()), Err(Denial::EnrollmentTicketInvalid));
}

/// R34: the ticket of a login that passed the old first factor is dead, also at the present epoch, where a node of the version
/// before issued it. A manager's stands for no first factor.
#[test]
fn a_ticket_for_an_old_first_factor_is_dead() {
    for managers in [false, true] {
        let (mut world, ticket) = stopped();
        let ticket = if managers { ticket_of_manager(&mut world) } else { ticket };
        world.state.first_factor_since = Some(world.now.plus(secs(1)));
        world.pass(secs(2));
        let authority = world.by_ticket(&ticket);
        let begun = world.begin(&BeginTotp { authority, ..world.begin_command() });
        let dead = (!managers).then_some(Denial::EnrollmentTicketInvalid);
        assert_eq!(begun.err(), dead);
    }
}

/// R24: a ticket is for one enrollment: not for a second one, and not once the user has a second factor.
#[test]
fn a_ticket_is_for_one_enrollment() {
    let (mut world, ticket) = stopped();
    let login = world.login();
    let second = stop(&mut world, &login);
    let (first, second) = (world.by_ticket(&ticket), world.by_ticket(&second));
    enroll_by(&mut world, first.clone()).unwrap();
    for ticket in [first, second] {
        assert_eq!(enroll_by(&mut world, ticket).map(|_| ()), Err(Denial::EnrollmentTicketInvalid));
    }
    assert_eq!(world.state.authenticators.len(), 1);
}

/// B9, R24: a wrong code at confirmation does not use up the ticket.
#[test]
fn a_wrong_code_does_not_use_up_the_ticket() {
    let (mut world, ticket) = stopped();
    let authority = world.by_ticket(&ticket);
    let begun = world.begin(&BeginTotp { authority: authority.clone(), ..world.begin_command() }).unwrap();
    let wrong = world.wrong();
    let command = Confirm { authority: authority.clone(), ..world.confirm_command(&begun, wrong) };
    assert!(world.confirm(&command).is_err());
    let code = Phone::of(&begun).code(world.now);
    let confirmed = world.confirm(&Confirm { code, ..command }).unwrap();
    assert!(confirmed.login.is_some());
}

/// R24: under `MANAGER_TICKET` a stopped login hands out none.
#[test]
fn a_managers_ticket_is_not_handed_out_by_a_login() {
    let mut world = World::with(Preset::MandatoryManaged, |p| {
        p.requirement.first_enrollment = FirstEnrollment::ManagerTicket;
        p.delegation.push(Delegation {
            action: DelegatedAction::IssueTicket,
            grant: Grant::TeamManager,
            permissions: Vec::new(),
            peers: false,
            actor_needs_two_factor: false,
            actor_needs_fresh_proof: false,
            second_approver: false,
        });
    });
    let stop = EnrollmentRequired { ticket: None, allowed_types: vec![AuthenticatorType::Totp] };
    assert_eq!(world.check(&world.login()), Ok(Verdict::EnrollmentRequired(stop)));
    assert!(world.state.tickets.is_empty());

    // The manager vouches in the place of the first factor; no login waits behind it.
    let ticket = ticket_of_manager(&mut world);
    world.pass(23 * 60 * MINUTE);
    let authority = world.by_ticket(&ticket);
    let (confirmed, phone) = enroll_by(&mut world, authority).unwrap();
    assert_eq!(confirmed.login, None);
    world.pass(STEP);
    world.log_in(phone.code(world.now));
}

/// R24: a manager's ticket lives a day.
#[test]
fn a_managers_ticket_expires() {
    let mut world = World::new(Preset::MandatoryManaged);
    let ticket = ticket_of_manager(&mut world);
    let authority = world.by_ticket(&ticket);
    world.pass(24 * 60 * MINUTE);
    assert_eq!(enroll_by(&mut world, authority).map(|_| ()), Err(Denial::EnrollmentTicketInvalid));
}

/// B12: a login's ticket carries the first factor of that login, and no more than that: it grows stale.
#[test]
fn the_tickets_first_factor_grows_stale() {
    let mut world = World::with(Preset::MandatoryManaged, |p| p.first_factor.max_age = MINUTE);
    let login = world.login();
    let ticket = stop(&mut world, &login);
    world.pass(secs(61));
    let authority = world.by_ticket(&ticket);
    let stale = Denial::FirstFactorStale { max_age: MINUTE };
    assert_eq!(enroll_by(&mut world, authority).map(|_| ()), Err(stale));
}

/// R49: a user has at most four open tickets; the oldest makes room.
#[test]
fn the_oldest_ticket_makes_room() {
    let mut world = World::new(Preset::MandatoryManaged);
    let login = world.login();
    let tickets: Vec<_> = (0..5).map(|_| stop(&mut world, &login)).collect();
    let begins = |ticket: &SecretString| {
        let mut world = world.clone();
        let authority = world.by_ticket(ticket);
        world.begin(&BeginTotp { authority, ..world.begin_command() }).is_ok()
    };
    assert_eq!(tickets.iter().map(begins).collect::<Vec<_>>(), [false, true, true, true, true]);
}

/// A ticket starts a session, so an account that the directory has disabled meanwhile gets nothing out of it.
#[test]
fn a_disabled_accounts_ticket_is_worth_nothing() {
    let (mut world, ticket) = stopped();
    let authority = world.by_ticket(&ticket);
    let begun = world.begin(&BeginTotp { authority: authority.clone(), ..world.begin_command() }).unwrap();
    world.state.directory = Some(DirectoryEntry { disabled: true, ..DirectoryEntry::default() });
    let command = world.confirm_command(&begun, Phone::of(&begun).code(world.now));
    let denied = world.confirm(&Confirm { authority: authority.clone(), ..command });
    assert_eq!(denied, Err(Denial::EnrollmentTicketInvalid));
    let start = BeginTotp { authority, ..world.begin_command() };
    assert_eq!(world.begin(&start), Err(Denial::EnrollmentTicketInvalid));
}

/// Ruling 15: a verified login closes a request for a reset, also where the enrollment brought it along.
#[test]
fn a_login_by_enrollment_closes_the_request_for_help() {
    let (mut world, ticket) = stopped();
    let id = countersign_domain::ids::ResetRequestId::from_uuid(world.draw_id());
    let reason = "lost phone".to_owned();
    world.state.reset_request = Some(ResetRequest { id, reason, create_time: world.now });
    let authority = world.by_ticket(&ticket);
    enroll_by(&mut world, authority).unwrap();
    assert_eq!(world.state.reset_request, None);
}

/// B14, B47: the enrollment at login takes a name like any other.
#[test]
fn an_enrollment_at_login_takes_a_name() {
    let (mut world, ticket) = stopped();
    let authority = world.by_ticket(&ticket);
    let begun = world.begin(&BeginTotp { authority: authority.clone(), ..world.begin_command() }).unwrap();
    let command = world.confirm_command(&begun, Phone::of(&begun).code(world.now));
    world.confirm(&Confirm { authority, display_name: Some(name("Work phone")), ..command }).unwrap();
    assert!(world.state.authenticators[0].named);
}

/// R24: a login's ticket is worth nothing where policy wants a manager's meanwhile; a manager's is.
#[test]
fn a_ticket_serves_under_the_policy_of_now() {
    let (mut world, ticket) = stopped();
    let managers = ticket_of_manager(&mut world);
    world.set_policy(|p| {
        p.requirement.first_enrollment = FirstEnrollment::ManagerTicket;
        let grant = Grant::TeamManager;
        p.delegation.push(Delegation {
            action: DelegatedAction::IssueTicket,
            grant,
            ..p.delegation[0].clone()
        });
    });
    let begin = |ticket| BeginTotp { authority: world.by_ticket(ticket), ..world.begin_command() };
    let (late, good) = (begin(&ticket), begin(&managers));
    assert_eq!(world.begin(&late), Err(Denial::EnrollmentTicketInvalid));
    world.begin(&good).unwrap();
}

/// B47: a stopped login names the kinds that can be enrolled now, and none that needs another one first or that nobody
/// delivers to.
#[test]
fn only_kinds_that_can_be_enrolled_are_named() {
    let mut world = World::with(Preset::MandatoryManaged, |p| {
        p.allowed_types =
            vec![AuthenticatorType::SecurityKey, AuthenticatorType::Totp, AuthenticatorType::Sms];
        "example.com".clone_into(&mut p.security_key.relying_party_id);
        p.security_key.origins = vec!["https://example.com".to_owned()];
        p.security_key.requires_other_type = true;
    });
    let named = |world: &mut World| match world.check(&world.login()) {
        Ok(Verdict::EnrollmentRequired(stop)) => stop.allowed_types,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(&mut world), [AuthenticatorType::Totp, AuthenticatorType::Sms]);
    world.gateway = false;
    assert_eq!(named(&mut world), [AuthenticatorType::Totp]);
    world.set_policy(|p| p.sms.delivery = SmsDelivery::Caller);
    assert_eq!(named(&mut world), [AuthenticatorType::Totp, AuthenticatorType::Sms]);
    world.set_policy(|p| p.security_key.requires_other_type = false);
    assert_eq!(named(&mut world).len(), 3);
}
