//! A table of policies that are allowed and often regretted, each with the field that must be named.

use super::of;
use countersign_domain::policy::{
    AuthenticatorType, DelegatedAction, Delegation, FirstFactorMethod, PolicyDocument, Preset, Replace,
    RequirementMode,
};
use countersign_domain::text::Issuer;
use std::time::Duration;

/// A policy without warnings.
fn document() -> PolicyDocument {
    Preset::SelfServiceCode.document(Issuer::parse("Example").unwrap())
}

/// The fields that are warned of when the second change is made to what the first one made.
fn between(old: impl FnOnce(&mut PolicyDocument), new: impl FnOnce(&mut PolicyDocument)) -> Vec<String> {
    let mut before = document();
    old(&mut before);
    let mut after = before.clone();
    new(&mut after);
    for policy in [&before, &after] {
        policy.clone().validated().unwrap();
    }
    of(&before, &after, true).into_iter().map(|warning| warning.policy_field).collect()
}

/// The fields that are warned of in a policy.
fn warned(change: impl FnOnce(&mut PolicyDocument)) -> Vec<String> {
    between(change, |_| ())
}

const NONE: [&str; 0] = [];

fn delegated(action: DelegatedAction) -> Delegation {
    let rules = Preset::MandatoryManaged.document(Issuer::parse("Example").unwrap()).delegation;
    Delegation { action, ..rules[0].clone() }
}

fn name(policy: &mut PolicyDocument) {
    policy.security_key.relying_party_id = "example.com".to_owned();
    policy.security_key.origins = vec!["https://example.com".to_owned()];
}

/// Each warning stands alone, and its text fits the contract.
#[test]
fn every_warning_names_its_field() {
    let all = |policy: &mut PolicyDocument| {
        policy.allowed_types.push(AuthenticatorType::Sms);
        policy.sms.resend_interval = Duration::from_mins(6);
        policy.lockout.consecutive_limit = policy.lockout.free_failures;
        policy.first_factor.trust_federated_mfa = true;
    };
    let fields = [
        "allowed_types",
        "sms.resend_interval",
        "lockout.consecutive_limit",
        "first_factor.trust_federated_mfa",
    ];
    assert_eq!(warned(all), fields);
    assert_eq!(warned(|_| ()), NONE);
    let mut policy = document();
    all(&mut policy);
    assert!(of(&policy, &policy, false).iter().all(|warning| warning.text.chars().count() <= 500));
}

/// Keys that nobody could add, or that nobody is named for.
#[test]
fn security_keys_that_nobody_can_add_are_warned_of() {
    let alone = |policy: &mut PolicyDocument| {
        policy.allowed_types = vec![AuthenticatorType::SecurityKey];
        policy.security_key.requires_other_type = false;
    };
    assert_eq!(warned(alone), ["security_key.relying_party_id"]);
    let pageless = |policy: &mut PolicyDocument| {
        alone(policy);
        name(policy);
        policy.security_key.origins.clear();
    };
    assert_eq!(warned(pageless), ["security_key.origins"]);
    let named = |policy: &mut PolicyDocument| {
        alone(policy);
        name(policy);
    };
    assert_eq!(warned(named), NONE);
    let beside = |most: u32| {
        warned(|policy| {
            policy.allowed_types.push(AuthenticatorType::SecurityKey);
            policy.enrollment.max_authenticators = most;
        })
    };
    assert_eq!((beside(1), beside(2)), (vec!["security_key.requires_other_type".to_owned()], vec![]));
}

/// Keys that cannot verify their user are useless from the moment that this is asked of all, where there may be some.
#[test]
fn asking_keys_to_verify_is_warned_of_when_it_is_switched_on() {
    let allow = |policy: &mut PolicyDocument| {
        policy.allowed_types.push(AuthenticatorType::SecurityKey);
        policy.enrollment.max_authenticators = 2;
    };
    let verify = |policy: &mut PolicyDocument| policy.security_key.requires_user_verification = true;
    let field = ["security_key.requires_user_verification"];
    assert_eq!(between(allow, verify), field);
    assert_eq!(between(|_| (), verify), NONE, "there is no key");
    let no_more = |policy: &mut PolicyDocument| {
        policy.allowed_types.pop();
        verify(policy);
    };
    assert_eq!(between(allow, no_more), field, "keys that exist serve on");
    let allow_both = |policy: &mut PolicyDocument| {
        allow(policy);
        verify(policy);
    };
    assert_eq!(between(|_| (), allow_both), field);
    assert_eq!(between(allow_both, |_| ()), NONE, "so it was before");
}

/// Whom only trust in their provider lets in is not counted when it ends.
#[test]
fn ending_trust_is_warned_of_where_a_second_factor_is_required() {
    let trust = |policy: &mut PolicyDocument| policy.first_factor.trust_federated_mfa = true;
    let end = |policy: &mut PolicyDocument| policy.first_factor.trust_federated_mfa = false;
    let require = |policy: &mut PolicyDocument| {
        policy.requirement.mode = RequirementMode::Required;
        policy.requirement.grace_period = Duration::from_hours(24);
        policy.disable.self_service = false;
        policy.enrollment.replace = Replace::AnyTime;
    };
    let required = |policy: &mut PolicyDocument| {
        require(policy);
        trust(policy);
    };
    let both = |policy: &mut PolicyDocument| {
        require(policy);
        end(policy);
    };
    let field = ["first_factor.trust_federated_mfa"];
    assert_eq!(between(required, end), field);
    assert_eq!(between(trust, both), field, "both at once");
    assert_eq!(between(trust, end), NONE, "nobody is stopped");
    assert_eq!(between(require, |_| ()), NONE, "nobody was trusted");
    assert_eq!(between(required, |_| ()), field, "trust itself, once");
    let passwords =
        |policy: &mut PolicyDocument| policy.first_factor.allowed_methods = vec![FirstFactorMethod::Password];
    assert_eq!(between(required, passwords), field, "no provider is asked any more");
    let of_nobody = |policy: &mut PolicyDocument| {
        required(policy);
        passwords(policy);
    };
    assert_eq!(between(of_nobody, |_| ()), NONE, "there is nobody to trust");
}

/// A lost phone, or a new one: only who resets or switches off for others helps.
#[test]
fn who_cannot_be_helped_is_warned_of() {
    let stuck = |action: Option<DelegatedAction>| {
        warned(|policy| {
            policy.disable.self_service = false;
            policy.delegation.extend(action.map(delegated));
        })
    };
    let lost = |action: Option<DelegatedAction>| {
        warned(|policy| {
            policy.recovery_codes.enabled = false;
            policy.recovery_codes.issue_on_enable = false;
            policy.delegation.extend(action.map(delegated));
        })
    };
    for nobody in [None, Some(DelegatedAction::UnlockMember), Some(DelegatedAction::IssueTicket)] {
        assert_eq!(stuck(nobody), ["enrollment.replace"], "{nobody:?}");
        assert_eq!(lost(nobody), ["recovery_codes.enabled"], "{nobody:?}");
    }
    for somebody in [DelegatedAction::ResetMember, DelegatedAction::DisableMember] {
        assert_eq!(stuck(Some(somebody)), NONE, "{somebody:?}");
        assert_eq!(lost(Some(somebody)), NONE, "{somebody:?}");
    }
    let ways: [fn(&mut PolicyDocument); 3] = [
        |policy| policy.enrollment.replace = Replace::AnyTime,
        |policy| policy.enrollment.max_authenticators = 2,
        |policy| policy.disable.self_service = true,
    ];
    for way in ways {
        let out = warned(|policy| {
            policy.disable.self_service = false;
            way(policy);
        });
        assert_eq!(out, NONE);
    }
    let required = warned(|policy| {
        policy.requirement.mode = RequirementMode::Required;
        policy.requirement.grace_period = Duration::from_hours(24);
        policy.disable.self_service = false;
        policy.enrollment.replace = Replace::AnyTime;
    });
    assert_eq!(required, NONE);
}

/// Limits that lock people out who did nothing wrong; one step beside them nothing is said.
#[test]
fn limits_that_lock_people_out_are_warned_of() {
    let limit = |limit: u32| warned(|policy| policy.lockout.consecutive_limit = limit);
    assert_eq!((limit(3), limit(4)), (vec!["lockout.consecutive_limit".to_owned()], vec![]));
    let resend = |interval: u64, kind| {
        warned(|policy| {
            policy.allowed_types = vec![AuthenticatorType::Totp, kind];
            policy.security_key.requires_other_type = false;
            policy.sms.resend_interval = Duration::from_secs(interval);
        })
    };
    assert_eq!(resend(301, AuthenticatorType::Sms), ["allowed_types", "sms.resend_interval"]);
    assert_eq!(resend(300, AuthenticatorType::Sms), ["allowed_types"]);
    assert_eq!(resend(301, AuthenticatorType::SecurityKey), NONE);
}

/// Telephones are warned of where nobody delivers, whether they are allowed or were; and a policy by which nobody could
/// enroll.
#[test]
fn telephones_that_nobody_delivers_to_are_warned_of() {
    let with = |kinds: &[AuthenticatorType]| {
        let mut policy = document();
        policy.allowed_types = kinds.to_vec();
        policy
    };
    let warned = |old: &PolicyDocument, new: &PolicyDocument, delivered| {
        let found = of(old, new, delivered);
        found.iter().filter(|warning| warning.policy_field == "sms.delivery").count()
    };
    let (app, sms, key) = (AuthenticatorType::Totp, AuthenticatorType::Sms, AuthenticatorType::SecurityKey);
    let (apps, both, telephones) = (with(&[app]), with(&[app, sms]), with(&[sms]));
    assert_eq!((warned(&both, &both, true), warned(&both, &both, false)), (0, 1));
    assert_eq!((warned(&apps, &both, false), warned(&both, &apps, false)), (1, 1));
    assert_eq!(warned(&apps, &apps, false), 0);
    assert_eq!((warned(&both, &telephones, true), warned(&both, &telephones, false)), (0, 2));
    let mut keys = with(&[sms, key]);
    assert_eq!(warned(&both, &keys, false), 2);
    name(&mut keys);
    keys.security_key.requires_other_type = true;
    assert_eq!(warned(&both, &keys, false), 2);
    keys.security_key.requires_other_type = false;
    assert_eq!(warned(&both, &keys, false), 1);
}
