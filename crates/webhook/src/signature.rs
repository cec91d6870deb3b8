//! Signatures after Standard Webhooks 1.0: who receives a request can tell that it is ours, fresh, and whether it is a
//! repeat. Who posts it, and what the answer means, is decided elsewhere.

use crate::Body;
use countersign_domain::secret::SecretBytes;
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderValue, Request, Uri, header};
use http_body_util::Full;
use sha2::Sha256;
use std::io::Cursor;
use zeroize::Zeroizing;

/// What the text of a secret begins with.
const PREFIX: &str = "whsec_";
/// Bytes of a secret (Standard Webhooks, "Signature scheme").
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

/// A text that is no secret. Never repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct SecretProblem {
    /// What is wrong, and the fix after a semicolon.
    pub problem: &'static str,
}

/// A secret that the receiver has too.
#[derive(Debug, Clone)]
pub struct WebhookSecret(SecretBytes);

impl WebhookSecret {
    /// Parses `whsec_` and 24 to 64 bytes in Base64; white space around it does not count.
    ///
    /// # Errors
    /// [`SecretProblem`] for anything else.
    pub fn parse(text: &str) -> Result<Self, SecretProblem> {
        let encoded = text.trim().strip_prefix(PREFIX);
        let bytes = encoded.and_then(|encoded| BASE64.decode(encoded.as_bytes()).ok()).map(Zeroizing::new);
        match bytes {
            Some(bytes) if LENGTH.contains(&bytes.len()) => Ok(Self(SecretBytes::new(bytes.to_vec()))),
            _ => Err(SecretProblem {
                problem: "is no secret of a webhook; write whsec_ and 24 to 64 random bytes in Base64",
            }),
        }
    }

    /// HMAC-SHA-256 over id, time and body.
    fn sign(&self, id: &str, unix_seconds: i64, body: &[u8]) -> String {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length (RFC 2104 §3)")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose()).expect("any length");
        mac.update(format!("{id}.{unix_seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
    }
}

/// A POST of a JSON body under this id at this time, with a signature for each secret: receivers accept one of them, so
/// that secrets can be exchanged without a pause.
///
/// # Errors
/// The id is no value of a header.
pub fn signed_post(
    uri: &Uri,
    secrets: &[WebhookSecret],
    id: &str,
    unix_seconds: i64,
    body: Vec<u8>,
) -> Result<Request<Body>, http::Error> {
    let signatures: Vec<_> = secrets.iter().map(|secret| secret.sign(id, unix_seconds, &body)).collect();
    let mut signature = HeaderValue::from_str(&signatures.join(" "))?;
    signature.set_sensitive(true);
    Request::post(uri)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("countersign/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", id)
        .header("webhook-timestamp", unix_seconds)
        .header("webhook-signature", signature)
        .body(Full::new(Cursor::new(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn signature(secrets: &[&str], id: &str) -> String {
        let secrets: Vec<_> = secrets.iter().map(|text| WebhookSecret::parse(text).unwrap()).collect();
        let uri = Uri::from_static("https://example.org/x");
        let body = br#"{"test": 2432232314}"#.to_vec();
        let request = signed_post(&uri, &secrets, id, 1_614_265_330, body).unwrap();
        let value = &request.headers()["webhook-signature"];
        assert!(value.is_sensitive(), "it must not be logged");
        value.to_str().unwrap().to_owned()
    }

    /// The example of Standard Webhooks: the same secret, id, time and body have the same signature; several secrets have
    /// one each, in their order.
    #[test]
    fn signatures_are_those_of_the_standard() {
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signature(&[SECRET], id), expected);
        let other = SECRET.replace("MfKQ", "AAAA");
        let both = signature(&[&other, SECRET], id);
        assert_eq!(both.split(' ').nth(1), Some(expected));
        assert_ne!(both.split(' ').next(), Some(expected));
    }

    /// R53: what is no secret is refused, and not repeated.
    #[test]
    fn what_is_no_secret_is_refused() {
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", &SECRET[6..], "whsec_%%%", &SECRET.to_uppercase()] {
            let told = WebhookSecret::parse(bad).unwrap_err().to_string();
            assert!(told.starts_with("is no secret of a webhook; ") && !told.contains("MfKQ"), "{told}");
        }
        assert!(WebhookSecret::parse(&format!(" {SECRET}\n")).is_ok());
        assert!(!format!("{:?}", WebhookSecret::parse(SECRET).unwrap()).contains("MfKQ"));
    }

    /// An id that could break out of its header is no id.
    #[test]
    fn an_id_stays_in_its_header() {
        let uri = Uri::from_static("https://example.org/");
        assert!(signed_post(&uri, &[], "a\r\nb: c", 0, Vec::new()).is_err());
    }
}
