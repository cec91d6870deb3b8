//! An authenticator app: it knows what a phone knows, the otpauth URI and its own clock, and nothing of the service.

use countersign_domain::otp::{self, Step};
use countersign_domain::otpauth::{self, OtpauthError, ParsedOtpauth};
use countersign_domain::time::Timestamp;

/// An app that scanned one otpauth URI.
#[derive(Debug, Clone)]
pub struct VirtualAuthenticator(ParsedOtpauth);

impl VirtualAuthenticator {
    /// Scans the URI.
    pub fn scan(uri: &str) -> Result<Self, OtpauthError> {
        otpauth::parse(uri).map(Self)
    }

    /// The code that the app shows when its clock says `now`, leading zeros included.
    pub fn code_at(&self, now: Timestamp) -> String {
        let step = Step::at(now.unix_seconds(), self.0.parameters.period);
        let code = otp::generate(&self.0.key, self.0.parameters, step);
        String::from_utf8(code.as_bytes().to_vec()).expect("a code is ASCII digits")
    }

    /// A code of the right shape that the app does not show within ten steps of `now`.
    pub fn wrong_code_at(&self, now: Timestamp) -> String {
        let period = i64::from(self.0.parameters.period.seconds());
        let near: Vec<_> = (-10..=10)
            .map(|steps| {
                self.code_at(Timestamp::from_unix_micros(now.unix_micros() + steps * period * 1_000_000))
            })
            .collect();
        let digits = self.0.parameters.digits.count();
        (0..22)
            .map(|guess| format!("{guess:0digits$}"))
            .find(|guess| !near.contains(guess))
            .expect("22 guesses")
    }

    /// What the URI said.
    pub const fn scanned(&self) -> &ParsedOtpauth {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R1: the app shows the codes of RFC 6238 appendix B, leading zeros included.
    #[test]
    fn the_app_shows_the_codes_of_the_rfc() {
        let uri = "otpauth://totp/Example:ann?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&digits=8";
        let app = VirtualAuthenticator::scan(uri).unwrap();
        assert_eq!(app.code_at(Timestamp::from_unix_seconds(59)), "94287082");
        assert_eq!(app.code_at(Timestamp::from_unix_seconds(1_111_111_109)), "07081804");
        assert_ne!(app.wrong_code_at(Timestamp::from_unix_seconds(59)), "94287082");
        assert_eq!(app.wrong_code_at(Timestamp::from_unix_seconds(59)).len(), 8);
    }
}
