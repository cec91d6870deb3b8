//! An authenticator app of our own: the codes of RFC 4226 and 6238, written without the service's code. Time is the real
//! one here, because the service runs on it.
//!
//! Rules use [`App::code`] of the present step and of the next one. Both stay acceptable when a step ends between the
//! making of a code and its evaluation; that of the step before would not.

use super::given;
use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

/// Steps around the present one whose codes do not count as wrong: three quarters of an hour either way, which is further
/// than any test turns a clock.
const NEAR: i64 = 90;

/// The app on a user's phone.
#[derive(Clone)]
pub(crate) struct App {
    key: Vec<u8>,
    digits: u32,
    period: u64,
}

impl App {
    /// What a scanned picture sets up.
    pub(crate) fn scan(otpauth_uri: &str) -> Self {
        let (_, query) = otpauth_uri.split_once('?').expect("the URI has parameters");
        let parameter = |name: &str| query.split('&').find_map(|part| part.strip_prefix(&format!("{name}=")));
        let number = |name, default| parameter(name).map_or(default, |text| text.parse().expect("a number"));
        assert!(matches!(parameter("algorithm"), None | Some("SHA1")), "this app knows SHA-1 only");
        let secret = parameter("secret").expect("the URI has a key");
        Self {
            key: BASE32_NOPAD.decode(secret.as_bytes()).expect("the key is Base32"),
            digits: number("digits", 6),
            period: number("period", 30).into(),
        }
    }

    /// The key.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The number of the present step.
    pub(crate) fn step(&self) -> u64 {
        unix_seconds() / self.period
    }

    /// The code of the present step, or of so many steps later or earlier.
    pub(crate) fn code(&self, steps: i64) -> String {
        self.code_of(self.step().checked_add_signed(steps).expect("a step after 1970"))
    }

    /// The code of this step.
    pub(crate) fn code_of(&self, step: u64) -> String {
        hotp(&self.key, step, self.digits)
    }

    /// As many different codes as wanted, all well-formed and none of them right about now.
    pub(crate) fn wrong(&self, count: usize) -> Vec<String> {
        let near: HashSet<_> = (-NEAR..=NEAR).map(|steps| self.code(steps)).collect();
        let width = self.digits as usize;
        (0..)
            .map(|number| format!("{number:0width$}"))
            .filter(|code| !near.contains(code))
            .take(count)
            .collect()
    }
}

/// RFC 4226, section 5.3: the counter under HMAC-SHA-1, four bytes of it from a place that the last nibble names.
fn hotp(key: &[u8], counter: u64, digits: u32) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(&counter.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let at = usize::from(hash[19] & 0xf);
    let number = u32::from_be_bytes([hash[at] & 0x7f, hash[at + 1], hash[at + 2], hash[at + 3]]);
    format!("{:0width$}", number % 10_u32.pow(digits), width = digits as usize)
}

#[expect(clippy::disallowed_methods, reason = "the service under test runs on the system's clock")]
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
}

/// R1: the tests' own codes are those of RFC 4226, appendix D.
#[test]
fn codes_are_those_of_rfc_4226() {
    let expected =
        ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
    for (counter, code) in (0..).zip(expected) {
        assert_eq!(hotp(b"12345678901234567890", counter, 6), code);
    }
}

/// R1: a third implementation agrees.
#[test]
fn codes_are_those_of_oathtool() {
    let oathtool = given("COUNTERSIGN_TEST_OATHTOOL");
    let app = App::scan("otpauth://totp/a:b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=a&digits=8");
    for step in [1, 37_037_036, 41_152_263, 66_666_666, 666_666_666] {
        let mut command = std::process::Command::new(&oathtool);
        command.args(["--totp", "--digits=8", "--base32", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"]);
        let output = command.arg(format!("--now=@{}", step * 30)).output().expect("oathtool runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), app.code_of(step), "step {step}");
    }
}
