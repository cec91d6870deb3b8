//! What to think about before a policy is put in force: values that are allowed and often regretted.

use countersign_api::v1::PolicyWarning;
use countersign_domain::otp::TotpParameters;
use countersign_domain::policy::{
    AuthenticatorType, ChallengeMode, DelegatedAction, FirstFactorMethod, PolicyDocument, Replace,
    RequirementMode,
};
use std::time::Duration;

/// The longest wait for another text message that is no lockout.
const LONG_RESEND: Duration = Duration::from_mins(5);

/// Whether it applies, the field that it is about, and what to think about.
type Warning = (bool, &'static str, &'static str);

/// The warnings of a policy that takes the place of `old`, in the order of the contract. `delivered` says whether
/// somebody would deliver text messages under it.
pub(super) fn of(old: &PolicyDocument, new: &PolicyDocument, delivered: bool) -> Vec<PolicyWarning> {
    let found = [
        asking(new).as_slice(),
        &kinds(old, new),
        &undelivered(old, new, delivered),
        &keeping(new),
        &guarding(old, new),
    ]
    .concat();
    let warning = |(_, policy_field, text): Warning| PolicyWarning {
        policy_field: policy_field.to_owned(),
        text: text.to_owned(),
    };
    found.into_iter().filter(|(applies, ..)| *applies).map(warning).collect()
}

/// Whom the tenant asks, and when.
fn asking(policy: &PolicyDocument) -> [Warning; 2] {
    let required = policy.requirement.mode == RequirementMode::Required;
    [
        (
            required && policy.requirement.grace_period.is_zero(),
            "requirement.grace_period",
            "Without a grace period everybody who has no second factor is stopped at their first login after the date.",
        ),
        (
            policy.challenge.mode == ChallengeMode::NewClient,
            "challenge.mode",
            "A remembered client stands in for the second factor. NIST SP 800-63B-4 does not count that as authentication; such logins are told apart as REMEMBERED.",
        ),
    ]
}

/// What users enroll.
fn kinds(old: &PolicyDocument, new: &PolicyDocument) -> [Warning; 8] {
    let usual = TotpParameters::default();
    let chosen = new.totp.parameters;
    let allows = |policy: &PolicyDocument, kind| policy.allowed_types.contains(&kind);
    let key = AuthenticatorType::SecurityKey;
    let rule = &new.security_key;
    let verifies_from_now_on =
        rule.requires_user_verification && !old.security_key.requires_user_verification;
    [
        (
            allows(new, AuthenticatorType::Sms),
            "allowed_types",
            "Text messages can be intercepted and redirected; NIST SP 800-63B-4 restricts their use.",
        ),
        (
            chosen.algorithm != usual.algorithm,
            "totp.algorithm",
            "Many authenticator apps ignore any algorithm but SHA1 and show wrong codes.",
        ),
        (
            chosen.digits != usual.digits,
            "totp.digits",
            "Many authenticator apps ignore any number of digits but 6 and show wrong codes.",
        ),
        (
            chosen.period != usual.period,
            "totp.period",
            "Many authenticator apps ignore any period but 30 seconds and show wrong codes.",
        ),
        (
            new.allowed_types == [key] && !rule.is_named(),
            if rule.relying_party_id.is_empty() {
                "security_key.relying_party_id"
            } else {
                "security_key.origins"
            },
            "Nobody can enroll: SECURITY_KEY is the only type, and nobody is named for whom keys sign.",
        ),
        (
            allows(new, key) && rule.requires_other_type && new.enrollment.max_authenticators == 1,
            "security_key.requires_other_type",
            "Nobody can add a security key: another type must stay active beside it, and users may have one authenticator.",
        ),
        (
            verifies_from_now_on && (allows(old, key) || allows(new, key)),
            "security_key.requires_user_verification",
            "Keys that exist and cannot verify their user (no PIN, no fingerprint) serve nobody any more. Who has nothing else is locked out; the impact does not count them.",
        ),
        (
            allows(new, AuthenticatorType::Sms) && new.sms.resend_interval > LONG_RESEND,
            "sms.resend_interval",
            "Whoever missed a message, and has nothing else, is locked out until another one may be sent.",
        ),
    ]
}

/// Telephones that nobody delivers to.
fn undelivered(old: &PolicyDocument, new: &PolicyDocument, delivered: bool) -> [Warning; 2] {
    let allows = |policy: &PolicyDocument, kind| policy.allowed_types.contains(&kind);
    let (sms, rule) = (AuthenticatorType::Sms, &new.security_key);
    let keys_alone_can_be_added =
        allows(new, AuthenticatorType::SecurityKey) && rule.is_named() && !rule.requires_other_type;
    [
        (
            !delivered && (allows(old, sms) || allows(new, sms)),
            "sms.delivery",
            "Nobody delivers text messages: this service has no gateway. Who has a telephone and nothing else is locked out; the impact does not count them.",
        ),
        (
            !delivered
                && allows(new, sms)
                && !allows(new, AuthenticatorType::Totp)
                && !keys_alone_can_be_added,
            "sms.delivery",
            "Nobody can enroll a first authenticator: nobody delivers text messages, and no other type can be added.",
        ),
    ]
}

/// How users keep their second factor, and lose it.
fn keeping(policy: &PolicyDocument) -> [Warning; 3] {
    // Nothing else that is done to others leads to another phone.
    let somebody_helps = policy
        .delegation
        .iter()
        .any(|rule| matches!(rule.action, DelegatedAction::ResetMember | DelegatedAction::DisableMember));
    let rule = &policy.enrollment;
    [
        (
            policy.requirement.mode == RequirementMode::Optional
                && !policy.disable.self_service
                && rule.max_authenticators == 1
                && rule.replace == Replace::DisableFirst
                && !somebody_helps,
            "enrollment.replace",
            "Nobody gets to a new phone without an operator: users cannot replace their one authenticator or switch off, and nobody may do it for them.",
        ),
        (
            policy.disable.self_service && policy.disable.required_proofs.is_empty(),
            "disable.required_proofs",
            "Whoever has a session can switch the second factor off with nothing more.",
        ),
        (
            !policy.recovery_codes.enabled && !somebody_helps,
            "recovery_codes.enabled",
            "Without recovery codes and without anybody who may reset or switch off, a lost phone is a lost account.",
        ),
    ]
}

/// How guesses are held off, and which first factors count.
fn guarding(old: &PolicyDocument, new: &PolicyDocument) -> [Warning; 3] {
    let trusts = |policy: &PolicyDocument| {
        let first = &policy.first_factor;
        first.trust_federated_mfa && first.allowed_methods.contains(&FirstFactorMethod::Federated)
    };
    [
        (
            new.lockout.consecutive_limit <= new.lockout.free_failures,
            "lockout.consecutive_limit",
            "One series of typos disables every app until somebody helps: no delay comes before it.",
        ),
        (
            trusts(new),
            "first_factor.trust_federated_mfa",
            "A login whose provider says that it verified a second factor is not asked for one; this service cannot check that.",
        ),
        (
            trusts(old) && !trusts(new) && new.requirement.mode == RequirementMode::Required,
            "first_factor.trust_federated_mfa",
            "Who came in by a trusted provider and has no second factor here may be stopped at the next login; the impact does not count them.",
        ),
    ]
}

#[cfg(test)]
mod tests;
