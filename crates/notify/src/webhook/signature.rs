//! Signing requests as Standard Webhooks 1.0 says: HMAC-SHA-256 over id, time and body.

use crate::SettingProblem;
use countersign_domain::secret::SecretBytes;
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// What the text of a secret begins with.
const PREFIX: &str = "whsec_";
/// Bytes of a secret (Standard Webhooks, "Signature scheme").
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that the receiver has too.
#[derive(Debug, Clone)]
pub struct WebhookSecret(SecretBytes);

impl WebhookSecret {
    /// Parses `whsec_` and 24 to 64 bytes in Base64.
    pub fn parse(text: &str) -> Result<Self, SettingProblem> {
        let fix = "write whsec_ and 24 to 64 random bytes in Base64";
        let encoded = text.trim().strip_prefix(PREFIX);
        let bytes = encoded.and_then(|encoded| BASE64.decode(encoded.as_bytes()).ok()).map(Zeroizing::new);
        match bytes {
            Some(bytes) if LENGTH.contains(&bytes.len()) => Ok(Self(SecretBytes::new(bytes.to_vec()))),
            _ => Err(SettingProblem::new("secrets", format!("is no secret of a webhook; {fix}"))),
        }
    }
}

/// The value of `webhook-signature`: one signature for each secret, parted by spaces.
pub(super) fn sign(secrets: &[WebhookSecret], id: &str, unix_seconds: i64, body: &[u8]) -> String {
    let one = |secret: &WebhookSecret| {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length (RFC 2104 §3)")]
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.0.expose()).expect("any length");
        mac.update(format!("{id}.{unix_seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
    };
    secrets.iter().map(one).collect::<Vec<_>>().join(" ")
}
