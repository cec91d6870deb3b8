//! One-time passwords: the parameters an authenticator app and the service agree on.
//!
//! [`hotp`] computes one code from a counter (RFC 4226), [`totp`] ties counters to the time and
//! decides whether a code fits (RFC 6238). Whether a fitting code may still be used is the replay
//! rule's business and not decided here, nor is what a person may type around a code.

mod code;
pub mod hotp;
mod key;
pub mod totp;

pub use code::OtpCode;
pub use key::{KeyLengthError, TotpKey};
pub use totp::{MAX_OFFSET_SECONDS, Step, Window, WindowError, find_offset, generate, match_step};

/// The hash function inside the HMAC (RFC 6238 section 1.2).
///
/// SHA-1 is the default because many apps ignore the parameter and use it anyway; inside HMAC its
/// collisions do no harm (RFC 4226 appendix B.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// HMAC-SHA-1, 20-byte output.
    #[default]
    Sha1,
    /// HMAC-SHA-256, 32-byte output.
    Sha256,
    /// HMAC-SHA-512, 64-byte output.
    Sha512,
}

impl Algorithm {
    /// Every algorithm, in the order of their output lengths.
    pub const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    /// The name used in otpauth URIs: `SHA1`, `SHA256` or `SHA512`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    /// The algorithm with exactly this [`Algorithm::as_str`] name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

/// How many decimal digits a code has; RFC 4226 section 5.3 demands six at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Digits {
    /// Six digits: what every app shows.
    #[default]
    Six,
    /// Eight digits.
    Eight,
}

impl Digits {
    /// The number of digits: 6 or 8.
    pub const fn count(self) -> usize {
        match self {
            Self::Six => 6,
            Self::Eight => 8,
        }
    }

    /// The length of that many digits, where there is one.
    pub const fn from_count(count: usize) -> Option<Self> {
        match count {
            6 => Some(Self::Six),
            8 => Some(Self::Eight),
            _ => None,
        }
    }
}

/// How long one code is shown, in seconds: 15 to 120, by default 30 (RFC 6238 section 5.2).
///
/// The upper bound is NIST SP 800-63B's: a time-based value changes at least every two minutes. Below the
/// lower one nobody has the time to type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Period(u32);

impl Period {
    /// The shortest period, in seconds.
    pub const MIN_SECONDS: u32 = 15;
    /// The longest period, in seconds.
    pub const MAX_SECONDS: u32 = 120;

    /// A period of `seconds`, refused outside 15 to 120.
    pub const fn new(seconds: u32) -> Result<Self, PeriodError> {
        if seconds < Self::MIN_SECONDS || seconds > Self::MAX_SECONDS {
            return Err(PeriodError);
        }
        Ok(Self(seconds))
    }

    /// The length in seconds.
    pub const fn seconds(self) -> u32 {
        self.0
    }
}

impl Default for Period {
    fn default() -> Self {
        Self(30)
    }
}

/// A period outside its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a period has {min} to {max} seconds", min = Period::MIN_SECONDS, max = Period::MAX_SECONDS)]
pub struct PeriodError;

/// What key and clock are combined with: part of every authenticator and of its otpauth URI.
///
/// The default, SHA-1 with six digits every 30 seconds, is the one that every app honours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TotpParameters {
    /// The hash function inside the HMAC.
    pub algorithm: Algorithm,
    /// The number of digits of a code.
    pub digits: Digits,
    /// How long one code is shown.
    pub period: Period,
}

#[cfg(test)]
mod tests;
