//! The authenticator app of a user: RFC 4226 and 6238 with SHA-1, six digits and thirty seconds, which is what the
//! presets hand out. And the one clock of this program.

use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use crate::Trouble;

const DIGITS: usize = 6;
/// Seconds of a step.
const PERIOD: u64 = 30;

/// The key in a user's phone.
pub(crate) struct App(Vec<u8>);

impl App {
    /// Scans the picture, or rather reads the URI in it.
    pub(crate) fn scan(otpauth_uri: &str) -> Result<Self, Trouble> {
        let (_, query) = otpauth_uri.split_once('?').ok_or("the URI has no parameters")?;
        let parameter =
            |name: &str| query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let fits = [("algorithm", "SHA1"), ("digits", "6"), ("period", "30")]
            .into_iter()
            .all(|(name, value)| parameter(name).is_none_or(|found| found == value));
        if !fits {
            return Err("this app knows SHA-1, six digits and thirty seconds only".into());
        }
        let secret = parameter("secret").ok_or("the URI has no key")?;
        Ok(Self(BASE32_NOPAD.decode(secret.as_bytes())?))
    }

    /// The code of this step (RFC 4226, section 5.3).
    pub(crate) fn code(&self, step: u64) -> Result<String, Trouble> {
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.0)?;
        mac.update(&step.to_be_bytes());
        let hash = mac.finalize().into_bytes();
        let at = usize::from(hash[19] & 0xf);
        let number = u32::from_be_bytes([hash[at] & 0x7f, hash[at + 1], hash[at + 2], hash[at + 3]]);
        Ok(format!("{:0DIGITS$}", number % 1_000_000))
    }

    /// A code that is right in none of the steps around this one; another one for each number that it is asked for by.
    pub(crate) fn wrong(&self, step: u64, number: u32) -> Result<String, Trouble> {
        let near = (step - 3..=step + 3).map(|near| self.code(near)).collect::<Result<Vec<_>, _>>()?;
        let first: u32 = near[0].parse()?;
        let codes = (1..).map(|next| format!("{:0DIGITS$}", (first + next) % 1_000_000));
        let mut wrong = codes.filter(|code| !near.contains(code));
        wrong.nth(usize::try_from(number)?).ok_or_else(|| "there is no such code".into())
    }
}

/// Where we are in the time of authenticator apps.
#[derive(Clone, Copy)]
pub(crate) struct Now {
    /// Seconds since 1970.
    pub(crate) seconds: u64,
}

impl Now {
    #[expect(clippy::disallowed_methods, reason = "the server under load runs on the system's clock")]
    pub(crate) fn read() -> Result<Self, Trouble> {
        Ok(Self { seconds: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() })
    }

    /// The present step.
    pub(crate) fn step(self) -> u64 {
        self.seconds / PERIOD
    }

    /// Seconds until the next step.
    pub(crate) fn left(self) -> u64 {
        PERIOD - self.seconds % PERIOD
    }
}
