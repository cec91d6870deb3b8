//! A policy on its way out, every section filled.

use super::super::enums::{authenticator_type, first_factor_method, proof_kinds, totp_algorithm};
use super::super::time::{count, timestamp};
use super::{enums, etag};
use countersign_api::v1;
use countersign_application::TenantRecord;
use countersign_domain::ids::PolicyRevision;
use countersign_domain::policy::{Delegation, FieldChange, PolicyDocument};
use std::time::Duration;

/// A revision of a tenant's policy.
pub(crate) fn policy(record: &TenantRecord) -> v1::Policy {
    v1::Policy {
        etag: etag(record.revision),
        revision: revision(record.revision),
        ..policy_of(&record.document)
    }
}

/// The number of a revision as the wire has it.
pub(crate) fn revision(revision: PolicyRevision) -> i32 {
    i32::try_from(revision.0).unwrap_or(i32::MAX)
}

/// The paths of what changed, in the order of the contract.
pub(crate) fn changed_fields(changes: &[FieldChange]) -> Vec<String> {
    changes.iter().map(|change| change.field.to_owned()).collect()
}

/// A policy that is no tenant's: without etag and revision.
pub(crate) fn policy_of(document: &PolicyDocument) -> v1::Policy {
    let types = document.allowed_types.iter().map(|kind| authenticator_type(*kind).into());
    v1::Policy {
        requirement: Some(requirement(document)),
        challenge: Some(v1::ChallengePolicy {
            mode: enums::challenge_mode(document.challenge.mode).into(),
            remember_duration: Some(span(document.challenge.remember_duration)),
            max_remembered_clients: number(document.challenge.max_remembered_clients),
        }),
        allowed_types: types.collect(),
        totp: Some(totp(document)),
        security_key: Some(v1::SecurityKeyPolicy {
            requires_other_type: document.security_key.requires_other_type,
            relying_party_id: document.security_key.relying_party_id.clone(),
            origins: document.security_key.origins.clone(),
            requires_user_verification: document.security_key.requires_user_verification,
        }),
        sms: Some(v1::SmsPolicy {
            delivery: enums::sms_delivery(document.sms.delivery).into(),
            resend_interval: Some(span(document.sms.resend_interval)),
        }),
        enrollment: Some(enrollment(document)),
        disable: Some(v1::DisablePolicy {
            self_service: document.disable.self_service,
            required_proofs: proof_kinds(&document.disable.required_proofs),
        }),
        recovery_codes: Some(v1::RecoveryCodePolicy {
            enabled: document.recovery_codes.enabled,
            count: number(document.recovery_codes.count),
            issue_on_enable: document.recovery_codes.issue_on_enable,
            reissue_on_use: document.recovery_codes.reissue_on_use,
        }),
        delegation: document.delegation.iter().map(delegation).collect(),
        lockout: Some(lockout(document)),
        first_factor: Some(first_factor(document)),
        notices: Some(v1::NoticePolicy {
            support_contact: document.notices.support_contact.clone(),
            advice_url: document.notices.advice_url.clone(),
        }),
        etag: String::new(),
        revision: 0,
    }
}

fn requirement(document: &PolicyDocument) -> v1::RequirementPolicy {
    let rule = &document.requirement;
    v1::RequirementPolicy {
        mode: enums::requirement_mode(rule.mode).into(),
        required_from_time: rule.required_from.map(timestamp),
        grace_period: Some(span(rule.grace_period)),
        first_enrollment: enums::first_enrollment(rule.first_enrollment).into(),
        groups: rule.groups.clone(),
    }
}

fn totp(document: &PolicyDocument) -> v1::TotpPolicy {
    let rule = &document.totp;
    v1::TotpPolicy {
        issuer: rule.issuer.as_str().to_owned(),
        algorithm: totp_algorithm(rule.parameters.algorithm).into(),
        digits: count(rule.parameters.digits.count()),
        period: Some(span(Duration::from_secs(rule.parameters.period.seconds().into()))),
        past_steps: rule.window.past_steps().into(),
        future_steps: rule.window.future_steps().into(),
    }
}

fn enrollment(document: &PolicyDocument) -> v1::EnrollmentPolicy {
    let rule = &document.enrollment;
    v1::EnrollmentPolicy {
        required_proofs: proof_kinds(&rule.required_proofs),
        proof_stage: enums::proof_stage(rule.proof_stage).into(),
        expire_after: Some(span(rule.expire_after)),
        max_authenticators: number(rule.max_authenticators),
        replace: enums::replace(rule.replace).into(),
        naming: enums::naming(rule.naming).into(),
    }
}

fn delegation(rule: &Delegation) -> v1::DelegationRule {
    v1::DelegationRule {
        action: enums::delegated_action(rule.action).into(),
        grant: enums::grant(rule.grant).into(),
        permissions: rule.permissions.clone(),
        peers: rule.peers,
        actor_needs_two_factor: rule.actor_needs_two_factor,
        actor_needs_fresh_proof: rule.actor_needs_fresh_proof,
        second_approver: rule.second_approver,
    }
}

fn lockout(document: &PolicyDocument) -> v1::LockoutPolicy {
    let rule = &document.lockout;
    v1::LockoutPolicy {
        free_failures: number(rule.free_failures),
        first_delay: Some(span(rule.first_delay)),
        max_delay: Some(span(rule.max_delay)),
        rolling_limit: number(rule.rolling_limit),
        rolling_window: Some(span(rule.rolling_window)),
        consecutive_limit: number(rule.consecutive_limit),
    }
}

fn first_factor(document: &PolicyDocument) -> v1::FirstFactorPolicy {
    let rule = &document.first_factor;
    let methods = rule.allowed_methods.iter().map(|method| first_factor_method(*method).into());
    v1::FirstFactorPolicy {
        allowed_methods: methods.collect(),
        max_age: Some(span(rule.max_age)),
        trust_federated_mfa: rule.trust_federated_mfa,
    }
}

/// A number of a policy, all of which are far below the wire's largest.
fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// A span, exactly.
fn span(span: Duration) -> prost_types::Duration {
    let nanos = i32::try_from(span.subsec_nanos()).unwrap_or(0);
    prost_types::Duration { seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX), nanos }
}
