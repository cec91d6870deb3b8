//! One key per purpose, so that nothing made for one purpose means anything to another (R50).

use crate::root_key::RootKey;
use countersign_domain::secret::SecretBytes;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// What is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealPurpose {
    /// Keys of confirmed authenticators.
    AuthenticatorKey,
    /// Keys that wait for their confirmation.
    PendingKey,
    /// Answers kept for a repeated request.
    RequestReply,
    /// Phone numbers of confirmed authenticators.
    PhoneNumber,
    /// Phone numbers that wait for their confirmation.
    PendingPhoneNumber,
    /// Security keys.
    SecurityKey,
}

impl SealPurpose {
    /// The info string: names purpose and version. Never reused for anything else.
    pub(crate) const fn info(self) -> &'static str {
        match self {
            Self::AuthenticatorKey => "countersign/v1/authenticator-key",
            Self::PendingKey => "countersign/v1/pending-key",
            Self::RequestReply => "countersign/v1/request-reply",
            Self::PhoneNumber => "countersign/v1/phone-number",
            Self::PendingPhoneNumber => "countersign/v1/pending-phone-number",
            Self::SecurityKey => "countersign/v1/security-key",
        }
    }
}

/// What is digested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DigestPurpose {
    /// Recovery codes.
    RecoveryCode,
    /// Challenges, tickets and remembered clients.
    Token,
    /// Wrong guesses and request arguments.
    Guess,
    /// Codes by text message, and who they are counted for.
    TextMessage,
}

impl DigestPurpose {
    /// The info string, as for [`SealPurpose::info`].
    pub(crate) const fn info(self) -> &'static str {
        match self {
            Self::RecoveryCode => "countersign/v1/recovery-code",
            Self::Token => "countersign/v1/token",
            Self::Guess => "countersign/v1/guess",
            Self::TextMessage => "countersign/v1/text-message",
        }
    }
}

/// The info string of the fingerprint of a root key.
pub(crate) const CHECK_INFO: &str = "countersign/v1/key-check";

/// The length of every purpose key: that of SHA-256's output, so that expansion is one block.
pub(crate) const PURPOSE_KEY_LEN: usize = 32;

/// The key of one purpose.
pub(crate) fn purpose_key(root: &RootKey, info: &str) -> Zeroizing<[u8; PURPOSE_KEY_LEN]> {
    derive(root.expose(), info.as_bytes())
}

/// The same, as digests take it.
pub(crate) fn digest_key(root: &RootKey, purpose: DigestPurpose) -> SecretBytes {
    SecretBytes::new(purpose_key(root, purpose.info()).to_vec())
}

/// HKDF-SHA-256 without salt (RFC 5869 section 3.1 allows it: the input is already uniformly random).
#[expect(clippy::expect_used, reason = "HKDF-SHA-256 expands to 8,160 bytes at most (RFC 5869 section 2.3)")]
fn derive(input: &[u8], info: &[u8]) -> Zeroizing<[u8; PURPOSE_KEY_LEN]> {
    let mut key = Zeroizing::new([0; PURPOSE_KEY_LEN]);
    // 32 bytes are far below the limit that the reason above names.
    Hkdf::<Sha256>::new(None, input).expand(info, key.as_mut_slice()).expect("32 bytes can be expanded");
    key
}

#[cfg(test)]
mod tests;
