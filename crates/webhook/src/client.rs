//! One request and its answer. What is in the request, and what the answer means, is the business of who posts it.

use crate::{Body, ReceiverUrl, SettingProblem, trust};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::time::Duration;
use tokio::time::timeout;

/// Bytes of an answer that are read, so that the connection can be used again. What it says does not matter.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// How long the rest of an answer whose status is known is read for, while nobody waits for it.
const BODY_PATIENCE: Duration = Duration::from_secs(1);
/// How long a connection is kept without anything to send.
const KEEP_IDLE: Duration = Duration::from_secs(30);

/// Why a request was not taken. Never what was sent or answered (R53).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PostFailure {
    /// The answer was no success.
    #[error("the receiver answered {0}")]
    Status(StatusCode),
    /// There was no answer in time. The request may have been taken.
    #[error("the receiver did not answer in time")]
    Timeout,
    /// No connection came to be: nothing was sent.
    #[error("the receiver cannot be reached")]
    Unreachable,
    /// The connection broke. The request may have been taken.
    #[error("the connection to the receiver broke")]
    Broken,
    /// The request is none, so nothing was sent.
    #[error("the request cannot be written")]
    Request,
}

impl From<http::Error> for PostFailure {
    fn from(_: http::Error) -> Self {
        Self::Request
    }
}

/// A client for one receiver. Redirects are not followed: they are an answer like any other.
pub struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    timeout: Duration,
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClient").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl HttpClient {
    /// A client for requests to this URL, each of which may take so long from the first byte to the status. Trusts
    /// these authorities (PEM), or those of the system. Nothing is connected yet.
    ///
    /// # Errors
    /// [`SettingProblem`] of `authorities` that are none.
    pub fn new(
        url: &ReceiverUrl,
        authorities: Option<&str>,
        timeout: Duration,
    ) -> Result<Self, SettingProblem> {
        let connector = HttpsConnectorBuilder::new().with_tls_config(trust::client(authorities)?);
        let connector = if url.is_plain() { connector.https_or_http() } else { connector.https_only() };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP_IDLE)
            .build(connector.enable_http1().build());
        Ok(Self { client, timeout })
    }

    /// Posts one request, once; taken where the answer is 2xx.
    ///
    /// # Errors
    /// [`PostFailure`] where it was not taken, or nobody knows.
    pub async fn post(&self, request: Result<Request<Body>, http::Error>) -> Result<(), PostFailure> {
        let answer = timeout(self.timeout, self.client.request(request?)).await;
        // Only a connection that never came to be has certainly carried nothing.
        let answer = answer.map_err(|_elapsed| PostFailure::Timeout)?.map_err(|error| {
            if error.is_connect() { PostFailure::Unreachable } else { PostFailure::Broken }
        })?;
        let (parts, body) = answer.into_parts();
        // The status is the answer; a body that is too long, breaks off or does not end changes nothing about it, and whoever
        // posts has a deadline of its own.
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect();
        drop(tokio::spawn(timeout(BODY_PATIENCE.min(self.timeout), body)));
        if parts.status.is_success() { Ok(()) } else { Err(PostFailure::Status(parts.status)) }
    }
}
