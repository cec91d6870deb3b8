//! [`TotpKey`]: the key shared with an authenticator app, and how it is written for typing by hand.
//! Sealing it at rest is the keyring's business.

use data_encoding::BASE32_NOPAD;

use crate::secret::{SecretBytes, SecretString};

/// The key of an authenticator app: 10 to 128 bytes.
///
/// New keys have 160 bits (RFC 4226 section 4). The bounds leave room for keys brought
/// along from elsewhere: shorter than 10 bytes is guessable, and the vectors go to 100 bytes, longer than
/// every hash block but SHA-512's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotpKey(SecretBytes);

impl TotpKey {
    /// The fewest bytes a key has.
    pub const MIN_LEN: usize = 10;
    /// The most bytes a key has.
    pub const MAX_LEN: usize = 128;
    /// The bytes of a newly made key: 160 bits.
    pub const GENERATED_LEN: usize = 20;

    /// Takes over a key of 10 to 128 bytes.
    pub fn new(bytes: impl Into<SecretBytes>) -> Result<Self, KeyLengthError> {
        let bytes = bytes.into();
        if (Self::MIN_LEN..=Self::MAX_LEN).contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(KeyLengthError)
        }
    }

    /// A new key out of 160 bits from the operating system.
    pub fn from_entropy(entropy: &[u8; Self::GENERATED_LEN]) -> Self {
        Self(SecretBytes::new(entropy.to_vec()))
    }

    /// The raw key, for computing codes and for sealing. It never leaves the service in this form.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    /// The key in Base32 without padding (RFC 4648 section 6), as otpauth URIs carry it.
    pub fn to_base32(&self) -> SecretString {
        SecretString::new(BASE32_NOPAD.encode(self.expose()))
    }

    /// [`TotpKey::to_base32`] in groups of four, a space between them, for typing by hand.
    pub fn grouped(&self) -> SecretString {
        let base32 = self.to_base32();
        // The full capacity from the start: a string that grows leaves unwiped copies behind.
        let mut grouped = String::with_capacity(base32.len() + base32.len() / 4);
        for (position, character) in base32.expose().chars().enumerate() {
            if position > 0 && position % 4 == 0 {
                grouped.push(' ');
            }
            grouped.push(character);
        }
        SecretString::new(grouped)
    }
}

/// A key shorter than 10 or longer than 128 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has {min} to {max} bytes", min = TotpKey::MIN_LEN, max = TotpKey::MAX_LEN)]
pub struct KeyLengthError;
