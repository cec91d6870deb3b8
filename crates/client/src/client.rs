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
    /// last by a call, and goes on showing that one: where certificates are renewed, ask for it at each use.
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

    /// The pause after `attempts` that failed, the last one so, where the next one is begun by somebody else. At most a
    /// deadline, or the longest pause of this client's own: a service may say to come back when no clock gets there.
    pub(crate) fn pause_after(&self, error: &Error, attempts: u32) -> Duration {
        let most = self.deadline.max(self.retry.max_pause).min(LONGEST);
        spread(self.retry.pause_after(error, attempts).min(most), random())
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
                Error::Unreachable(_) if Instant::now() >= end => Error::DeadlinePassed,
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

    /// R60: each change gets an id of its own.
    #[test]
    fn ids_differ() {
        assert_ne!(request_id(), request_id());
        assert_eq!(request_id().len(), 36);
    }
}
