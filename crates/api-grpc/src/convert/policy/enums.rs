//! Enums of policies, one to one with the domain's. `Unspecified` is never made and never taken.

use countersign_api::v1;
use countersign_domain::otp::Algorithm;
use countersign_domain::policy::{
    AuthenticatorType, ChallengeMode, DelegatedAction, FirstEnrollment, Grant, Naming, ProofKind, ProofStage,
    Replace, RequirementMode, SmsDelivery,
};

/// Both directions of an enum. The way back is `None` for zero and for values of another version.
macro_rules! pairs {
    ($to_wire:ident, $from_wire:ident, $domain:ident, $wire:ident { $($variant:ident = $name:ident),+ $(,)? }) => {
        pub(crate) const fn $to_wire(value: $domain) -> v1::$wire {
            match value { $($domain::$variant => v1::$wire::$name),+ }
        }

        pub(crate) fn $from_wire(value: i32) -> Option<$domain> {
            match v1::$wire::try_from(value).ok()? {
                $(v1::$wire::$name => Some($domain::$variant),)+
                #[allow(unreachable_patterns, reason = "some enums of the contract have values that no policy takes")]
                _ => None,
            }
        }
    };
}

pairs!(requirement_mode, to_requirement_mode, RequirementMode, RequirementMode {
    Optional = Optional,
    Required = Required,
});
pairs!(first_enrollment, to_first_enrollment, FirstEnrollment, FirstEnrollment {
    AtLogin = AtLogin,
    ManagerTicket = ManagerTicket,
});
pairs!(challenge_mode, to_challenge_mode, ChallengeMode, ChallengeMode {
    EveryLogin = EveryLogin,
    NewClient = NewClient,
});
pairs!(sms_delivery, to_sms_delivery, SmsDelivery, SmsDelivery { Gateway = Service, Caller = Caller });
pairs!(proof_stage, to_proof_stage, ProofStage, ProofStage { Begin = Begin, Confirm = Confirm });
pairs!(replace, to_replace, Replace, ReplaceMode { DisableFirst = DisableFirst, AnyTime = AnyTime });
pairs!(naming, to_naming, Naming, NamingMode { Optional = Optional, Required = Required });
pairs!(grant, to_grant, Grant, DelegationGrant { TeamManager = TeamManager, Permissions = Permissions });
pairs!(delegated_action, to_delegated_action, DelegatedAction, Action {
    ResetMember = ResetMember,
    DisableMember = DisableMember,
    UnlockMember = UnlockMember,
    IssueTicket = IssueTicket,
});

/// The algorithm that the wire names.
pub(super) fn to_algorithm(value: i32) -> Option<Algorithm> {
    match v1::TotpAlgorithm::try_from(value).ok()? {
        v1::TotpAlgorithm::Unspecified => None,
        v1::TotpAlgorithm::Sha1 => Some(Algorithm::Sha1),
        v1::TotpAlgorithm::Sha256 => Some(Algorithm::Sha256),
        v1::TotpAlgorithm::Sha512 => Some(Algorithm::Sha512),
    }
}

/// The kind of authenticator that the wire names.
pub(super) fn to_authenticator_type(value: i32) -> Option<AuthenticatorType> {
    match v1::AuthenticatorType::try_from(value).ok()? {
        v1::AuthenticatorType::Unspecified => None,
        v1::AuthenticatorType::Totp => Some(AuthenticatorType::Totp),
        v1::AuthenticatorType::Sms => Some(AuthenticatorType::Sms),
        v1::AuthenticatorType::SecurityKey => Some(AuthenticatorType::SecurityKey),
        v1::AuthenticatorType::RecoveryCode => Some(AuthenticatorType::RecoveryCode),
    }
}

/// The kind of proof that the wire names.
pub(super) fn to_proof_kind(value: i32) -> Option<ProofKind> {
    match v1::ProofKind::try_from(value).ok()? {
        v1::ProofKind::Unspecified => None,
        v1::ProofKind::FirstFactor => Some(ProofKind::FirstFactor),
        v1::ProofKind::SecondFactor => Some(ProofKind::SecondFactor),
    }
}
