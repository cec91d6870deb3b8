//! Signed requests: what notices and seals that leave by a webhook share.

use super::settings::WebhookSettings;
use crate::{SettingProblem, trust};
use countersign_ports::Clock;
use countersign_webhook::{Body, signed_post};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Bytes of an answer that are read, so that the connection can be used again. What it says does not matter.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// How long a connection is kept without anything to send.
const KEEP_IDLE: Duration = Duration::from_secs(30);

/// Posts bodies to a URL, signed after Standard Webhooks 1.0. Redirects are not followed: they are an answer like any
/// other.
pub(crate) struct WebhookClient {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    settings: WebhookSettings,
    clock: Arc<dyn Clock>,
}

/// Why a request was not taken. Never what was answered (R53).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WebhookFailure {
    #[error("the webhook answered {0}")]
    Status(StatusCode),
    #[error("the webhook did not answer in time")]
    Timeout,
    #[error("the webhook cannot be reached")]
    Unreachable,
    #[error("the request cannot be written")]
    Request,
}

impl WebhookFailure {
    /// Whether asking again is useless: the receiver understood and does not want it. Not so for a timeout of theirs
    /// (408) and for too many requests (429).
    pub(crate) fn is_final(self) -> bool {
        match self {
            Self::Status(status) => {
                status.is_client_error()
                    && ![StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status)
            }
            Self::Request => true,
            Self::Timeout | Self::Unreachable => false,
        }
    }
}

impl WebhookClient {
    /// A client with these settings. Nothing is connected yet.
    pub(crate) fn new(settings: WebhookSettings, clock: Arc<dyn Clock>) -> Result<Self, SettingProblem> {
        settings.check()?;
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(trust::client(settings.authorities.as_deref())?);
        let connector =
            if settings.url.is_plain() { connector.https_or_http() } else { connector.https_only() };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP_IDLE)
            .build(connector.enable_http1().build());
        Ok(Self { client, settings, clock })
    }

    /// Posts a JSON body under this id; taken where the answer is 2xx.
    pub(crate) async fn post(&self, id: &str, body: Vec<u8>) -> Result<(), WebhookFailure> {
        let request = self.request(id, body)?;
        match timeout(self.settings.timeout, self.send(request)).await.unwrap_or(Err(WebhookFailure::Timeout))
        {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => Err(WebhookFailure::Status(status)),
            Err(failure) => Err(failure),
        }
    }

    fn request(&self, id: &str, body: Vec<u8>) -> Result<Request<Body>, WebhookFailure> {
        let WebhookSettings { url, secrets, .. } = &self.settings;
        let time = self.clock.now().unix_seconds();
        signed_post(url.uri(), secrets, id, time, body).map_err(|_| WebhookFailure::Request)
    }

    async fn send(&self, request: Request<Body>) -> Result<StatusCode, WebhookFailure> {
        let (parts, body) = self
            .client
            .request(request)
            .await
            .map(Response::into_parts)
            .map_err(|_| WebhookFailure::Unreachable)?;
        // The status is the answer; a body that is too long or breaks off changes nothing about it.
        let _ = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        Ok(parts.status)
    }
}
