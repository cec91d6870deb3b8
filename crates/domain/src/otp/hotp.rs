//! HOTP (RFC 4226): one code from a key and a counter. Where the counter comes from is [`super::totp`]'s
//! business.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::{Algorithm, Digits, OtpCode, TotpKey};

/// The code of `counter`, which is 64 bits wide and hashed big-endian (RFC 4226 section 5.2).
pub fn code(key: &TotpKey, algorithm: Algorithm, digits: Digits, counter: u64) -> OtpCode {
    Codes::of(key, algorithm, digits).at(counter)
}

/// The codes of one key: for several counters, the key is hashed once. Wiped when dropped: each state of these hashes is.
pub(super) struct Codes {
    mac: Keyed,
    digits: Digits,
}

enum Keyed {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
}

impl Codes {
    /// Those of `key`.
    pub(super) fn of(key: &TotpKey, algorithm: Algorithm, digits: Digits) -> Self {
        let mac = match algorithm {
            Algorithm::Sha1 => Keyed::Sha1(keyed(key)),
            Algorithm::Sha256 => Keyed::Sha256(keyed(key)),
            Algorithm::Sha512 => Keyed::Sha512(keyed(key)),
        };
        Self { mac, digits }
    }

    /// The code of `counter`, as [`code`] gives it.
    pub(super) fn at(&self, counter: u64) -> OtpCode {
        let value = match &self.mac {
            Keyed::Sha1(mac) => truncated(mac, counter),
            Keyed::Sha256(mac) => truncated(mac, counter),
            Keyed::Sha512(mac) => truncated(mac, counter),
        };
        OtpCode::from_value(value, self.digits)
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of every length (RFC 2104 section 2)")]
fn keyed<M: KeyInit>(key: &TotpKey) -> M {
    M::new_from_slice(key.expose()).expect("HMAC takes keys of every length")
}

/// Dynamic truncation (RFC 4226 section 5.3): the low four bits of the last byte say where the 31 bits begin.
///
/// The longest reach is byte 15 + 3, inside the 20 bytes of the shortest hash here, SHA-1.
fn truncated<M: Mac + Clone>(keyed: &M, counter: u64) -> u32 {
    let mut mac = keyed.clone();
    mac.update(&counter.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let at = usize::from(hash[hash.len() - 1] & 0x0f);
    u32::from_be_bytes([hash[at], hash[at + 1], hash[at + 2], hash[at + 3]]) & 0x7fff_ffff
}
