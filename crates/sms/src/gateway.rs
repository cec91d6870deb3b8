//! One request to a gateway and what its answer means. What is in the request stands in the files of the senders.

use countersign_ports::SmsError;
use countersign_webhook::Body;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Bytes of an answer that are read, so that the connection can be used again. What it says does not matter.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// How long a connection is kept without anything to send.
const KEEP_IDLE: Duration = Duration::from_secs(30);

/// A setting that is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {problem}")]
pub struct SettingProblem {
    /// The setting.
    pub setting: &'static str,
    /// What is wrong and what would be right. Never what was written.
    pub problem: &'static str,
}

impl SettingProblem {
    pub(crate) const fn new(setting: &'static str, problem: &'static str) -> Self {
        Self { setting, problem }
    }
}

/// Where messages are posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayUrl(Uri);

impl GatewayUrl {
    /// Parses an `https` URL, or an `http` one of this machine. Without user name, which would be a secret in a URL.
    pub fn parse(text: &str) -> Result<Self, SettingProblem> {
        let refuse = |problem| Err(SettingProblem::new("url", problem));
        let Ok(uri) = text.parse::<Uri>() else { return refuse("is no URL; write https://HOST/PATH") };
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return refuse("is no whole URL; write https://HOST/PATH");
        };
        if authority.as_str().contains('@') {
            return refuse("has a user name; leave it out");
        }
        let loopback = ["127.0.0.1", "[::1]", "localhost"].contains(&authority.host());
        match scheme {
            "https" => Ok(Self(uri)),
            "http" if loopback => Ok(Self(uri)),
            _ => refuse("is not https; plain text is for this machine only"),
        }
    }

    pub(crate) const fn uri(&self) -> &Uri {
        &self.0
    }
}

/// Why a message was not taken. Never what was sent or answered (R53).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Failure {
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it did not answer in time")]
    Timeout,
    #[error("it cannot be reached")]
    Unreachable,
    #[error("the connection broke")]
    Broken,
    #[error("the request cannot be written")]
    Request,
}

/// A client for one gateway. Redirects are not followed: they are an answer like any other.
pub(crate) struct Gateway {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    timeout: Duration,
}

impl Gateway {
    /// Trusts the authorities of the system. Nothing is connected yet.
    pub(crate) fn new(url: &GatewayUrl, timeout: Duration) -> Result<Self, SettingProblem> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| SettingProblem::new("url", "cannot be asked: no version of TLS is available"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls);
        let plain = url.uri().scheme_str() == Some("http");
        let connector = if plain { connector.https_or_http() } else { connector.https_only() };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP_IDLE)
            .build(connector.enable_http1().build());
        Ok(Self { client, timeout })
    }

    /// Posts one message. Taken is what was answered with success. Not taken is what was understood and refused, or never
    /// arrived; of everything else nobody knows.
    pub(crate) async fn post(&self, request: Result<Request<Body>, http::Error>) -> Result<(), SmsError> {
        let request = request.map_err(|_| SmsError::NotTaken(Failure::Request.into()))?;
        match timeout(self.timeout, self.answer(request)).await {
            Ok(Ok(status)) if status.is_success() => Ok(()),
            Ok(Ok(status)) if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT => {
                Err(SmsError::NotTaken(Failure::Status(status).into()))
            }
            Ok(Ok(status)) => Err(SmsError::Unknown(Failure::Status(status).into())),
            Ok(Err(Failure::Unreachable)) => Err(SmsError::NotTaken(Failure::Unreachable.into())),
            Ok(Err(failure)) => Err(SmsError::Unknown(failure.into())),
            Err(_) => Err(SmsError::Unknown(Failure::Timeout.into())),
        }
    }

    async fn answer(&self, request: Request<Body>) -> Result<StatusCode, Failure> {
        let answered = self.client.request(request).await.map(Response::into_parts);
        // Only a connection that never came to be has certainly carried nothing.
        let (parts, body) = answered
            .map_err(|error| if error.is_connect() { Failure::Unreachable } else { Failure::Broken })?;
        // The status is the answer; a body that is too long or breaks off changes nothing about it.
        let _ = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        Ok(parts.status)
    }
}
