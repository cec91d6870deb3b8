//! Enums of the contract and of the domain, one to one. `Unspecified` is never made and never taken.

use countersign_api::v1;
use countersign_domain::otp::Algorithm;
use countersign_domain::policy::{AuthenticatorType, FirstFactorMethod, ProofKind};
use countersign_domain::status::{OwnAction, TwoFactorState};
use countersign_domain::user::ChallengePurpose;

pub(crate) const fn authenticator_type(kind: AuthenticatorType) -> v1::AuthenticatorType {
    match kind {
        AuthenticatorType::Totp => v1::AuthenticatorType::Totp,
        AuthenticatorType::Sms => v1::AuthenticatorType::Sms,
        AuthenticatorType::SecurityKey => v1::AuthenticatorType::SecurityKey,
        AuthenticatorType::RecoveryCode => v1::AuthenticatorType::RecoveryCode,
    }
}

pub(crate) const fn proof_kind(kind: ProofKind) -> v1::ProofKind {
    match kind {
        ProofKind::FirstFactor => v1::ProofKind::FirstFactor,
        ProofKind::SecondFactor => v1::ProofKind::SecondFactor,
    }
}

/// Proofs as the wire has them.
pub(crate) fn proof_kinds(kinds: &[ProofKind]) -> Vec<i32> {
    kinds.iter().map(|kind| proof_kind(*kind).into()).collect()
}

pub(crate) const fn first_factor_method(method: FirstFactorMethod) -> v1::FirstFactorMethod {
    match method {
        FirstFactorMethod::Password => v1::FirstFactorMethod::Password,
        FirstFactorMethod::Federated => v1::FirstFactorMethod::Federated,
        FirstFactorMethod::EmailLink => v1::FirstFactorMethod::EmailLink,
        FirstFactorMethod::Passkey => v1::FirstFactorMethod::Passkey,
    }
}

/// The method that the wire names; `None` for zero and for values of another version.
pub(crate) fn to_first_factor_method(value: i32) -> Option<FirstFactorMethod> {
    match v1::FirstFactorMethod::try_from(value).ok()? {
        v1::FirstFactorMethod::Unspecified => None,
        v1::FirstFactorMethod::Password => Some(FirstFactorMethod::Password),
        v1::FirstFactorMethod::Federated => Some(FirstFactorMethod::Federated),
        v1::FirstFactorMethod::EmailLink => Some(FirstFactorMethod::EmailLink),
        v1::FirstFactorMethod::Passkey => Some(FirstFactorMethod::Passkey),
    }
}

/// The purpose that the wire names; `None` for zero and for values of another version.
pub(crate) fn to_purpose(value: i32) -> Option<ChallengePurpose> {
    match v1::LoginPurpose::try_from(value).ok()? {
        v1::LoginPurpose::Unspecified => None,
        v1::LoginPurpose::Login => Some(ChallengePurpose::Login),
        v1::LoginPurpose::StepUp => Some(ChallengePurpose::StepUp),
    }
}

pub(crate) const fn totp_algorithm(algorithm: Algorithm) -> v1::TotpAlgorithm {
    match algorithm {
        Algorithm::Sha1 => v1::TotpAlgorithm::Sha1,
        Algorithm::Sha256 => v1::TotpAlgorithm::Sha256,
        Algorithm::Sha512 => v1::TotpAlgorithm::Sha512,
    }
}

pub(crate) const fn two_factor_state(state: TwoFactorState) -> v1::TwoFactorState {
    match state {
        TwoFactorState::Off => v1::TwoFactorState::Off,
        TwoFactorState::On => v1::TwoFactorState::On,
        TwoFactorState::EnrollmentRequired => v1::TwoFactorState::EnrollmentRequired,
    }
}

pub(crate) const fn own_action(action: OwnAction) -> v1::Action {
    match action {
        OwnAction::Enroll => v1::Action::Enroll,
        OwnAction::Rename => v1::Action::Rename,
        OwnAction::RemoveAuthenticator => v1::Action::RemoveAuthenticator,
        OwnAction::Disable => v1::Action::Disable,
        OwnAction::GenerateRecoveryCodes => v1::Action::GenerateRecoveryCodes,
        OwnAction::RevokeRememberedClients => v1::Action::RevokeRememberedClients,
    }
}
