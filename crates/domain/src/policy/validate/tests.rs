//! A table of contradictions, each with the field that must be named.

use super::super::{
    AuthenticatorType, DelegatedAction, FirstEnrollment, PolicyDocument, Preset, ProofKind, Replace,
    RequirementMode,
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
