//! What to think about before a policy is put in force: values that are allowed and often regretted.

use countersign_api::v1::PolicyWarning;
use countersign_domain::otp::TotpParameters;
use countersign_domain::policy::{AuthenticatorType, ChallengeMode, PolicyDocument, RequirementMode};

/// The warnings of a policy, in the order of the contract.
pub(super) fn of(policy: &PolicyDocument) -> Vec<PolicyWarning> {
    let usual = TotpParameters::default();
    let chosen = policy.totp.parameters;
    let required = policy.requirement.mode == RequirementMode::Required;
    let found = [
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
        (
            policy.allowed_types.contains(&AuthenticatorType::Sms),
            "allowed_types",
            "Text messages can be intercepted and redirected; NIST SP 800-63B-4 restricts their use.",
        ),
        (
            policy.allowed_types == [AuthenticatorType::SecurityKey]
                && policy.security_key.relying_party_id.is_empty(),
            "security_key.relying_party_id",
            "Nobody can enroll: SECURITY_KEY is the only type, and nobody is named for whom keys sign.",
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
            policy.disable.self_service && policy.disable.required_proofs.is_empty(),
            "disable.required_proofs",
            "Whoever has a session can switch the second factor off with nothing more.",
        ),
        (
            !policy.recovery_codes.enabled && policy.delegation.is_empty(),
            "recovery_codes.enabled",
            "Without recovery codes and without anybody who may help, a lost phone is a lost account.",
        ),
        (
            policy.first_factor.trust_federated_mfa,
            "first_factor.trust_federated_mfa",
            "A login whose provider says that it verified a second factor is not asked for one; this service cannot check that.",
        ),
    ];
    let warning = |(_, policy_field, text): (bool, &str, &str)| PolicyWarning {
        policy_field: policy_field.to_owned(),
        text: text.to_owned(),
    };
    found.into_iter().filter(|(applies, ..)| *applies).map(warning).collect()
}
