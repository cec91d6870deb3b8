//! The tenant's requirement as a login meets it: from when, for whom, how long it may be put off.

use crate::common::{DAY, HOUR, MINUTE, START, World, document, federated, in_groups, secs};
use countersign_domain::coverage::{self, Facts, FactsAt, Grace, Standing, standing};
use countersign_domain::event::EventType;
use countersign_domain::login::{Assurance, CheckLogin, Verdict};
use countersign_domain::policy::{AuthenticatorType, PolicyDocument, Preset, RequirementMode};
use countersign_domain::status::TwoFactorState;
use countersign_domain::time::Timestamp;
use countersign_domain::user::UserState;
use std::time::Duration;

/// What a login is told: the assurance and the deadline, or `None` where it is stopped.
fn check(world: &mut World) -> Option<(Assurance, Option<Timestamp>)> {
    match world.check(&world.login()) {
        Ok(Verdict::Allowed(allowed)) => Some((allowed.ground.assurance(), allowed.ground.due_time())),
        Ok(Verdict::EnrollmentRequired(stop)) => {
            assert_eq!(stop.allowed_types, [AuthenticatorType::Totp]);
            assert_eq!(world.kinds(), [EventType::LoginRefused]);
            assert_eq!(world.detail("finding"), Some("enrollment_required"));
            None
        }
        other => panic!("{other:?}"),
    }
}

/// A user of a tenant that requires a second factor from `START` plus `from`, with that grace.
fn required(from: Option<Duration>, grace_period: Duration) -> World {
    World::with(Preset::MandatoryManaged, |p| {
        p.requirement.required_from = from.map(|from| START.plus(from));
        p.requirement.grace_period = grace_period;
    })
}

/// B44: before the date nobody is forced; from it on every user without a second factor is stopped, and hears of the
/// date before.
#[test]
fn nobody_is_forced_before_the_date() {
    for (wait, stopped) in [(secs(0), false), (secs(86_399), false), (DAY, true), (40 * DAY, true)] {
        let mut world = required(Some(DAY), Duration::ZERO);
        world.pass(wait);
        let told = (!stopped).then_some((Assurance::NotRequired, Some(START.plus(DAY))));
        assert_eq!(check(&mut world), told, "{wait:?}");
        assert_eq!(world.state.requirement.grace_started, None, "{wait:?}");
        let status = world.status();
        assert_eq!(status.required, stopped, "{wait:?}");
        assert_eq!(status.required_from, (!stopped).then_some(START.plus(DAY)), "{wait:?}");
        let state = if stopped { TwoFactorState::EnrollmentRequired } else { TwoFactorState::Off };
        assert_eq!(status.state, state, "{wait:?}");
    }
}

/// B44, ruling 13: without a date it begins at once; and who has enrolled is asked, not stopped.
#[test]
fn without_a_date_it_begins_at_once() {
    let mut world = required(None, Duration::ZERO);
    assert_eq!(check(&mut world), None);
    let phone = world.enroll();
    assert_eq!(world.log_in(phone.code(world.now)).ground.assurance(), Assurance::Verified);
    assert_eq!((world.status().state, world.status().required), (TwoFactorState::On, true));
}

/// B46: grace starts at the user's first login after the date, the verdict tells the deadline, and it cannot be
/// renewed: no later login, and no enrollment in between, moves it.
#[test]
fn grace_starts_once() {
    let mut world = required(Some(DAY), 7 * DAY);
    assert_eq!(check(&mut world), Some((Assurance::NotRequired, Some(START.plus(8 * DAY)))));
    world.pass(5 * DAY);
    assert_eq!(world.status().grace_until, None, "it has not begun");
    let deadline = world.now.plus(7 * DAY);
    assert_eq!(check(&mut world), Some((Assurance::Grace, Some(deadline))));
    for _ in 0..6 {
        world.pass(DAY);
        assert_eq!(check(&mut world), Some((Assurance::Grace, Some(deadline))));
        assert_eq!(world.status().grace_until, Some(deadline));
    }
    world.now = deadline.minus(secs(1));
    assert_eq!(check(&mut world), Some((Assurance::Grace, Some(deadline))));
    world.pass(secs(1));
    assert_eq!(check(&mut world), None);
    world.pass(90 * DAY);
    assert_eq!(check(&mut world), None);
    assert_eq!(world.status().state, TwoFactorState::EnrollmentRequired);
}

/// B46: a grace period that was begun is not begun anew by removing the date and setting another one.
#[test]
fn another_date_does_not_renew_the_grace() {
    let mut world = required(None, 7 * DAY);
    let deadline = START.plus(7 * DAY);
    assert_eq!(check(&mut world), Some((Assurance::Grace, Some(deadline))));
    world.pass(8 * DAY);
    world.set_policy(|p| p.requirement.required_from = Some(START.plus(8 * DAY)));
    assert_eq!(check(&mut world), None);
}

/// B46: a status read or a denied login begins no grace.
#[test]
fn only_a_login_begins_the_grace() {
    let mut world = required(None, 7 * DAY);
    world.status();
    assert!(world.check(&CheckLogin { first_factor: Some(world.stale()), ..world.login() }).is_err());
    assert_eq!(world.state.requirement.grace_started, None);
    world.pass(DAY);
    assert_eq!(check(&mut world), Some((Assurance::Grace, Some(world.now.plus(7 * DAY)))));
}

/// B44: a requirement may name groups; it is for their members only, and a user whom the directory does not know is in
/// none.
#[test]
fn a_requirement_may_name_groups() {
    for (entry, stopped) in [
        (Some(in_groups(&["staff"])), true),
        (Some(in_groups(&["guests", "admins"])), true),
        (Some(in_groups(&["guests"])), false),
        (Some(in_groups(&["Staff"])), false),
        (Some(in_groups(&[])), false),
        (None, false),
    ] {
        let mut world = required(None, Duration::ZERO);
        world.set_policy(|p| p.requirement.groups = vec!["staff".to_owned(), "admins".to_owned()]);
        world.state.directory.clone_from(&entry);
        let told = (!stopped).then_some((Assurance::NotRequired, None));
        assert_eq!(check(&mut world), told, "{entry:?}");
        assert_eq!(world.status().required, stopped, "{entry:?}");
    }
}

/// B45, R35, ruling 18: a user whom a reset left obliged to enroll is stopped, whatever the mode, date, grace or group, and
/// whoever vouches for them.
#[test]
fn an_obliged_user_is_stopped_in_any_mode() {
    let worlds = [
        World::new(Preset::SelfServiceCode),
        required(Some(DAY), DAY),
        required(None, 7 * DAY),
        World::with(Preset::MandatoryManaged, |p| p.requirement.groups = vec!["staff".to_owned()]),
    ];
    for mut world in worlds {
        world.state.requirement.must_enroll = true;
        assert_eq!(check(&mut world), None);
        world.set_policy(|p| p.first_factor.trust_federated_mfa = true);
        let trusted = CheckLogin { first_factor: Some(federated(world.now, &["mfa"])), ..world.login() };
        assert!(matches!(world.check(&trusted), Ok(Verdict::EnrollmentRequired(_))));
        let status = world.status();
        assert_eq!((status.state, status.recommended), (TwoFactorState::EnrollmentRequired, false));
        let phone = world.enroll();
        assert!(!world.state.requirement.must_enroll, "B41: enrolling fulfils it");
        world.log_in(phone.code(world.now));
    }
}

/// B18: where policy trusts the provider's own second factor, a user without one here is let in by it, also where the
/// requirement would stop them.
#[test]
fn a_trusted_providers_factor_fulfils_the_requirement() {
    let mut world = required(None, Duration::ZERO);
    let trusted = Some(federated(world.now, &["mfa"]));
    let command = CheckLogin { first_factor: trusted, ..world.login() };
    assert!(matches!(world.check(&command), Ok(Verdict::EnrollmentRequired(_))));
    world.set_policy(|p| p.first_factor.trust_federated_mfa = true);
    let Ok(Verdict::Allowed(allowed)) = world.check(&command) else { panic!("{:?}", world.events) };
    assert_eq!(allowed.ground.assurance(), Assurance::FederatedMfa);
    assert_eq!(world.detail("identity_provider"), Some("idp"), "R55: the log tells on whose word");
    assert_eq!(check(&mut world), None, "a password is still stopped");
    // No grace period was begun where there was none, so that one that is granted later is a whole one (B46).
    assert_eq!(world.state.requirement.grace_started, None);
    world.set_policy(|p| {
        p.first_factor.trust_federated_mfa = false;
        p.requirement.grace_period = 14 * DAY;
    });
    assert_eq!(check(&mut world), Some((Assurance::Grace, Some(world.now.plus(14 * DAY)))));
}

/// B18, B46, ruling 18: a login that the provider's second factor lets in begins the grace period like any other, and is
/// told the deadline of the other ways. It is never stopped itself; a password is, once the time is over.
#[test]
fn a_trusted_providers_factor_begins_the_grace() {
    let mut world = required(None, 7 * DAY);
    world.set_policy(|p| p.first_factor.trust_federated_mfa = true);
    let due = world.now.plus(7 * DAY);
    for wait in [secs(0), 3 * DAY, 30 * DAY] {
        world.pass(wait);
        let trusted = CheckLogin { first_factor: Some(federated(world.now, &["mfa"])), ..world.login() };
        let Ok(Verdict::Allowed(allowed)) = world.check(&trusted) else { panic!("{:?}", world.events) };
        assert_eq!(
            (allowed.ground.assurance(), allowed.ground.due_time()),
            (Assurance::FederatedMfa, Some(due))
        );
        assert!(allowed.ground.recommends_enrollment());
    }
    assert_eq!(check(&mut world), None, "a password gets no time of its own");
}

/// B48, ruling 18: who comes in by a trusted provider is counted as stopped once their grace period is over, and shown so, as
/// their password would be; the provider's login itself is not stopped before trust in it ends.
#[test]
fn trust_stands_beside_what_is_counted() {
    let mut world = required(None, 7 * DAY);
    world.set_policy(|p| p.first_factor.trust_federated_mfa = true);
    let trusted = |world: &mut World| {
        let first_factor = Some(federated(world.now, &["mfa"]));
        match world.check(&CheckLogin { first_factor, ..world.login() }) {
            Ok(Verdict::Allowed(allowed)) => Some(allowed.ground.assurance()),
            Ok(Verdict::EnrollmentRequired(_)) => None,
            other => panic!("{other:?}"),
        }
    };
    let seen = |world: &World| {
        let cutoff = FactsAt::of(&world.policy, world.now).grace_cutoff;
        let grace = match world.state.requirement.grace_started {
            None => Grace::NotStarted,
            Some(started) if started <= cutoff => Grace::Over,
            Some(_) => Grace::Running,
        };
        let facts = Facts { on: false, must_enroll: false, in_groups: false, grace };
        (coverage::coverage([(facts, 1)], &world.policy, world.now).stopped, world.status().state)
    };
    assert_eq!(trusted(&mut world), Some(Assurance::FederatedMfa));
    assert_eq!(seen(&world), (0, TwoFactorState::Off));
    world.pass(8 * DAY);
    for (trust, verdict) in [(true, Some(Assurance::FederatedMfa)), (false, None)] {
        world.set_policy(|p| p.first_factor.trust_federated_mfa = trust);
        assert_eq!(seen(&world), (1, TwoFactorState::EnrollmentRequired), "{trust}");
        assert_eq!((trusted(&mut world), check(&mut world)), (verdict, None), "{trust}");
    }
}

/// Optional modes stop nobody and tell no deadline.
#[test]
fn an_optional_mode_stops_nobody() {
    for preset in [
        Preset::SelfServiceCode,
        Preset::SelfServicePassword,
        Preset::AdminPermissions,
        Preset::PasswordAndCode,
    ] {
        let mut world = World::new(preset);
        world.pass(1000 * DAY);
        assert_eq!(check(&mut world), Some((Assurance::NotRequired, None)), "{}", preset.id());
        assert_eq!((world.status().required, world.status().recommended), (false, true));
    }
}

/// B48: what coverage counts from facts agrees with what a login of such a user is told and with the status.
#[test]
fn coverage_agrees_with_logins() {
    let mut seen = 0;
    for grace_period in [Duration::ZERO, 7 * DAY] {
        for from in [None, Some(HOUR), Some(3 * DAY)] {
            for groups in [vec![], vec!["staff".to_owned()]] {
                for facts in Facts::all() {
                    let mut world = required(from, grace_period);
                    world.set_policy(|p| p.requirement.groups.clone_from(&groups));
                    if facts.on {
                        world.enroll();
                    }
                    world.now = START.plus(2 * DAY);
                    world.state.requirement.must_enroll = facts.must_enroll;
                    world.state.directory = Some(in_groups(if facts.in_groups { &["staff"] } else { &[] }));
                    let cutoff = FactsAt::of(&world.policy, world.now).grace_cutoff;
                    world.state.requirement.grace_started = match facts.grace {
                        Grace::NotStarted => None,
                        Grace::Running => Some(cutoff.plus(MINUTE)),
                        Grace::Over => Some(cutoff),
                    };
                    let counted = standing(facts, &world.policy, world.now);
                    let case = format!("{facts:?} {grace_period:?} {from:?} {groups:?} {counted:?}");
                    // A member of a group that nobody names counts as outside of the groups.
                    if groups.is_empty() && facts.in_groups {
                        continue;
                    }
                    assert_eq!(counted.state(), world.status().state, "{case}");
                    let told = match world.check(&world.login()).unwrap() {
                        Verdict::ChallengeRequired(_) => "on",
                        Verdict::Allowed(allowed) if allowed.ground.assurance() == Assurance::Grace => {
                            "in grace"
                        }
                        Verdict::Allowed(_) => "off",
                        Verdict::EnrollmentRequired(_) => "stopped",
                        other => panic!("{other:?}"),
                    };
                    let expected = match counted {
                        Standing::On => "on",
                        Standing::Off => "off",
                        Standing::InGrace => "in grace",
                        Standing::Stopped => "stopped",
                    };
                    assert_eq!(told, expected, "{case}");
                    seen += 1;
                }
            }
        }
    }
    assert_eq!(seen, 2 * 3 * (12 + 24));
}

/// B46: a grace period that runs already is not begun anew by a date that was moved; what is told before the date holds
/// on it.
#[test]
fn a_date_that_moves_begins_no_grace_anew() {
    let mut world = required(None, 7 * DAY);
    assert_eq!(check(&mut world), Some((Assurance::Grace, Some(START.plus(7 * DAY)))));
    world.set_policy(|p| p.requirement.required_from = Some(START.plus(5 * DAY)));
    world.pass(DAY);
    let told = Some((Assurance::NotRequired, Some(START.plus(7 * DAY))));
    assert_eq!(check(&mut world), told);
    world.set_policy(|p| p.requirement.required_from = Some(START.plus(10 * DAY)));
    assert_eq!(check(&mut world), Some((Assurance::NotRequired, Some(START.plus(10 * DAY)))));
    world.pass(9 * DAY);
    assert_eq!(check(&mut world), None);
}

/// B48: whom a change newly stops is counted by heads, whichever groups, dates and grace periods are exchanged.
#[test]
fn newly_stopped_is_counted_by_heads() {
    let groups: [&[&str]; 4] = [&[], &["a"], &["b"], &["a", "b"]];
    // Two of each kind, so that nothing is right by being one.
    let users: Vec<UserState> = (0..4 * 2 * 3 * 2 * 2)
        .map(|number: usize| {
            let directory = Some(in_groups(groups[number % 4]));
            let mut user = UserState { directory, ..UserState::default() };
            user.requirement.must_enroll = number / 4 % 2 == 1;
            user.requirement.grace_started = [None, Some(START), Some(START.plus(9 * DAY))][number / 8 % 3];
            user
        })
        .collect();
    let rules: Vec<PolicyDocument> = (0..2 * 2 * 3 * 4)
        .map(|number: usize| {
            let mut rule = document(Preset::MandatoryManaged);
            rule.requirement.mode = [RequirementMode::Optional, RequirementMode::Required][number % 2];
            rule.requirement.required_from = [None, Some(START.plus(20 * DAY))][number / 2 % 2];
            rule.requirement.grace_period = [Duration::ZERO, 2 * DAY, 7 * DAY][number / 4 % 3];
            rule.requirement.groups = groups[number / 12].iter().map(ToString::to_string).collect();
            rule
        })
        .collect();
    let now = START.plus(10 * DAY);
    let stops = |rule: &PolicyDocument, user: &UserState| {
        let at = FactsAt::of(rule, now);
        let own = &user.directory.as_ref().unwrap().groups;
        let grace = user.requirement.grace_started.map_or(Grace::NotStarted, |started| {
            if started <= at.grace_cutoff { Grace::Over } else { Grace::Running }
        });
        let in_groups = own.iter().any(|group| at.groups.contains(group));
        let facts = Facts { on: false, must_enroll: user.requirement.must_enroll, in_groups, grace };
        standing(facts, rule, now) == Standing::Stopped
    };
    let total = |rule: &PolicyDocument, groups: &[String]| {
        let mut rule = rule.clone();
        rule.requirement.groups = groups.to_vec();
        users.iter().filter(|user| stops(&rule, user)).count() as u64
    };
    for old in &rules {
        for new in &rules {
            let (from, to) = (&old.requirement.groups, &new.requirement.groups);
            let either = coverage::either(from, to);
            let stopped = |rule| coverage::Stopped {
                old_groups: total(rule, from),
                new_groups: total(rule, to),
                either: total(rule, &either),
            };
            let newly = users.iter().filter(|user| stops(new, user) && !stops(old, user)).count() as u64;
            let (from, to) = (&old.requirement, &new.requirement);
            assert_eq!(coverage::newly_stopped(stopped(old), stopped(new)), newly, "{from:?} to {to:?}");
        }
    }
}
