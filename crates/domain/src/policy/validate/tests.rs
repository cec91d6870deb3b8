//! A table of contradictions, each with the field that must be named.

use super::super::{
    AuthenticatorType, ChallengeMode, DelegatedAction, FirstEnrollment, Grant, PolicyDocument, Preset,
    ProofKind, Replace, RequirementMode,
};
use crate::text::Issuer;
use std::time::Duration;

fn document() -> PolicyDocument {
    Preset::MandatoryManaged.document(Issuer::parse("Example").unwrap())
}

/// The presets are policies without contradictions.
#[test]
fn every_preset_is_valid() {
    for preset in Preset::ALL {
        let document = preset.document(Issuer::parse("Example").unwrap());
        assert_eq!(document.validated().map(|_| ()), Ok(()), "{}", preset.id());
        assert_eq!(Preset::from_id(preset.id()), Some(preset));
    }
}

fn check(field: &str, change: impl FnOnce(&mut PolicyDocument)) {
    let mut policy = document();
    change(&mut policy);
    let violations = policy.validated().expect_err(field);
    assert_eq!(violations.iter().map(|violation| violation.field).collect::<Vec<_>>(), [field]);
}

/// R13 and the ranges of the contract: what is out of range or contradictory is refused with the field named.
#[test]
fn contradictions_name_their_field() {
    check("requirement.mode", |p| {
        p.requirement.mode = RequirementMode::Optional;
        p.requirement.grace_period = Duration::from_mins(1);
    });
    check("requirement.grace_period", |p| p.requirement.grace_period = Duration::from_hours(91 * 24));
    check("requirement.first_enrollment", |p| {
        p.requirement.first_enrollment = FirstEnrollment::ManagerTicket;
    });
    check("challenge.remember_duration", |p| p.challenge.remember_duration = Duration::from_hours(31 * 24));
    check("challenge.remember_duration", |p| p.challenge.remember_duration = Duration::ZERO);
    check("challenge.max_remembered_clients", |p| p.challenge.max_remembered_clients = 0);
    check("allowed_types", |p| p.allowed_types.clear());
    check("allowed_types", |p| p.allowed_types.push(AuthenticatorType::RecoveryCode));
    check("security_key.requires_other_type", |p| p.allowed_types = vec![AuthenticatorType::SecurityKey]);
    check("enrollment.expire_after", |p| p.enrollment.expire_after = Duration::from_secs(59));
    check("enrollment.max_authenticators", |p| p.enrollment.max_authenticators = 21);
    check("enrollment.required_proofs", |p| p.enrollment.required_proofs.push(ProofKind::SecondFactor));
    check("enrollment.replace", |p| {
        p.enrollment.max_authenticators = 1;
        p.enrollment.replace = Replace::DisableFirst;
    });
    check("recovery_codes.count", |p| p.recovery_codes.count = 4);
    check("recovery_codes.enabled", |p| p.recovery_codes.enabled = false);
    check("disable.self_service", |p| p.disable.self_service = true);
    check("delegation.action", |p| p.delegation.push(p.delegation[0].clone()));
    check("delegation.action", |p| p.delegation[0].action = DelegatedAction::DisableMember);
    check("delegation.permissions", |p| p.delegation[0].permissions.push("users.view".into()));
    check("delegation.actor_needs_fresh_proof", |p| p.delegation[0].actor_needs_fresh_proof = true);
    check("lockout.free_failures", |p| p.lockout.free_failures = 0);
    check("lockout.max_delay", |p| p.lockout.max_delay = Duration::from_secs(29));
    check("lockout.rolling_limit", |p| p.lockout.rolling_limit = 101);
    check("lockout.consecutive_limit", |p| p.lockout.consecutive_limit = 101);
    check("first_factor.allowed_methods", |p| p.first_factor.allowed_methods.clear());
    check("first_factor.max_age", |p| p.first_factor.max_age = Duration::from_secs(86_401));
    check("notices.support_contact", |p| p.notices.support_contact = "a\nb".into());
    check("notices.advice_url", |p| p.notices.advice_url = "http://example.org".into());
}

/// A field that takes `least` to `most` of a unit, and how it is set.
fn check_range(field: &str, (least, most): (u64, u64), set: impl Fn(&mut PolicyDocument, u64)) {
    let violated = |value: u64| {
        let mut policy = document();
        set(&mut policy, value);
        let violations = policy.validated().err().unwrap_or_default();
        violations.iter().map(|violation| violation.field).collect::<Vec<_>>()
    };
    for value in [least, most] {
        assert_eq!(violated(value), [""; 0], "{field}: {value}");
    }
    for value in [least.checked_sub(1), Some(most + 1)].into_iter().flatten() {
        // Another field may be bound to this one, and be out of its range as well.
        assert!(violated(value).contains(&field), "{field}: {value}");
    }
}

/// R13 and the ranges of the contract: each is taken to both its ends, and not a millisecond or a one beyond.
#[test]
fn ranges_are_taken_to_their_ends() {
    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let span = Duration::from_millis;
    let count = |value: u64| u32::try_from(value).unwrap();
    let words = |value: u64| (0..value).map(|number| number.to_string()).collect::<Vec<_>>();
    let text = |value: u64, letter: &str| letter.repeat(usize::try_from(value).unwrap());

    check_range("requirement.grace_period", (0, 90 * DAY), |p, n| p.requirement.grace_period = span(n));
    check_range("requirement.groups", (0, 50), |p, n| p.requirement.groups = words(n));
    check_range("challenge.remember_duration", (MINUTE, 30 * DAY), |p, n| {
        p.challenge.mode = ChallengeMode::NewClient;
        p.challenge.remember_duration = span(n);
    });
    check_range("challenge.remember_duration", (0, 30 * DAY), |p, n| {
        p.challenge.mode = ChallengeMode::EveryLogin;
        p.challenge.remember_duration = span(n);
    });
    check_range("challenge.max_remembered_clients", (1, 50), |p, n| {
        p.challenge.max_remembered_clients = count(n);
    });
    check_range("sms.resend_interval", (10_000, HOUR), |p, n| p.sms.resend_interval = span(n));
    check_range("enrollment.expire_after", (MINUTE, 30 * MINUTE), |p, n| {
        p.enrollment.expire_after = span(n);
    });
    check_range("enrollment.max_authenticators", (1, 20), |p, n| p.enrollment.max_authenticators = count(n));
    check_range("recovery_codes.count", (5, 20), |p, n| p.recovery_codes.count = count(n));
    check_range("delegation.permissions", (1, 10), |p, n| {
        p.delegation[0].grant = Grant::Permissions;
        p.delegation[0].permissions = words(n);
    });
    check_range("lockout.free_failures", (1, 10), |p, n| p.lockout.free_failures = count(n));
    check_range("lockout.first_delay", (1_000, DAY), |p, n| {
        p.lockout.first_delay = span(n);
        p.lockout.max_delay = span(DAY);
    });
    check_range("lockout.max_delay", (30_000, DAY), |p, n| {
        p.lockout.first_delay = span(30_000);
        p.lockout.max_delay = span(n);
    });
    check_range("lockout.rolling_limit", (5, 100), |p, n| p.lockout.rolling_limit = count(n));
    check_range("lockout.rolling_window", (HOUR, 30 * DAY), |p, n| p.lockout.rolling_window = span(n));
    check_range("lockout.consecutive_limit", (3, 100), |p, n| {
        p.lockout.free_failures = 3;
        p.lockout.consecutive_limit = count(n);
    });
    check_range("first_factor.max_age", (MINUTE, DAY), |p, n| p.first_factor.max_age = span(n));
    check_range("notices.support_contact", (0, 200), |p, n| p.notices.support_contact = text(n, "é"));
    check_range("notices.advice_url", (8, 500), |p, n| {
        p.notices.advice_url = format!("https://{}", text(500, "a"));
        p.notices.advice_url.truncate(usize::try_from(n).unwrap());
    });
}
