//! The one seam where what a person typed becomes a code. Nothing behind it ever sees another spelling.
//!
//! Whether the code is right is not decided here.

use zeroize::Zeroizing;

use crate::otp::OtpCode;
use crate::recovery_code::RecoveryCode;
use crate::security_key::PresentedCredential;

/// The longest input looked at, in bytes; the longest code with its separators has 29.
pub const MAX_INPUT_LEN: usize = 64;

/// A code in its normal form, told apart by shape: one field takes them all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresentedProof {
    /// Six or eight digits: from an authenticator app or a text message.
    Otp(OtpCode),
    /// A recovery code.
    Recovery(RecoveryCode),
    /// What a security key signed. Not a code, and never typed: it comes in a field of its own.
    SecurityKey(PresentedCredential),
}

impl PresentedProof {
    /// Removes ASCII spaces and hyphens, once, and takes what then has the shape of a code.
    ///
    /// That is exactly six or eight ASCII digits, or exactly 25 Crockford Base32 characters in either case,
    /// I and L read as 1 and O as 0. Anything else is malformed: tabs, line feeds, no-break spaces, signs,
    /// digits of other scripts, or more than [`MAX_INPUT_LEN`] bytes. A malformed code is not evaluated.
    pub fn parse(typed: &str) -> Result<Self, MalformedCode> {
        if typed.len() > MAX_INPUT_LEN || !typed.is_ascii() {
            return Err(MalformedCode);
        }
        // As most codes come: one that parses has no separators, so that nothing is copied to remove them.
        if let Some(code) = OtpCode::parse(typed) {
            return Ok(Self::Otp(code));
        }
        let mut bare = Zeroizing::new(String::with_capacity(MAX_INPUT_LEN));
        bare.extend(typed.chars().filter(|character| !matches!(character, ' ' | '-')));

        if let Some(code) = OtpCode::parse(&bare) {
            return Ok(Self::Otp(code));
        }
        let mut folded = Zeroizing::new(String::with_capacity(MAX_INPUT_LEN));
        folded.extend(bare.chars().map(fold_crockford));
        RecoveryCode::parse_normalised(&folded).map(Self::Recovery).ok_or(MalformedCode)
    }
}

/// Crockford's reading aid: case does not count, and letters that look like digits are those digits.
fn fold_crockford(character: char) -> char {
    match character.to_ascii_uppercase() {
        'I' | 'L' => '1',
        'O' => '0',
        upper => upper,
    }
}

/// What was typed has no code's shape. The error carries nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a code is 6 or 8 digits, or 25 letters and digits of a recovery code")]
pub struct MalformedCode;

#[cfg(test)]
mod tests;
