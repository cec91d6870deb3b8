//! Signed requests: what notices and seals that leave by a webhook share.

use super::settings::WebhookSettings;
use crate::SettingProblem;
use countersign_ports::Clock;
use countersign_webhook::{HttpClient, PostFailure, signed_post};
use http::StatusCode;
use std::sync::Arc;

/// Posts bodies to a URL, signed after Standard Webhooks 1.0.
pub(crate) struct WebhookClient {
    client: HttpClient,
    settings: WebhookSettings,
    clock: Arc<dyn Clock>,
}

/// Whether asking again is useless: the receiver understood and does not want it. Not so for a timeout of theirs (408) and
/// for too many requests (429).
pub(super) fn is_final(failure: PostFailure) -> bool {
    match failure {
        PostFailure::Status(status) => {
            status.is_client_error()
                && ![StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status)
        }
        PostFailure::Request => true,
        PostFailure::Timeout | PostFailure::Unreachable | PostFailure::Broken => false,
    }
}

impl WebhookClient {
    /// A client with these settings. Nothing is connected yet.
    pub(crate) fn new(settings: WebhookSettings, clock: Arc<dyn Clock>) -> Result<Self, SettingProblem> {
        settings.check()?;
        let client = HttpClient::new(&settings.url, settings.authorities.as_deref(), settings.timeout)?;
        Ok(Self { client, settings, clock })
    }

    /// Posts a JSON body under this id; taken where the answer is 2xx.
    pub(crate) async fn post(&self, id: &str, body: Vec<u8>) -> Result<(), PostFailure> {
        let WebhookSettings { url, secrets, .. } = &self.settings;
        let time = self.clock.now().unix_seconds();
        self.client.post(signed_post(url.uri(), secrets, id, time, body)).await
    }
}
