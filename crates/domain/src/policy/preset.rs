//! The five products as data: each preset is the base policy and what its product does differently.

use super::{
    AuthenticatorType, ChallengeMode, ChallengePolicy, DelegatedAction, Delegation, DisablePolicy,
    EnrollmentPolicy, FirstEnrollment, FirstFactorMethod, FirstFactorPolicy, Grant, LockoutPolicy, Naming,
    NoticePolicy, PolicyDocument, ProofKind, ProofStage, RecoveryCodePolicy, Replace, Requirement,
    RequirementMode, SecurityKeyPolicy, SmsDelivery, SmsPolicy, TotpPolicy,
};
use crate::otp::{TotpParameters, Window};
use crate::text::Issuer;
use std::time::Duration;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// A product whose rules a tenant may start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Preset {
    /// The user switches it on and off; off needs a valid code.
    SelfServiceCode,
    /// The user switches it on and off; off needs a fresh password. Apps and SMS, then security keys.
    SelfServicePassword,
    /// Everybody needs it; a team's manager resets members. Asked from unknown clients.
    MandatoryManaged,
    /// The user switches it on and off freely; administrators with the right permissions switch it off for others.
    AdminPermissions,
    /// On and off need password and code together.
    PasswordAndCode,
}

impl Preset {
    /// All presets, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::SelfServiceCode,
        Self::SelfServicePassword,
        Self::MandatoryManaged,
        Self::AdminPermissions,
        Self::PasswordAndCode,
    ];

    /// The id that callers name it by.
    pub const fn id(self) -> &'static str {
        match self {
            Self::SelfServiceCode => "self-service-code",
            Self::SelfServicePassword => "self-service-password",
            Self::MandatoryManaged => "mandatory-managed",
            Self::AdminPermissions => "admin-permissions",
            Self::PasswordAndCode => "password-and-code",
        }
    }

    /// The preset with that id.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.id() == id)
    }

    /// The policy of the product, with `issuer` as the name that apps show.
    pub fn document(self, issuer: Issuer) -> PolicyDocument {
        let mut policy = base(issuer);
        match self {
            Self::SelfServiceCode => {
                policy.disable.required_proofs = vec![ProofKind::SecondFactor];
            }
            Self::SelfServicePassword => {
                policy.allowed_types =
                    vec![AuthenticatorType::Totp, AuthenticatorType::Sms, AuthenticatorType::SecurityKey];
                policy.enrollment.max_authenticators = 5;
                policy.enrollment.replace = Replace::AnyTime;
                policy.disable.required_proofs = vec![ProofKind::FirstFactor];
            }
            Self::MandatoryManaged => {
                policy.requirement.mode = RequirementMode::Required;
                policy.challenge.mode = ChallengeMode::NewClient;
                policy.enrollment.required_proofs = vec![ProofKind::FirstFactor];
                policy.enrollment.max_authenticators = 5;
                policy.enrollment.replace = Replace::AnyTime;
                policy.enrollment.naming = Naming::Required;
                policy.disable =
                    DisablePolicy { self_service: false, required_proofs: vec![ProofKind::SecondFactor] };
                policy.delegation =
                    vec![by_manager(DelegatedAction::ResetMember), by_manager(DelegatedAction::UnlockMember)];
            }
            Self::AdminPermissions => {
                policy.disable.required_proofs = Vec::new();
                policy.delegation = vec![
                    by_permissions(DelegatedAction::DisableMember),
                    by_permissions(DelegatedAction::UnlockMember),
                ];
            }
            Self::PasswordAndCode => {
                policy.enrollment.required_proofs = vec![ProofKind::FirstFactor];
                policy.enrollment.proof_stage = ProofStage::Confirm;
                policy.disable.required_proofs = vec![ProofKind::FirstFactor, ProofKind::SecondFactor];
            }
        }
        policy
    }
}

/// What all five have in common: optional, asked at every login, one authenticator app, ten recovery codes.
fn base(issuer: Issuer) -> PolicyDocument {
    PolicyDocument {
        requirement: Requirement {
            mode: RequirementMode::Optional,
            required_from: None,
            grace_period: Duration::ZERO,
            first_enrollment: FirstEnrollment::AtLogin,
            groups: Vec::new(),
        },
        challenge: ChallengePolicy {
            mode: ChallengeMode::EveryLogin,
            remember_duration: 30 * DAY,
            max_remembered_clients: 10,
        },
        allowed_types: vec![AuthenticatorType::Totp],
        totp: TotpPolicy { issuer, parameters: TotpParameters::default(), window: Window::default() },
        security_key: SecurityKeyPolicy {
            requires_other_type: true,
            relying_party_id: String::new(),
            origins: Vec::new(),
            requires_user_verification: false,
        },
        sms: SmsPolicy { delivery: SmsDelivery::Gateway, resend_interval: MINUTE },
        enrollment: EnrollmentPolicy {
            required_proofs: Vec::new(),
            proof_stage: ProofStage::Begin,
            expire_after: 10 * MINUTE,
            max_authenticators: 1,
            replace: Replace::DisableFirst,
            naming: Naming::Optional,
        },
        disable: DisablePolicy { self_service: true, required_proofs: vec![ProofKind::SecondFactor] },
        recovery_codes: RecoveryCodePolicy {
            enabled: true,
            count: 10,
            issue_on_enable: true,
            reissue_on_use: false,
        },
        delegation: Vec::new(),
        lockout: LockoutPolicy {
            free_failures: 3,
            first_delay: Duration::from_secs(30),
            max_delay: HOUR,
            rolling_limit: 20,
            rolling_window: DAY,
            consecutive_limit: 50,
        },
        first_factor: FirstFactorPolicy {
            allowed_methods: vec![
                FirstFactorMethod::Password,
                FirstFactorMethod::Federated,
                FirstFactorMethod::EmailLink,
                FirstFactorMethod::Passkey,
            ],
            max_age: 10 * MINUTE,
            trust_federated_mfa: false,
        },
        notices: NoticePolicy { support_contact: String::new(), advice_url: String::new() },
    }
}

fn by_manager(action: DelegatedAction) -> Delegation {
    Delegation {
        action,
        grant: Grant::TeamManager,
        permissions: Vec::new(),
        peers: false,
        actor_needs_two_factor: false,
        actor_needs_fresh_proof: false,
        second_approver: false,
    }
}

fn by_permissions(action: DelegatedAction) -> Delegation {
    Delegation {
        action,
        grant: Grant::Permissions,
        permissions: vec!["users.view".to_owned(), "users.disable-two-factor".to_owned()],
        peers: false,
        actor_needs_two_factor: true,
        actor_needs_fresh_proof: false,
        second_approver: false,
    }
}
