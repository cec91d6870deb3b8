//! A policy on its way in, complete. Everything that is wrong with a field is told at once.

use super::super::enums::to_first_factor_method;
use super::super::fields::{Fields, Parsed};
use super::enums;
use countersign_api::v1;
use countersign_domain::otp::{Digits, Period, TotpParameters, Window};
use countersign_domain::policy::{
    ChallengePolicy, Delegation, DisablePolicy, EnrollmentPolicy, FirstFactorPolicy, LockoutPolicy,
    NoticePolicy, PolicyDocument, ProofKind, RecoveryCodePolicy, Requirement, SecurityKeyPolicy, SmsPolicy,
    TotpPolicy,
};
use countersign_domain::text::Issuer;
use std::time::Duration;

mod values;

use values::At;

/// Rules that one policy may have: more than there are actions would repeat one.
const MAX_RULES: usize = 16;

/// Reads a policy whose every section must be there. `field` is where the request carries it.
pub(crate) fn document(fields: &mut Fields, field: &str, policy: &v1::Policy) -> Parsed<PolicyDocument> {
    let mut at = At::new(fields, field);
    let requirement = at.section("requirement", policy.requirement.as_ref(), requirement);
    let challenge = at.section("challenge", policy.challenge.as_ref(), challenge);
    let allowed_types = at.set(
        "allowed_types",
        &policy.allowed_types,
        enums::to_authenticator_type,
        "must be kinds of authenticators, each once",
    );
    let totp = at.section("totp", policy.totp.as_ref(), totp);
    let security_key = at.section("security_key", policy.security_key.as_ref(), security_key);
    let sms = at.section("sms", policy.sms.as_ref(), sms);
    let enrollment = at.section("enrollment", policy.enrollment.as_ref(), enrollment);
    let disable = at.section("disable", policy.disable.as_ref(), disable);
    let recovery_codes =
        at.section("recovery_codes", policy.recovery_codes.as_ref(), |at, given| recovery_codes(at, *given));
    let delegation = delegation(&mut at, &policy.delegation);
    let lockout = at.section("lockout", policy.lockout.as_ref(), lockout);
    let first_factor = at.section("first_factor", policy.first_factor.as_ref(), first_factor);
    let notices = at.section("notices", policy.notices.as_ref(), notices);
    Ok(PolicyDocument {
        requirement: requirement?,
        challenge: challenge?,
        allowed_types: allowed_types?,
        totp: totp?,
        security_key: security_key?,
        sms: sms?,
        enrollment: enrollment?,
        disable: disable?,
        recovery_codes: recovery_codes?,
        delegation: delegation?,
        lockout: lockout?,
        first_factor: first_factor?,
        notices: notices?,
    })
}

fn requirement(at: &mut At<'_>, given: &v1::RequirementPolicy) -> Parsed<Requirement> {
    let mode = at.one("mode", given.mode, enums::to_requirement_mode, "must be OPTIONAL or REQUIRED");
    let required_from = at.time("required_from_time", given.required_from_time);
    let grace_period = at.span("grace_period", given.grace_period);
    let first_enrollment = at.one(
        "first_enrollment",
        given.first_enrollment,
        enums::to_first_enrollment,
        "must be AT_LOGIN or MANAGER_TICKET",
    );
    let groups = at.groups("groups", &given.groups);
    Ok(Requirement {
        mode: mode?,
        required_from: required_from?,
        grace_period: grace_period?,
        first_enrollment: first_enrollment?,
        groups: groups?,
    })
}

fn challenge(at: &mut At<'_>, given: &v1::ChallengePolicy) -> Parsed<ChallengePolicy> {
    let mode = at.one("mode", given.mode, enums::to_challenge_mode, "must be EVERY_LOGIN or NEW_CLIENT");
    let remember_duration = at.span("remember_duration", given.remember_duration);
    let max_remembered_clients = at.number("max_remembered_clients", given.max_remembered_clients);
    Ok(ChallengePolicy {
        mode: mode?,
        remember_duration: remember_duration?,
        max_remembered_clients: max_remembered_clients?,
    })
}

fn totp(at: &mut At<'_>, given: &v1::TotpPolicy) -> Parsed<TotpPolicy> {
    let issuer = at.take("issuer", Issuer::parse(&given.issuer));
    let algorithm =
        at.one("algorithm", given.algorithm, enums::to_algorithm, "must be SHA1, SHA256 or SHA512");
    let digits = usize::try_from(given.digits).ok().and_then(Digits::from_count);
    let digits = at.take("digits", digits.ok_or("must be 6 or 8"));
    let period = at
        .whole_seconds("period", given.period)
        .and_then(|seconds| at.take("period", Period::new(seconds).map_err(|_| "must be 15 to 120 seconds")));
    let past = at.step("past_steps", given.past_steps);
    let future = at.step("future_steps", given.future_steps);
    let window = at.take("past_steps", Window::new(past?, future?));
    Ok(TotpPolicy {
        issuer: issuer?,
        parameters: TotpParameters { algorithm: algorithm?, digits: digits?, period: period? },
        window: window?,
    })
}

fn security_key(at: &mut At<'_>, given: &v1::SecurityKeyPolicy) -> Parsed<SecurityKeyPolicy> {
    let relying_party_id = at.domain("relying_party_id", &given.relying_party_id);
    let domain = relying_party_id.clone().unwrap_or_default();
    let origins = at.origins("origins", &given.origins, &domain);
    Ok(SecurityKeyPolicy {
        requires_other_type: given.requires_other_type,
        relying_party_id: relying_party_id?,
        origins: origins?,
        requires_user_verification: given.requires_user_verification,
    })
}

fn sms(at: &mut At<'_>, given: &v1::SmsPolicy) -> Parsed<SmsPolicy> {
    let delivery = at.one("delivery", given.delivery, enums::to_sms_delivery, "must be SERVICE or CALLER");
    let resend_interval = at.span("resend_interval", given.resend_interval);
    Ok(SmsPolicy { delivery: delivery?, resend_interval: resend_interval? })
}

fn enrollment(at: &mut At<'_>, given: &v1::EnrollmentPolicy) -> Parsed<EnrollmentPolicy> {
    let required_proofs = proofs(at, &given.required_proofs);
    let proof_stage =
        at.one("proof_stage", given.proof_stage, enums::to_proof_stage, "must be BEGIN or CONFIRM");
    let expire_after = at.span("expire_after", given.expire_after);
    let max_authenticators = at.number("max_authenticators", given.max_authenticators);
    let replace = at.one("replace", given.replace, enums::to_replace, "must be DISABLE_FIRST or ANY_TIME");
    let naming = at.one("naming", given.naming, enums::to_naming, "must be OPTIONAL or REQUIRED");
    Ok(EnrollmentPolicy {
        required_proofs: required_proofs?,
        proof_stage: proof_stage?,
        expire_after: expire_after?,
        max_authenticators: max_authenticators?,
        replace: replace?,
        naming: naming?,
    })
}

fn disable(at: &mut At<'_>, given: &v1::DisablePolicy) -> Parsed<DisablePolicy> {
    let required_proofs = proofs(at, &given.required_proofs);
    Ok(DisablePolicy { self_service: given.self_service, required_proofs: required_proofs? })
}

fn proofs(at: &mut At<'_>, given: &[i32]) -> Parsed<Vec<ProofKind>> {
    let problem = "must be FIRST_FACTOR and SECOND_FACTOR, each at most once";
    at.set("required_proofs", given, enums::to_proof_kind, problem)
}

fn recovery_codes(at: &mut At<'_>, given: v1::RecoveryCodePolicy) -> Parsed<RecoveryCodePolicy> {
    let count = at.number("count", given.count);
    Ok(RecoveryCodePolicy {
        enabled: given.enabled,
        count: count?,
        issue_on_enable: given.issue_on_enable,
        reissue_on_use: given.reissue_on_use,
    })
}

fn delegation(at: &mut At<'_>, given: &[v1::DelegationRule]) -> Parsed<Vec<Delegation>> {
    if given.len() > MAX_RULES {
        return at.take("delegation", Err("must not repeat an action: one rule an action"));
    }
    let rules = given.iter().enumerate();
    let rules: Vec<_> = rules
        .map(|(index, rule)| at.section(&format!("delegation[{index}]"), Some(rule), delegation_rule))
        .collect();
    rules.into_iter().collect()
}

fn delegation_rule(at: &mut At<'_>, given: &v1::DelegationRule) -> Parsed<Delegation> {
    let action = at.one(
        "action",
        given.action,
        enums::to_delegated_action,
        "must be RESET_MEMBER, DISABLE_MEMBER, UNLOCK_MEMBER or ISSUE_TICKET",
    );
    let grant = at.one("grant", given.grant, enums::to_grant, "must be TEAM_MANAGER or PERMISSIONS");
    let permissions = at.permissions("permissions", &given.permissions);
    Ok(Delegation {
        action: action?,
        grant: grant?,
        permissions: permissions?,
        peers: given.peers,
        actor_needs_two_factor: given.actor_needs_two_factor,
        actor_needs_fresh_proof: given.actor_needs_fresh_proof,
        second_approver: given.second_approver,
    })
}

fn lockout(at: &mut At<'_>, given: &v1::LockoutPolicy) -> Parsed<LockoutPolicy> {
    let free_failures = at.number("free_failures", given.free_failures);
    let first_delay = at.span("first_delay", given.first_delay);
    let max_delay = at.span("max_delay", given.max_delay);
    let rolling_limit = at.number("rolling_limit", given.rolling_limit);
    let rolling_window = at.span("rolling_window", given.rolling_window);
    let consecutive_limit = at.number("consecutive_limit", given.consecutive_limit);
    Ok(LockoutPolicy {
        free_failures: free_failures?,
        first_delay: first_delay?,
        max_delay: max_delay?,
        rolling_limit: rolling_limit?,
        rolling_window: rolling_window?,
        consecutive_limit: consecutive_limit?,
    })
}

fn first_factor(at: &mut At<'_>, given: &v1::FirstFactorPolicy) -> Parsed<FirstFactorPolicy> {
    let allowed_methods = at.set(
        "allowed_methods",
        &given.allowed_methods,
        to_first_factor_method,
        "must be methods of a first factor, each once",
    );
    let max_age = at.span("max_age", given.max_age);
    Ok(FirstFactorPolicy {
        allowed_methods: allowed_methods?,
        max_age: max_age?,
        trust_federated_mfa: given.trust_federated_mfa,
    })
}

fn notices(at: &mut At<'_>, given: &v1::NoticePolicy) -> Parsed<NoticePolicy> {
    // How long they may be and what they are made of is the domain's to say, as for everything it can hold.
    let support_contact = at.text("support_contact", &given.support_contact);
    let advice_url = at.text("advice_url", &given.advice_url);
    Ok(NoticePolicy { support_contact: support_contact?, advice_url: advice_url? })
}

/// A span as the domain has it: absent is zero.
fn span(given: Option<prost_types::Duration>) -> Option<Duration> {
    let given = given.unwrap_or_default();
    let seconds = u64::try_from(given.seconds).ok()?;
    let nanos = u32::try_from(given.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    nanos.is_multiple_of(1_000_000).then(|| Duration::new(seconds, nanos))
}
