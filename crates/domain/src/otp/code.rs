//! [`OtpCode`]: a one-time code as bytes. What may be typed around one is `presented`'s business.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::Digits;

/// Exactly six or eight ASCII digits, leading zeros included.
///
/// The digits stay bytes from end to end; a presented code is never turned into a number, so that no
/// second spelling of it exists. Equality takes the same time for every pair, and `Debug` is blank.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct OtpCode {
    /// The digits from the left; a six-digit code leaves the last two bytes zero, which no digit is.
    padded: [u8; Self::MAX_LEN],
    #[zeroize(skip)]
    digits: Digits,
}

impl OtpCode {
    const MAX_LEN: usize = 8;

    /// Takes exactly six or eight ASCII digits and nothing else: no separator, sign or other script's digit.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = Digits::from_count(text.len())?;
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mut padded = [0; Self::MAX_LEN];
        for (slot, byte) in padded.iter_mut().zip(text.bytes()) {
            *slot = byte;
        }
        Some(Self { padded, digits })
    }

    /// The last `digits` decimal digits of `value`, with leading zeros.
    pub(crate) fn from_value(value: u32, digits: Digits) -> Self {
        let mut padded = [0; Self::MAX_LEN];
        let mut rest = value;
        for slot in padded.iter_mut().take(digits.count()).rev() {
            // The list is indexed by a remainder below ten.
            *slot = b"0123456789"[(rest % 10) as usize];
            rest /= 10;
        }
        Self { padded, digits }
    }

    /// How many digits the code has.
    pub fn digits(&self) -> Digits {
        self.digits
    }

    /// The six or eight ASCII digits, for digesting and for the one reply that may carry them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.padded[..self.digits.count()]
    }
}

impl ConstantTimeEq for OtpCode {
    /// Compares all eight bytes whatever the lengths are: the padding is no digit, so a code of another
    /// length differs and yet costs the same.
    fn ct_eq(&self, other: &Self) -> Choice {
        self.padded.ct_eq(&other.padded)
    }
}

impl PartialEq for OtpCode {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for OtpCode {}

impl fmt::Debug for OtpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OtpCode([redacted])")
    }
}
