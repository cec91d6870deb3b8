//! A gateway of the operator's: JSON, signed after Standard Webhooks 1.0, under an id by which it knows repeats.

use crate::gateway;
use async_trait::async_trait;
use countersign_ports::{Clock, SmsError, SmsSender, TextMessage};
use countersign_webhook::{Body, HttpClient, ReceiverUrl, SettingProblem, WebhookSecret, signed_post};
use http::Request;
use std::sync::Arc;
use std::time::Duration;

/// Everything about such a gateway.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// Where to.
    pub url: ReceiverUrl,
    /// What requests are signed with.
    pub secret: WebhookSecret,
    /// From the first byte to the whole answer.
    pub timeout: Duration,
}

/// Posts messages to a gateway of the operator's.
pub struct WebhookSender {
    client: HttpClient,
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
        Ok(Self { client: HttpClient::new(&settings.url, None, settings.timeout)?, settings, clock })
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
        let WebhookSettings { url, secret, .. } = &self.settings;
        signed_post(url.uri(), std::slice::from_ref(secret), &id, time, body.to_string().into_bytes())
    }
}

#[async_trait]
impl SmsSender for WebhookSender {
    async fn send(&self, message: &TextMessage) -> Result<(), SmsError> {
        gateway::post(&self.client, self.request(message)).await
    }
}
