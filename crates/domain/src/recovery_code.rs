//! [`RecoveryCode`]: a one-time code on paper that stands in for an authenticator.
//!
//! Only its normal form lives here. What a person may type instead of it is `presented`'s business, the
//! digest that is stored is made where it is issued and where it is proved.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::secret::SecretString;

/// Crockford's Base32: digits and upper-case letters without I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// 25 Crockford Base32 characters in upper case: 125 bits.
///
/// The normal form is the only one: it is what is digested and compared. `Debug` is blank and equality
/// takes constant time.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RecoveryCode([u8; Self::LEN]);

impl RecoveryCode {
    /// The number of characters, separators not counted.
    pub const LEN: usize = 25;
    /// The number of characters of a group in [`RecoveryCode::grouped`].
    pub const GROUP_LEN: usize = 5;
    /// The number of characters of [`RecoveryCode::grouped`].
    const GROUPED_LEN: usize = Self::LEN + Self::LEN / Self::GROUP_LEN - 1;

    /// A new code out of the first 125 of 128 bits from the operating system.
    pub fn from_entropy(entropy: &[u8; 16]) -> Self {
        let mut rest = Zeroizing::new(u128::from_be_bytes(*entropy) >> 3);
        let mut characters = [0; Self::LEN];
        for slot in characters.iter_mut().rev() {
            // Five bits index the 32 characters exactly, so each is equally likely.
            *slot = ALPHABET[(*rest & 0x1f) as usize];
            *rest >>= 5;
        }
        Self(characters)
    }

    /// Takes exactly the normal form: 25 upper-case characters of the alphabet, no separators.
    pub fn parse_normalised(text: &str) -> Option<Self> {
        let characters = Zeroizing::new(<[u8; Self::LEN]>::try_from(text.as_bytes()).ok()?);
        characters.iter().all(|character| ALPHABET.contains(character)).then(|| Self(*characters))
    }

    /// The 25 ASCII characters of the normal form, for digesting.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Five groups of five with hyphens between them: `XXXXX-XXXXX-XXXXX-XXXXX-XXXXX`.
    pub fn grouped(&self) -> SecretString {
        let mut text = String::with_capacity(Self::GROUPED_LEN);
        self.write_grouped(&mut text);
        SecretString::new(text)
    }

    fn write_grouped(&self, text: &mut String) {
        for (position, character) in self.0.iter().enumerate() {
            if position > 0 && position % Self::GROUP_LEN == 0 {
                text.push('-');
            }
            text.push(char::from(*character));
        }
    }
}

/// The file a user downloads: one code a line in groups of five, every line ended by a line feed.
pub fn text_file(codes: &[RecoveryCode]) -> SecretString {
    // The full capacity from the start: a string that grows leaves unwiped copies behind.
    let mut text = String::with_capacity(codes.len() * (RecoveryCode::GROUPED_LEN + 1));
    for code in codes {
        code.write_grouped(&mut text);
        text.push('\n');
    }
    SecretString::new(text)
}

impl PartialEq for RecoveryCode {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for RecoveryCode {}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode([redacted])")
    }
}

#[cfg(test)]
mod tests;
