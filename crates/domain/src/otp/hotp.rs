//! HOTP (RFC 4226): one code from a key and a counter. Where the counter comes from is [`super::totp`]'s
//! business.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::{Algorithm, Digits, OtpCode, TotpKey};

/// The code of `counter`, which is 64 bits wide and hashed big-endian (RFC 4226 section 5.2).
pub fn code(key: &TotpKey, algorithm: Algorithm, digits: Digits, counter: u64) -> OtpCode {
    let value = match algorithm {
        Algorithm::Sha1 => truncated::<Hmac<Sha1>>(key.expose(), counter),
        Algorithm::Sha256 => truncated::<Hmac<Sha256>>(key.expose(), counter),
        Algorithm::Sha512 => truncated::<Hmac<Sha512>>(key.expose(), counter),
    };
    OtpCode::from_value(value, digits)
}

/// Dynamic truncation (RFC 4226 section 5.3): the low four bits of the last byte say where the 31 bits begin.
///
/// The longest reach is byte 15 + 3, inside the 20 bytes of the shortest hash here, SHA-1.
#[expect(clippy::expect_used, reason = "HMAC takes keys of every length (RFC 2104 section 2)")]
fn truncated<M: Mac + KeyInit>(key: &[u8], counter: u64) -> u32 {
    let mut mac = M::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(&counter.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let at = usize::from(hash[hash.len() - 1] & 0x0f);
    u32::from_be_bytes([hash[at], hash[at + 1], hash[at + 2], hash[at + 3]]) & 0x7fff_ffff
}
