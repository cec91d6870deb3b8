//! Ranges and contradictions of a policy. Every violation names its field as callers write it and says the way out.

use super::{
    AuthenticatorType, ChallengeMode, DelegatedAction, FirstEnrollment, Grant, PolicyDocument, ProofKind,
    Replace, RequirementMode,
};
use crate::sms::MAX_RESEND_INTERVAL;
use std::time::Duration;

/// A field of a policy that cannot be accepted, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyViolation {
    /// The field, as callers write it: `lockout.rolling_limit`.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub problem: &'static str,
}

struct Findings(Vec<PolicyViolation>);

impl Findings {
    fn require(&mut self, holds: bool, field: &'static str, problem: &'static str) {
        if !holds {
            self.0.push(PolicyViolation { field, problem });
        }
    }
}

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

pub(super) fn violations(policy: &PolicyDocument) -> Vec<PolicyViolation> {
    let mut findings = Findings(Vec::new());
    requirement(policy, &mut findings);
    challenge(policy, &mut findings);
    authenticators(policy, &mut findings);
    switching_off(policy, &mut findings);
    delegation(policy, &mut findings);
    lockout(policy, &mut findings);
    words(policy, &mut findings);
    findings.0
}

fn requirement(policy: &PolicyDocument, findings: &mut Findings) {
    let rule = &policy.requirement;
    findings.require(rule.grace_period <= 90 * DAY, "requirement.grace_period", "must be at most 90 days");
    findings.require(rule.groups.len() <= 50, "requirement.groups", "must name at most 50 groups");
    if rule.mode == RequirementMode::Optional {
        findings.require(
            rule.required_from.is_none() && rule.grace_period.is_zero() && rule.groups.is_empty(),
            "requirement.mode",
            "OPTIONAL takes no required_from_time, grace_period or groups: set REQUIRED or clear them",
        );
    }
    findings.require(
        rule.first_enrollment == FirstEnrollment::AtLogin
            || policy.delegation.iter().any(|rule| rule.action == DelegatedAction::IssueTicket),
        "requirement.first_enrollment",
        "MANAGER_TICKET needs a delegation rule for ISSUE_TICKET, else nobody could enroll",
    );
}

fn challenge(policy: &PolicyDocument, findings: &mut Findings) {
    let rule = &policy.challenge;
    findings.require(
        rule.remember_duration <= 30 * DAY,
        "challenge.remember_duration",
        "must be at most 30 days",
    );
    findings.require(
        (1..=50).contains(&rule.max_remembered_clients),
        "challenge.max_remembered_clients",
        "must be 1 to 50",
    );
    findings.require(
        rule.mode == ChallengeMode::EveryLogin || rule.remember_duration >= MINUTE,
        "challenge.remember_duration",
        "NEW_CLIENT needs at least a minute, else every client is unknown",
    );
}

fn authenticators(policy: &PolicyDocument, findings: &mut Findings) {
    let types = &policy.allowed_types;
    findings.require(
        types.iter().any(|kind| *kind != AuthenticatorType::RecoveryCode),
        "allowed_types",
        "must name at least one of TOTP, SMS, SECURITY_KEY",
    );
    findings.require(
        !types.contains(&AuthenticatorType::RecoveryCode),
        "allowed_types",
        "RECOVERY_CODE is switched on by recovery_codes.enabled",
    );
    findings.require(
        !(policy.security_key.requires_other_type
            && types.as_slice() == [AuthenticatorType::SecurityKey].as_slice()),
        "security_key.requires_other_type",
        "SECURITY_KEY alone cannot require another type first: allow TOTP or SMS, or clear it",
    );
    let rule = &policy.enrollment;
    findings.require(
        (MINUTE..=30 * MINUTE).contains(&rule.expire_after),
        "enrollment.expire_after",
        "must be 1 to 30 minutes",
    );
    findings.require(
        (1..=20).contains(&rule.max_authenticators),
        "enrollment.max_authenticators",
        "must be 1 to 20",
    );
    findings.require(
        !rule.required_proofs.contains(&ProofKind::SecondFactor),
        "enrollment.required_proofs",
        "SECOND_FACTOR cannot be asked of users who have none: use FIRST_FACTOR; with none named, adding to an active factor asks for the disable proofs by itself",
    );
    let codes = &policy.recovery_codes;
    findings.require((5..=20).contains(&codes.count), "recovery_codes.count", "must be 5 to 20");
    findings.require(
        codes.enabled || !(codes.issue_on_enable || codes.reissue_on_use),
        "recovery_codes.enabled",
        "false takes no issue_on_enable or reissue_on_use: clear them",
    );
    findings.require(
        (MINUTE / 6..=MAX_RESEND_INTERVAL).contains(&policy.sms.resend_interval),
        "sms.resend_interval",
        "must be 10 seconds to 1 hour",
    );
}

fn switching_off(policy: &PolicyDocument, findings: &mut Findings) {
    let mandatory = policy.requirement.mode == RequirementMode::Required;
    findings.require(
        !(mandatory && policy.disable.self_service),
        "disable.self_service",
        "cannot be true while requirement.mode is REQUIRED",
    );
    findings.require(
        !(mandatory && policy.enrollment.max_authenticators == 1 && policy.enrollment.replace == Replace::DisableFirst),
        "enrollment.replace",
        "DISABLE_FIRST with one authenticator leaves no way to a new phone while requirement.mode is REQUIRED: use ANY_TIME",
    );
}

fn delegation(policy: &PolicyDocument, findings: &mut Findings) {
    for (index, rule) in policy.delegation.iter().enumerate() {
        findings.require(
            !policy.delegation[..index].iter().any(|earlier| earlier.action == rule.action),
            "delegation.action",
            "must not repeat an action: one rule an action",
        );
        findings.require(
            match rule.grant {
                Grant::Permissions => (1..=10).contains(&rule.permissions.len()),
                Grant::TeamManager => rule.permissions.is_empty(),
            },
            "delegation.permissions",
            "must name 1 to 10 permissions under PERMISSIONS and none under TEAM_MANAGER",
        );
        findings.require(
            rule.actor_needs_two_factor || !rule.actor_needs_fresh_proof,
            "delegation.actor_needs_fresh_proof",
            "needs actor_needs_two_factor: nobody can prove a factor they need not have",
        );
        findings.require(
            !(rule.action == DelegatedAction::DisableMember
                && policy.requirement.mode == RequirementMode::Required),
            "delegation.action",
            "DISABLE_MEMBER contradicts requirement.mode REQUIRED: use RESET_MEMBER",
        );
    }
}

fn lockout(policy: &PolicyDocument, findings: &mut Findings) {
    let rule = &policy.lockout;
    findings.require((1..=10).contains(&rule.free_failures), "lockout.free_failures", "must be 1 to 10");
    findings.require(
        (Duration::from_secs(1)..=DAY).contains(&rule.first_delay),
        "lockout.first_delay",
        "must be 1 second to 1 day",
    );
    findings.require(
        rule.max_delay >= rule.first_delay && rule.max_delay <= DAY,
        "lockout.max_delay",
        "must be at least first_delay and at most 1 day",
    );
    findings.require((5..=100).contains(&rule.rolling_limit), "lockout.rolling_limit", "must be 5 to 100");
    findings.require(
        (60 * MINUTE..=30 * DAY).contains(&rule.rolling_window),
        "lockout.rolling_window",
        "must be 1 hour to 30 days",
    );
    findings.require(
        (rule.free_failures..=100).contains(&rule.consecutive_limit),
        "lockout.consecutive_limit",
        "must be at least free_failures and at most 100",
    );
}

fn words(policy: &PolicyDocument, findings: &mut Findings) {
    let first = &policy.first_factor;
    findings.require(
        !first.allowed_methods.is_empty(),
        "first_factor.allowed_methods",
        "must name at least one method",
    );
    findings.require(
        (MINUTE..=DAY).contains(&first.max_age),
        "first_factor.max_age",
        "must be 1 minute to 24 hours",
    );
    let notices = &policy.notices;
    findings.require(
        notices.support_contact.chars().count() <= 200
            && !notices.support_contact.chars().any(char::is_control),
        "notices.support_contact",
        "must be at most 200 characters without control characters",
    );
    findings.require(
        notices.advice_url.is_empty()
            || (notices.advice_url.len() <= 500
                && notices.advice_url.starts_with("https://")
                && notices.advice_url.bytes().all(|b| b.is_ascii_graphic())),
        "notices.advice_url",
        "must be empty or an https:// address of at most 500 ASCII characters",
    );
}

#[cfg(test)]
mod tests;
