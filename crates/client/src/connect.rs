//! Connections, and the road of a call: token, deadline, attempts.

use crate::call::Call;
use crate::error::{self, Error};
use crate::renewal::{Files, Pair, Renewed};
use crate::retry::Retry;
use crate::token::TokenProvider;
use crate::v1;
use http::Uri;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Streaming};
use v1::event_service_client::EventServiceClient;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a silent connection is asked whether it is still there, and how long that may take.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// What a call may take at most, whatever its caller says: clocks and headers end somewhere.
const LONGEST: Duration = Duration::from_hours(24);
/// How often it is looked whether the files of a certificate are others, while there are calls.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A connection to Countersign. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Client {
    connection: Connection,
    tokens: Option<Arc<dyn TokenProvider>>,
    deadline: Duration,
    retry: Retry,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("tokens", &self.tokens.is_some())
            .field("deadline", &self.deadline)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

/// What calls are made on.
#[derive(Clone)]
enum Connection {
    /// One that shows the same certificate for good, or none.
    Fixed(Channel),
    /// One that shows what the files have.
    Renewed(Arc<Renewed>),
}

/// Why there can be no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is none that can be connected to.
    #[error("the URL must be https://HOST:PORT, or http:// to a loopback address")]
    Url,
    /// Plain text to another machine: codes and tokens would be read on the way.
    #[error("plain text goes to loopback only; use https")]
    PlainTextBeyondLoopback,
    /// The caller's certificate or its key cannot be read.
    #[error("the caller's certificate cannot be read")]
    Identity(#[source] io::Error),
    /// The certificates are not usable, or nobody answers.
    #[error("the connection cannot be made")]
    Transport(#[from] tonic::transport::Error),
}

/// A connection in the making.
#[derive(Clone)]
pub struct Builder {
    url: String,
    authority: Option<Vec<u8>>,
    identity: Option<Shows>,
    pub(crate) look_every: Duration,
    server_name: Option<String>,
    tokens: Option<Arc<dyn TokenProvider>>,
    deadline: Duration,
    retry: Retry,
}

/// What says who calls.
#[derive(Clone)]
enum Shows {
    Given(Pair),
    InFiles(Files),
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Builder {
    /// Who issued the server's certificate (PEM). Without it nobody is believed over `https`.
    #[must_use]
    pub fn authority(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authority = Some(pem.into());
        self
    }

    /// The caller's own certificate with its intermediates, and its key (PEM). The connection and those that replace it show
    /// this certificate for good. Where it is renewed, [`Builder::identity_files`] is the better way.
    #[must_use]
    pub fn identity(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some(Shows::Given(Pair::new(certificate.into(), key.into())));
        self
    }

    /// The files of the caller's own certificate with its intermediates, and of its key (PEM), which somebody else renews.
    /// While there are calls they are looked at every ten seconds, and when they are others, later calls are made on a new
    /// connection that shows the new certificate. Files that cannot be read or do not fit leave the old one in use.
    #[must_use]
    pub fn identity_files(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some(Shows::InFiles(Files { certificate: certificate.into(), key: key.into() }));
        self
    }

    /// The name in the server's certificate, where it is not the host of the URL.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Where the tokens come from that say who calls.
    #[must_use]
    pub fn tokens(mut self, tokens: impl TokenProvider + 'static) -> Self {
        self.tokens = Some(Arc::new(tokens));
        self
    }

    /// How long a call may take with all its attempts; 5 s unless said otherwise, and a day at most.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How often calls are tried again.
    #[must_use]
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Connects now, and again by itself when the connection is lost.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let pair = self.pair()?;
        let channel = self.endpoint(pair.as_ref())?.connect().await?;
        Ok(self.client(channel, pair))
    }

    /// Connects with the first call. To be called within a runtime.
    pub fn connect_lazy(self) -> Result<Client, ConnectError> {
        let pair = self.pair()?;
        let channel = self.endpoint(pair.as_ref())?.connect_lazy();
        Ok(self.client(channel, pair))
    }

    /// What is to be shown.
    fn pair(&self) -> Result<Option<Pair>, ConnectError> {
        match &self.identity {
            None => Ok(None),
            Some(Shows::Given(pair)) => Ok(Some(pair.clone())),
            Some(Shows::InFiles(files)) => files.read().map(Some).map_err(ConnectError::Identity),
        }
    }

    fn client(self, channel: Channel, pair: Option<Pair>) -> Client {
        let (tokens, deadline, retry) = (self.tokens.clone(), self.deadline, self.retry);
        let files = match &self.identity {
            Some(Shows::InFiles(files)) => Some(files.clone()),
            _ => None,
        };
        let connection = match files.zip(pair) {
            Some((files, pair)) => Connection::Renewed(Arc::new(Renewed::new(self, files, pair, channel))),
            None => Connection::Fixed(channel),
        };
        Client { connection, tokens, deadline, retry }
    }

    pub(crate) fn endpoint(&self, pair: Option<&Pair>) -> Result<Endpoint, ConnectError> {
        let uri: Uri = self.url.parse().map_err(|_| ConnectError::Url)?;
        let host = uri.host().ok_or(ConnectError::Url)?.trim_matches(['[', ']']).to_owned();
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(ConnectError::Url),
        };
        // A name may mean any machine, `localhost` too.
        if !secure && !host.parse().is_ok_and(|address: IpAddr| address.is_loopback()) {
            return Err(ConnectError::PlainTextBeyondLoopback);
        }
        let endpoint = Endpoint::from(uri)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT);
        if !secure {
            return Ok(endpoint);
        }
        let mut tls = ClientTlsConfig::new().domain_name(self.server_name.clone().unwrap_or(host));
        if let Some(pem) = &self.authority {
            tls = tls.ca_certificate(Certificate::from_pem(pem));
        }
        if let Some(pair) = pair {
            tls = tls.identity(Identity::from_pem(&pair.certificate, &*pair.key));
        }
        Ok(endpoint.tls_config(tls)?)
    }
}

impl Client {
    /// A connection to this URL: `https://HOST:PORT`, or `http://127.0.0.1:PORT` to a sidecar or for development.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder {
            url: url.into(),
            authority: None,
            identity: None,
            look_every: LOOK_EVERY,
            server_name: None,
            tokens: None,
            deadline: Duration::from_secs(5),
            retry: Retry::default(),
        }
    }

    /// The same connection with another deadline for each call, a day at most.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// The connection itself, for generated clients and streams. They have neither deadline nor retries nor token: where
    /// tokens say who calls, put `authorization: Bearer …` into each request yourself.
    pub fn channel(&self) -> Channel {
        match &self.connection {
            Connection::Fixed(channel) => channel.clone(),
            Connection::Renewed(renewed) => renewed.channel(),
        }
    }

    /// The connection of the next attempt.
    async fn current(&self) -> Channel {
        if let Connection::Renewed(renewed) = &self.connection {
            renewed.look().await;
        }
        self.channel()
    }

    /// Calls the method that takes this request. A change without `request_id` is given one, and keeps it over all
    /// attempts; give it one yourself where you may have to ask again after an [`Error`].
    pub async fn call<C: Call>(&self, mut request: C) -> Result<C::Response, Error> {
        if let Some(id) = request.request_id().filter(|id| id.is_empty()) {
            *id = request_id();
        }
        let end = self.end();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let attempt = timeout_at(end, self.attempt(request.clone(), end)).await;
            let error = match attempt {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => error,
                Err(_) => return Err(Error::DeadlinePassed),
            };
            self.pause(error, attempts, end).await?;
        }
    }

    /// When a call that begins now is over.
    pub(crate) fn end(&self) -> Instant {
        Instant::now() + self.deadline.min(LONGEST)
    }

    /// Waits before the next attempt, or returns the error where there is to be none before `end`.
    pub(crate) async fn pause(&self, error: Error, attempts: u32, end: Instant) -> Result<(), Error> {
        let Some(pause) = self.retry.pause(&error, attempts) else { return Err(error) };
        let pause = spread(pause, random());
        if !is_in_time(pause, end) {
            return Err(error);
        }
        sleep(pause).await;
        Ok(())
    }

    /// Begins to follow the log, within the deadline. The stream itself has none.
    pub(crate) async fn follow(
        &self,
        request: v1::WatchEventsRequest,
    ) -> Result<Streaming<v1::WatchEventsResponse>, Error> {
        let begin = async {
            let mut request = Request::new(request);
            self.show_token(&mut request).await?;
            let mut client = EventServiceClient::new(self.current().await);
            client.watch_events(request).await.map(tonic::Response::into_inner).map_err(error::of)
        };
        timeout_at(self.end(), begin).await.unwrap_or(Err(Error::DeadlinePassed))
    }

    async fn show_token<T>(&self, request: &mut Request<T>) -> Result<(), Error> {
        let Some(tokens) = &self.tokens else { return Ok(()) };
        let token = tokens.token().await.map_err(Error::NoToken)?;
        let invalid = |_| Error::NoToken(io::Error::other("the token has characters of no header"));
        let mut header: tonic::metadata::AsciiMetadataValue = token.header().parse().map_err(invalid)?;
        // Neither in logs of HTTP/2 nor in its table of headers.
        header.set_sensitive(true);
        request.metadata_mut().insert("authorization", header);
        Ok(())
    }

    async fn attempt<C: Call>(&self, message: C, end: Instant) -> Result<C::Response, Error> {
        let mut request = Request::new(message);
        self.show_token(&mut request).await?;
        let channel = self.current().await;
        request.set_timeout(end.saturating_duration_since(Instant::now()));
        C::send(channel, request).await.map(tonic::Response::into_inner).map_err(|status| {
            let error = error::of(status);
            match error {
                // The channel ends a call that is over in a way of its own.
                Error::Unreachable(status)
                    if status.code() == Code::DeadlineExceeded || Instant::now() >= end =>
                {
                    Error::DeadlinePassed
                }
                error => error,
            }
        })
    }
}

/// Whether something is left before `end` after this pause. A service may say to come back when no clock gets there.
fn is_in_time(pause: Duration, end: Instant) -> bool {
    pause < end.saturating_duration_since(Instant::now())
}

/// A pause and up to a quarter of it more, as drawn: what failed for many callers at once shall not come again at once.
fn spread(pause: Duration, drawn: u8) -> Duration {
    // Divided first: a service may ask for a pause without end.
    (pause / (4 * u32::from(u8::MAX)) * u32::from(drawn)).saturating_add(pause)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a caller has no port for randomness; this only spreads pauses"
)]
fn random() -> u8 {
    let mut byte = [0];
    // Without randomness pauses are the shortest; whoever has none has other troubles.
    let _ = getrandom::fill(&mut byte);
    byte[0]
}

/// An id for one change (RFC 9562 version 4): for whoever may have to ask again after an [`Error`], by the same id.
///
/// # Panics
/// Where the operating system gives no randomness.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "a caller has no port for randomness; the id only tells changes apart"
)]
#[expect(
    clippy::expect_used,
    reason = "an operating system without randomness is broken, and without it two changes could be taken for one"
)]
pub fn request_id() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R48: a pause without end is not worth waiting for, and no reason to panic.
    #[test]
    fn a_pause_without_end_is_not_in_time() {
        let end = Instant::now() + Duration::from_mins(1);
        assert!(is_in_time(Duration::ZERO, end));
        assert!(!is_in_time(Duration::from_mins(2), end));
        assert!(!is_in_time(Duration::MAX, end));
        assert_eq!(spread(Duration::MAX, u8::MAX), Duration::MAX);
    }

    /// R66: pauses are spread, and never shorter than what was asked for.
    #[test]
    fn pauses_are_spread() {
        let pause = Duration::from_secs(4);
        let [least, most] = [0, 255].map(|drawn| spread(pause, drawn));
        assert_eq!(least, pause);
        assert!(Duration::from_millis(4_999) < most && most <= Duration::from_secs(5), "{most:?}");
        assert!((0..=255).is_sorted_by_key(|drawn| spread(pause, drawn)));
    }

    /// R46: codes and tokens go over plain text to this machine only.
    #[test]
    fn plain_text_goes_to_loopback_only() {
        let endpoint = |url: &str| Client::builder(url).endpoint(None).map(drop);
        for url in ["http://127.0.0.1:1", "http://[::1]:1", "https://countersign.internal:50051"] {
            assert!(endpoint(url).is_ok(), "{url}");
        }
        for url in ["http://10.0.0.1:1", "http://localhost:1", "http://countersign.internal"] {
            assert!(matches!(endpoint(url), Err(ConnectError::PlainTextBeyondLoopback)), "{url}");
        }
        for url in ["", "127.0.0.1:1", "ftp://127.0.0.1", "https://"] {
            assert!(matches!(endpoint(url), Err(ConnectError::Url)), "{url}");
        }
    }

    /// R60: each change gets an id of its own.
    #[test]
    fn ids_differ() {
        assert_ne!(request_id(), request_id());
        assert_eq!(request_id().len(), 36);
    }
}
