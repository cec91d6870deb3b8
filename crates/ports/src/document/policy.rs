//! The policy of a tenant as one JSON document. Whether it is free of contradictions is decided by the domain when it
//! is read back, not here.
//!
//! The forms mirror the domain's types field by field: a new domain field does not compile until it has a place here.

use super::named::{name, names};
use super::units::{millis, optional_micros};
use super::{DocumentError, decode, encode};
use countersign_domain::policy::{
    AuthenticatorType, ChallengeMode, ChallengePolicy, DelegatedAction, Delegation, DisablePolicy,
    EnrollmentPolicy, FirstEnrollment, FirstFactorMethod, FirstFactorPolicy, Grant, LockoutPolicy, Naming,
    NoticePolicy, PolicyDocument, ProofKind, ProofStage, RecoveryCodePolicy, Replace, Requirement,
    RequirementMode, SecurityKeyPolicy, SmsDelivery, SmsPolicy, TotpPolicy,
};
use countersign_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The policy as JSON. Spans are kept in whole milliseconds, rounded down.
pub fn encode_policy_document(policy: &PolicyDocument) -> String {
    encode(|json| PolicyJson::serialize(policy, json))
}

/// The policy that [`encode_policy_document`] wrote, of this version or the one before or after.
pub fn decode_policy_document(text: &str) -> Result<PolicyDocument, DocumentError> {
    decode("policy", text, |json| PolicyJson::deserialize(json))
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PolicyDocument")]
struct PolicyJson {
    #[serde(with = "RequirementJson")]
    requirement: Requirement,
    #[serde(with = "ChallengeJson")]
    challenge: ChallengePolicy,
    #[serde(with = "names")]
    allowed_types: Vec<AuthenticatorType>,
    #[serde(with = "totp")]
    totp: TotpPolicy,
    #[serde(with = "SecurityKeyJson")]
    security_key: SecurityKeyPolicy,
    #[serde(with = "SmsJson")]
    sms: SmsPolicy,
    #[serde(with = "EnrollmentJson")]
    enrollment: EnrollmentPolicy,
    #[serde(with = "DisableJson")]
    disable: DisablePolicy,
    #[serde(with = "RecoveryCodeJson")]
    recovery_codes: RecoveryCodePolicy,
    #[serde(with = "delegations")]
    delegation: Vec<Delegation>,
    #[serde(with = "LockoutJson")]
    lockout: LockoutPolicy,
    #[serde(with = "FirstFactorPolicyJson")]
    first_factor: FirstFactorPolicy,
    #[serde(with = "NoticeJson")]
    notices: NoticePolicy,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Requirement")]
struct RequirementJson {
    #[serde(with = "name")]
    mode: RequirementMode,
    #[serde(rename = "required_from_us", with = "optional_micros")]
    required_from: Option<Timestamp>,
    #[serde(rename = "grace_period_ms", with = "millis")]
    grace_period: Duration,
    #[serde(with = "name")]
    first_enrollment: FirstEnrollment,
    groups: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ChallengePolicy")]
struct ChallengeJson {
    #[serde(with = "name")]
    mode: ChallengeMode,
    #[serde(rename = "remember_duration_ms", with = "millis")]
    remember_duration: Duration,
    max_remembered_clients: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "SecurityKeyPolicy")]
struct SecurityKeyJson {
    requires_other_type: bool,
    relying_party_id: String,
    origins: Vec<String>,
    // Policies written before there were keys to verify anybody do not name it.
    #[serde(default)]
    requires_user_verification: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "SmsPolicy")]
struct SmsJson {
    #[serde(with = "name")]
    delivery: SmsDelivery,
    #[serde(rename = "resend_interval_ms", with = "millis")]
    resend_interval: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "EnrollmentPolicy")]
struct EnrollmentJson {
    #[serde(with = "names")]
    required_proofs: Vec<ProofKind>,
    #[serde(with = "name")]
    proof_stage: ProofStage,
    #[serde(rename = "expire_after_ms", with = "millis")]
    expire_after: Duration,
    max_authenticators: u32,
    #[serde(with = "name")]
    replace: Replace,
    #[serde(with = "name")]
    naming: Naming,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DisablePolicy")]
struct DisableJson {
    self_service: bool,
    #[serde(with = "names")]
    required_proofs: Vec<ProofKind>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RecoveryCodePolicy")]
struct RecoveryCodeJson {
    enabled: bool,
    count: u32,
    issue_on_enable: bool,
    reissue_on_use: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Delegation")]
#[expect(clippy::struct_excessive_bools, reason = "it mirrors the domain's type")]
struct DelegationJson {
    #[serde(with = "name")]
    action: DelegatedAction,
    #[serde(with = "name")]
    grant: Grant,
    permissions: Vec<String>,
    peers: bool,
    actor_needs_two_factor: bool,
    actor_needs_fresh_proof: bool,
    second_approver: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "LockoutPolicy")]
struct LockoutJson {
    free_failures: u32,
    #[serde(rename = "first_delay_ms", with = "millis")]
    first_delay: Duration,
    #[serde(rename = "max_delay_ms", with = "millis")]
    max_delay: Duration,
    rolling_limit: u32,
    #[serde(rename = "rolling_window_ms", with = "millis")]
    rolling_window: Duration,
    consecutive_limit: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "FirstFactorPolicy")]
struct FirstFactorPolicyJson {
    #[serde(with = "names")]
    allowed_methods: Vec<FirstFactorMethod>,
    #[serde(rename = "max_age_ms", with = "millis")]
    max_age: Duration,
    trust_federated_mfa: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "NoticePolicy")]
struct NoticeJson {
    support_contact: String,
    advice_url: String,
}

/// What new authenticator apps get, flat as in the contract, through the domain's own checks.
mod totp {
    use super::name;
    use countersign_domain::otp::{Algorithm, Digits, Period, TotpParameters, Window};
    use countersign_domain::policy::TotpPolicy;
    use countersign_domain::text::Issuer;
    use serde::de::{Deserializer, Error};
    use serde::ser::Serializer;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct TotpJson {
        issuer: String,
        #[serde(with = "name")]
        algorithm: Algorithm,
        digits: usize,
        period_seconds: u32,
        past_steps: u8,
        future_steps: u8,
    }

    pub(super) fn serialize<S: Serializer>(policy: &TotpPolicy, to: S) -> Result<S::Ok, S::Error> {
        let TotpPolicy { issuer, parameters, window } = policy;
        let TotpParameters { algorithm, digits, period } = *parameters;
        TotpJson {
            issuer: issuer.as_str().to_owned(),
            algorithm,
            digits: digits.count(),
            period_seconds: period.seconds(),
            past_steps: window.past_steps(),
            future_steps: window.future_steps(),
        }
        .serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<TotpPolicy, D::Error> {
        let json = TotpJson::deserialize(from)?;
        Ok(TotpPolicy {
            issuer: Issuer::parse(&json.issuer).map_err(D::Error::custom)?,
            parameters: TotpParameters {
                algorithm: json.algorithm,
                digits: Digits::from_count(json.digits).ok_or_else(|| D::Error::custom("not 6 or 8"))?,
                period: Period::new(json.period_seconds).map_err(D::Error::custom)?,
            },
            window: Window::new(json.past_steps, json.future_steps).map_err(D::Error::custom)?,
        })
    }
}

/// The delegation rules, in their order.
mod delegations {
    use super::{Delegation, DelegationJson};
    use serde::de::Deserializer;
    use serde::ser::Serializer;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Item(#[serde(with = "DelegationJson")] Delegation);

    pub(super) fn serialize<S: Serializer>(rules: &[Delegation], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(rules.iter().cloned().map(Item))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Delegation>, D::Error> {
        Ok(Vec::<Item>::deserialize(from)?.into_iter().map(|item| item.0).collect())
    }
}
