//! Explanations: they foretell what the very calls then say, and name the rule that decides.

use crate::common::{FIRST, SECOND, World, federated, in_groups, session, user_ref};
use countersign_domain::actor::Actor;
use countersign_domain::denial::Denial;
use countersign_domain::explain::{self, Expected, Explanation};
use countersign_domain::login::{CheckLogin, Verdict};
use countersign_domain::policy::{DelegatedAction, PolicyDocument, Preset};
use countersign_domain::status::OwnAction;
use countersign_domain::user::{ChallengePurpose, DirectoryEntry, UserState};

/// What is foretold, and the field that decides it.
fn check(world: &World, command: &CheckLogin) -> (Expected, &'static str) {
    let Explanation { expected, steps, .. } = explain::login(&world.state, &world.ctx(), command);
    (expected, steps.last().expect("a rule decides").field)
}

/// B48: an explanation foretells the verdict of the very login, whatever the situation, and needs what it then asks.
#[test]
fn an_explained_login_is_told_so() {
    let mut locked = World::on(Preset::SelfServiceCode).0;
    for _ in 0..3 {
        let wrong = locked.wrong();
        locked.check(&locked.login_with(wrong)).unwrap();
    }
    let mut barred = World::on(Preset::SelfServiceCode).0;
    barred.state.directory = Some(DirectoryEntry { disabled: true, ..DirectoryEntry::default() });
    let worlds = [
        World::new(Preset::SelfServiceCode),
        World::on(Preset::SelfServiceCode).0,
        World::new(Preset::MandatoryManaged),
        World::on(Preset::MandatoryManaged).0,
        locked,
        barred,
    ];
    for mut world in worlds {
        let now = world.now;
        for first_factor in
            [Some(crate::common::password(now)), Some(federated(now, &["mfa"])), Some(world.stale()), None]
        {
            for purpose in [ChallengePurpose::Login, ChallengePurpose::StepUp] {
                let command = CheckLogin { first_factor: first_factor.clone(), purpose, ..world.login() };
                let before = world.state.clone();
                let explained = explain::login(&world.state, &world.ctx(), &command);
                let told = match world.check(&command) {
                    Ok(Verdict::Allowed(_)) => Expected::Allowed,
                    Ok(Verdict::ChallengeRequired(_)) => Expected::ChallengeRequired,
                    Ok(Verdict::EnrollmentRequired(_)) => Expected::EnrollmentRequired,
                    Ok(Verdict::LockedOut(_)) => Expected::LockedOut,
                    Ok(Verdict::Refused(_)) | Err(_) => Expected::Denied,
                };
                world.state = before;
                assert_eq!(explained.expected, told, "{command:?}");
                let asks = matches!(told, Expected::ChallengeRequired | Expected::LockedOut);
                let needed = if asks { vec![FIRST, SECOND] } else { vec![FIRST] };
                assert_eq!(explained.required_proofs, needed, "{command:?}");
                assert!(!explained.steps.is_empty(), "{command:?}");
            }
        }
    }
}

/// An explained login is decided by the field that a change of policy would have to change.
#[test]
fn an_explanation_names_the_field_that_decides() {
    let mut world = World::new(Preset::MandatoryManaged);
    let login = world.login();
    assert_eq!(check(&world, &login), (Expected::EnrollmentRequired, "requirement.first_enrollment"));
    world.set_policy(|p: &mut PolicyDocument| p.requirement.groups = vec!["staff".to_owned()]);
    assert_eq!(check(&world, &login), (Expected::Allowed, "requirement.mode"));
    world.state.directory = Some(in_groups(&["staff"]));
    world.set_policy(|p| p.requirement.grace_period = crate::common::DAY);
    assert_eq!(check(&world, &login), (Expected::Allowed, "requirement.grace_period"));
    world.set_policy(|p| p.requirement.required_from = Some(crate::common::START.plus(crate::common::DAY)));
    assert_eq!(check(&world, &login), (Expected::Allowed, "requirement.required_from_time"));
    let stale = CheckLogin { first_factor: Some(world.stale()), ..world.login() };
    assert_eq!(check(&world, &stale), (Expected::Denied, "first_factor.max_age"));
}

/// B48: an explanation for another time or policy is made of the same rules, and changes nothing.
#[test]
fn an_explanation_changes_nothing() {
    let world = World::new(Preset::MandatoryManaged);
    let before = world.state.clone();
    explain::login(&world.state, &world.ctx(), &world.login());
    assert_eq!(world.state, before);
}

/// An explained action of a user's own is the status's.
#[test]
fn an_explained_action_is_the_statuss() {
    for preset in Preset::ALL {
        for world in [World::new(preset), World::on(preset).0] {
            for available in world.status().actions {
                let explained = explain::own_action(&world.state, &world.ctx(), available.action);
                assert_eq!(explained.blocked, available.blocked);
                assert_eq!(explained.required_proofs, available.required_proofs);
                let expected = if available.blocked.is_none() { Expected::Allowed } else { Expected::Denied };
                assert_eq!((explained.expected, explained.steps.len()), (expected, 1));
                let rename =
                    matches!(available.action, OwnAction::Rename | OwnAction::RevokeRememberedClients);
                if rename && available.blocked.is_none() {
                    assert_eq!(explained.steps[0].field, "", "no policy decides it");
                }
            }
        }
    }
}

/// B39: an explained action on another user says who may not and why.
#[test]
fn an_explained_delegated_action_names_what_is_missing() {
    let (world, _) = World::on(Preset::AdminPermissions);
    let admin = world.neighbour(user_ref("acme", "adam"));
    let mut actor = session(&admin.user, None);
    let explained = |actor: &_, state: &UserState| {
        let (target, ctx) = (&world.state, world.ctx());
        explain::delegated_action(target, &ctx, DelegatedAction::DisableMember, (actor, state))
    };
    let told = explained(&actor, &admin.state);
    assert_eq!(told.steps[0].field, "delegation.permissions");
    assert!(matches!(told.blocked, Some(Denial::ActorPermissionMissing { .. })));
    actor.permissions = vec!["users.view".to_owned(), "users.disable-two-factor".to_owned()];
    let told = explained(&actor, &admin.state);
    assert_eq!(told.steps[0].field, "delegation.actor_needs_two_factor");
    let (with, _) = World::on(Preset::AdminPermissions);
    assert_eq!(explained(&actor, &with.state).expected, Expected::Allowed);
}

/// B39: where a second person must approve, an explanation says so, beside the proofs that are needed or in the place of
/// "nothing more".
#[test]
fn an_explained_delegated_action_names_the_second_approver() {
    for (fresh_proof, fields) in [
        (false, &["delegation.second_approver"][..]),
        (true, &["delegation", "delegation.second_approver"][..]),
    ] {
        let (world, _) = World::on_with(Preset::AdminPermissions, |p| {
            p.delegation[0].second_approver = true;
            p.delegation[0].actor_needs_fresh_proof = fresh_proof;
        });
        let actor = Actor {
            permissions: vec!["users.view".to_owned(), "users.disable-two-factor".to_owned()],
            ..session(&user_ref("acme", "adam"), None)
        };
        let action = world.policy.delegation[0].action;
        let told = explain::delegated_action(&world.state, &world.ctx(), action, (&actor, &world.state));
        let named: Vec<_> = told.steps.iter().map(|step| step.field).collect();
        assert_eq!((told.expected, &named[..]), (Expected::Allowed, fields));
    }
}

/// A denied action goes back to the field that denies it, and not to one that looks like it.
#[test]
fn a_denied_action_names_the_field_that_denies() {
    let (mut world, _) = World::on(Preset::SelfServiceCode);
    world.set_policy(|p| p.disable.self_service = false);
    let own = explain::own_action(&world.state, &world.ctx(), OwnAction::Disable);
    assert_eq!(own.steps[0].field, "disable.self_service");
    let mia = world.neighbour(user_ref("acme", "mia"));
    let actor = session(&mia.user, None);
    let field = |action| {
        explain::delegated_action(&world.state, &world.ctx(), action, (&actor, &mia.state)).steps[0].field
    };
    assert_eq!(field(DelegatedAction::ResetMember), "delegation", "there is no rule");
    let adding = explain::own_action(&world.state, &world.ctx(), OwnAction::Enroll);
    assert_eq!(adding.blocked, Some(Denial::AuthenticatorLimitReached { limit: 1 }));
    world.set_policy(|p| p.enrollment.max_authenticators = 2);
    let adding = explain::own_action(&world.state, &world.ctx(), OwnAction::Enroll);
    assert_eq!(adding.steps[0].field, "disable.required_proofs", "an added one can do no less");
}
