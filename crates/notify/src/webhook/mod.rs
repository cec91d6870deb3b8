//! Notices as signed requests to a URL of the operator's, after Standard Webhooks 1.0: who receives them can tell that
//! they are ours, fresh, and which are repeats.

mod payload;
mod settings;
mod signature;

pub use settings::{WebhookSettings, WebhookUrl};
pub use signature::WebhookSecret;

use crate::letter::Texts;
use crate::{SettingProblem, trust};
use async_trait::async_trait;
use countersign_ports::{Clock, Letter, Notifier, NotifyError};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Bytes of an answer that are read, so that the connection can be used again. What it says does not matter.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// How long a connection is kept without anything to send.
const KEEP_IDLE: Duration = Duration::from_secs(30);

type Body = Full<Cursor<Vec<u8>>>;

/// Posts notices to a URL. Redirects are not followed: they are an answer like any other.
pub struct WebhookNotifier {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    settings: WebhookSettings,
    texts: Texts,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for WebhookNotifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookNotifier").finish_non_exhaustive()
    }
}

/// Why a request was not taken. Never what was answered (R53).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum WebhookFailure {
    #[error("the webhook answered {0}")]
    Status(StatusCode),
    #[error("the webhook did not answer in time")]
    Timeout,
    #[error("the webhook cannot be reached")]
    Unreachable,
    #[error("the request cannot be written")]
    Request,
}

impl WebhookNotifier {
    /// A notifier with these settings. Nothing is connected yet.
    pub fn new(
        settings: WebhookSettings,
        texts: Texts,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SettingProblem> {
        settings.check()?;
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(trust::client(settings.authorities.as_deref())?);
        let connector =
            if settings.url.is_plain() { connector.https_or_http() } else { connector.https_only() };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP_IDLE)
            .build(connector.enable_http1().build());
        Ok(Self { client, settings, texts, clock })
    }

    fn request(&self, letter: &Letter) -> Result<Request<Body>, NotifyError> {
        let unfit = |_| NotifyError::Permanent(WebhookFailure::Request.into());
        let rendered = self.texts.render(letter).map_err(|error| NotifyError::Permanent(error.into()))?;
        let body =
            payload::encode(letter, &rendered).map_err(|error| NotifyError::Permanent(error.into()))?;
        let id = letter.entry.notice.id.0.to_string();
        let time = self.clock.now().unix_seconds();
        let mut signature = HeaderValue::from_str(&signature::sign(&self.settings.secrets, &id, time, &body))
            .map_err(|_| NotifyError::Permanent(WebhookFailure::Request.into()))?;
        signature.set_sensitive(true);
        Request::post(self.settings.url.uri())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("countersign/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", id)
            .header("webhook-timestamp", time)
            .header("webhook-signature", signature)
            .body(Full::new(Cursor::new(body)))
            .map_err(unfit)
    }

    async fn post(&self, request: Request<Body>) -> Result<StatusCode, WebhookFailure> {
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

#[async_trait]
impl Notifier for WebhookNotifier {
    /// A notice without an address is posted too: the receiver may know another way to its user.
    async fn notify(&self, letter: &Letter) -> Result<(), NotifyError> {
        let request = self.request(letter)?;
        let answered = timeout(self.settings.timeout, self.post(request)).await;
        match answered.unwrap_or(Err(WebhookFailure::Timeout)) {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) if is_final(status) => {
                Err(NotifyError::Permanent(WebhookFailure::Status(status).into()))
            }
            Ok(status) => Err(NotifyError::Transient(WebhookFailure::Status(status).into())),
            Err(failure) => Err(NotifyError::Transient(failure.into())),
        }
    }
}

/// Whether asking again is useless: the receiver understood and does not want it. Not so for a timeout of theirs (408)
/// and for too many requests (429).
fn is_final(status: StatusCode) -> bool {
    status.is_client_error()
        && ![StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status)
}
