//! The client, and the road of a call: token, deadline, attempts.

use crate::call::Call;
use crate::connect::Builder;
use crate::error::{self, Error};
use crate::renewal::Renewed;
use crate::retry::Retry;
use crate::token::TokenProvider;
use crate::v1;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};
use tokio::time::{Instant, sleep, timeout_at};
use tonic::transport::Channel;
use tonic::{Request, Streaming};
use v1::event_service_client::EventServiceClient;

/// What a call may take at most, whatever its caller says: clocks and headers end somewhere.
const LONGEST: Duration = Duration::from_hours(24);
/// What another attempt has at least. One with less would say that the deadline passed, where the one before said why.
const ROOM: Duration = Duration::from_millis(50);

/// A connection to Countersign. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Client {
    pub(crate) connection: Connection,
    pub(crate) tokens: Option<Arc<dyn TokenProvider>>,
    pub(crate) deadline: Duration,
    pub(crate) retry: Retry,
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
pub(crate) enum Connection {
    /// One that shows the same certificate for good, or none.
    Fixed(Channel),
    /// One that shows what the files have.
    Renewed(Arc<Renewed>),
}

impl Client {
    /// A connection to this URL: `https://HOST:PORT`, or `http://127.0.0.1:PORT` to a sidecar or for development.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url.into())
    }

    /// The same connection with another deadline for each call, a day at most. How soon it is taken for dead stays as
    /// [`Builder::deadline`] said.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// The connection itself, for generated clients and streams. They have neither deadline nor retries nor token: where
    /// tokens say who calls, put `authorization: Bearer …` into each request yourself. It shows the certificate that was read
    /// last by a call, and goes on showing that one: where certificates are renewed, ask for it at each use. A machine that
    /// does not answer is UNAVAILABLE; one that takes the connection and does not come about with TLS in time is UNKNOWN, and
    /// to be asked again too.
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
            let Some(pause) = self.pause(&error, attempts, end) else { return Err(error) };
            sleep(pause).await;
            // It may have been longer than it was meant to be.
            if !is_in_time(Duration::ZERO, end) {
                return Err(error);
            }
        }
    }

    /// When a call that begins now is over.
    pub(crate) fn end(&self) -> Instant {
        Instant::now() + self.deadline.min(LONGEST)
    }

    /// The pause before the next attempt, or `None` where there is to be none before `end`.
    pub(crate) fn pause(&self, error: &Error, attempts: u32, end: Instant) -> Option<Duration> {
        let pause = self.retry.pause(error, attempts).map(|pause| spread(pause, random()));
        pause.filter(|pause| is_in_time(*pause, end))
    }

    /// The pause after `attempts` that failed, the last one so, where the next one is begun by somebody else. At most a
    /// deadline, or the longest pause of this client's own: a service may say to come back when no clock gets there.
    pub(crate) fn pause_after(&self, error: &Error, attempts: u32) -> Duration {
        let most = self.deadline.max(self.retry.max_pause).min(LONGEST);
        spread(self.retry.pause_after(error, attempts).min(most), random())
    }

    /// Begins to follow the log, within the deadline. The stream itself has none.
    pub(crate) async fn follow(
        self,
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
                Error::Unreachable(_) if Instant::now() >= end => Error::DeadlinePassed,
                error => error,
            }
        })
    }
}

/// Whether there is room before `end` after this pause. A service may say to come back when no clock gets there.
fn is_in_time(pause: Duration, end: Instant) -> bool {
    pause.saturating_add(ROOM) < end.saturating_duration_since(Instant::now())
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
    use hyper_util::rt::TokioIo;
    use std::future::pending;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::io::DuplexStream;
    use tokio::time::advance;
    use tonic::transport::Endpoint;

    /// R66: where a pause took longer than it was to, there is no attempt without time: what is known is told.
    #[tokio::test(start_paused = true)]
    async fn a_pause_that_was_too_long_is_the_last() {
        let first = Arc::new(AtomicBool::new(true));
        // Nobody is there at first, and then nobody answers.
        let connector = tower::service_fn(move |_| {
            let first = first.swap(false, Ordering::Relaxed);
            async move {
                if first {
                    Err(io::Error::other("nobody"))
                } else {
                    pending::<io::Result<TokioIo<DuplexStream>>>().await
                }
            }
        });
        let channel = Endpoint::from_static("http://127.0.0.1:1").connect_with_connector_lazy(connector);
        let second = Duration::from_secs(1);
        let retry = Retry { first_pause: second, ..Retry::default() };
        let client =
            Client { connection: Connection::Fixed(channel), tokens: None, deadline: 5 * second, retry };
        let late = async {
            sleep(second / 2).await;
            advance(Duration::from_millis(4_475)).await;
        };
        let (answer, ()) = tokio::join!(client.call(v1::ListTenantsRequest::default()), late);
        assert!(matches!(answer, Err(Error::Unreachable(_))), "{answer:?}");
    }

    /// R48, R66: a pause without end is not worth waiting for, and no reason to panic; nor is one that leaves an attempt no
    /// time.
    #[tokio::test(start_paused = true)]
    async fn only_a_pause_that_leaves_room_is_in_time() {
        let minute = Duration::from_mins(1);
        let end = Instant::now() + minute;
        for (room, fits) in [(2 * ROOM, true), (ROOM, false), (Duration::ZERO, false)] {
            assert_eq!(is_in_time(minute, end + room), fits, "{room:?}");
        }
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

    /// R60: each change gets an id of its own.
    #[test]
    fn ids_differ() {
        assert_ne!(request_id(), request_id());
        assert_eq!(request_id().len(), 36);
    }
}
