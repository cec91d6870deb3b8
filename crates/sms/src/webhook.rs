//! A gateway of the operator's: JSON, signed after Standard Webhooks 1.0, under an id by which it knows repeats.

use crate::gateway::{Body, Gateway, GatewayUrl, SettingProblem};
use async_trait::async_trait;
use countersign_domain::secret::SecretBytes;
use countersign_ports::{Clock, SmsError, SmsSender, TextMessage};
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderValue, Request, header};
use http_body_util::Full;
use sha2::Sha256;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// What the text of a secret begins with.
const PREFIX: &str = "whsec_";
/// Bytes of a secret (Standard Webhooks, "Signature scheme").
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that the gateway has too.
#[derive(Debug, Clone)]
pub struct WebhookSecret(SecretBytes);

impl WebhookSecret {
    /// Parses `whsec_` and 24 to 64 bytes in Base64.
    pub fn parse(text: &str) -> Result<Self, SettingProblem> {
        let encoded = text.trim().strip_prefix(PREFIX);
        let bytes = encoded.and_then(|encoded| BASE64.decode(encoded.as_bytes()).ok()).map(Zeroizing::new);
        match bytes {
            Some(bytes) if LENGTH.contains(&bytes.len()) => Ok(Self(SecretBytes::new(bytes.to_vec()))),
            _ => Err(SettingProblem::new(
                "secret",
                "is no secret of a webhook; write whsec_ and 24 to 64 bytes in Base64",
            )),
        }
    }

    /// The value of `webhook-signature`: HMAC-SHA-256 over id, time and body.
    fn sign(&self, id: &str, unix_seconds: i64, body: &[u8]) -> String {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length (RFC 2104 §3)")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose()).expect("any length");
        mac.update(format!("{id}.{unix_seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
    }
}

/// Everything about such a gateway.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// Where to.
    pub url: GatewayUrl,
    /// What requests are signed with.
    pub secret: WebhookSecret,
    /// From the first byte to the whole answer.
    pub timeout: Duration,
}

/// Posts messages to a gateway of the operator's.
pub struct WebhookSender {
    gateway: Gateway,
    settings: WebhookSettings,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for WebhookSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookSender").finish_non_exhaustive()
    }
}

impl WebhookSender {
    /// A sender with these settings. Nothing is connected yet.
    pub fn new(settings: WebhookSettings, clock: Arc<dyn Clock>) -> Result<Self, SettingProblem> {
        Ok(Self { gateway: Gateway::new(&settings.url, settings.timeout)?, settings, clock })
    }

    fn request(&self, message: &TextMessage) -> Result<Request<Body>, http::Error> {
        let id = message.id.to_string();
        let time = self.clock.now().unix_seconds();
        // The body is a contract with gateways: fields may be added to, not changed.
        let body = serde_json::json!({
            "type": "countersign.text_message",
            "data": {
                "message_id": id,
                "tenant_id": message.tenant.as_str(),
                "to": message.number.expose(),
                "text": message.text.expose(),
            },
        });
        let body = body.to_string().into_bytes();
        let mut signature = HeaderValue::from_str(&self.settings.secret.sign(&id, time, &body))?;
        signature.set_sensitive(true);
        Request::post(self.settings.url.uri())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("countersign/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", id)
            .header("webhook-timestamp", time)
            .header("webhook-signature", signature)
            .body(Full::new(Cursor::new(body)))
    }
}

#[async_trait]
impl SmsSender for WebhookSender {
    async fn send(&self, message: &TextMessage) -> Result<(), SmsError> {
        self.gateway.post(self.request(message)).await
    }
}
