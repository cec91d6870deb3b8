//! The library's errors as the domain's reasons. Their texts are dropped: they may carry what was presented.

use countersign_domain::security_key::Rejection;
use webauthn_rs_core::error::WebauthnError;

/// Why the library turned a credential down.
pub(crate) const fn reason(error: &WebauthnError) -> Rejection {
    match error {
        WebauthnError::InvalidClientDataType => Rejection::WrongCeremony,
        WebauthnError::MismatchedChallenge => Rejection::WrongChallenge,
        WebauthnError::InvalidRPOrigin => Rejection::WrongOrigin,
        WebauthnError::CredentialCrossOrigin => Rejection::CrossOrigin,
        WebauthnError::InvalidRPIDHash => Rejection::WrongRelyingParty,
        WebauthnError::UserNotPresent => Rejection::UserAbsent,
        WebauthnError::UserNotVerified => Rejection::UserUnverified,
        WebauthnError::CredentialNotFound => Rejection::UnknownCredential,
        WebauthnError::CredentialBackupEligibilityInconsistent
        | WebauthnError::CredentialMayNotBeHardwareBound => Rejection::InconsistentBackup,
        WebauthnError::CredentialAlteredAlgFromRequest
        | WebauthnError::COSEKeyInvalidAlgorithm
        | WebauthnError::COSEKeyInvalidType
        | WebauthnError::COSEKeyEDUnsupported
        | WebauthnError::COSEKeyECDSAInvalidCurve
        | WebauthnError::COSEKeyEDDSAInvalidCurve
        | WebauthnError::CredentialInsecureCryptography
        | WebauthnError::SshPublicKeyEDUnsupported => Rejection::UnsupportedAlgorithm,
        WebauthnError::AuthenticationFailure | WebauthnError::SignatureInvalid => Rejection::WrongSignature,
        WebauthnError::AttestationNotSupported
        | WebauthnError::AttestationStatementSigInvalid
        | WebauthnError::AttestationStatementAlgMismatch
        | WebauthnError::AttestationCredentialSubjectKeyMismatch
        | WebauthnError::AttestationChainNotTrusted(_)
        | WebauthnError::AttestationNotVerifiable => Rejection::InvalidAttestation,
        _ => Rejection::Malformed,
    }
}
