//! Following the log of events, across connections that break and nodes that stop.

use crate::client::Client;
use crate::error::{self, Error};
use crate::v1;
use std::fmt;
use std::panic::resume_unwind;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tonic::{Status, Streaming};
use v1::watch_events_request::Start;

/// The log of events of a tenant, followed. See [`Client::watch_events`].
pub struct Watch {
    client: Client,
    request: v1::WatchEventsRequest,
    /// A stream in the making, at most one. In a task and not in the call that began it: whoever waits for a moment at a time
    /// goes on with it, and while nobody waits it keeps nothing from others, such as the lock of a token provider.
    beginning: JoinSet<Result<Messages, Error>>,
    messages: Option<Messages>,
    failing: Failing,
    /// Calls that ended with an error since the last message.
    given_up: u32,
    /// Before which nobody is asked.
    pause_end: Option<Instant>,
}

type Messages = Streaming<v1::WatchEventsResponse>;

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("request", &self.request).finish_non_exhaustive()
    }
}

impl Client {
    /// Follows the log of events from where the request says. Nothing is asked before the first [`Watch::next`].
    ///
    /// ```no_run
    /// # use countersign_client::{Client, Error, Reason, v1};
    /// # async fn follow(client: Client, token: String) -> Result<(), Error> {
    /// let mut watch = client.watch_events(v1::WatchEventsRequest {
    ///     tenant_id: "acme".to_owned(),
    ///     start: Some(v1::watch_events_request::Start::ResumeToken(token)),
    ///     ..Default::default()
    /// });
    /// loop {
    ///     let batch = match watch.next().await {
    ///         Ok(batch) => batch,
    ///         // Where to begin instead is for somebody to decide.
    ///         Err(error) if matches!(error.reason(), Some(Reason::ResumeTokenExpired | Reason::ResumeTokenInvalid)) => {
    ///             return Err(error);
    ///         }
    ///         // Nobody answers, or not to us: tell somebody, and go on. The next call pauses by itself.
    ///         Err(error) => {
    ///             eprintln!("{error}");
    ///             continue;
    ///         }
    ///     };
    ///     // In one transaction: what the events do, and the token.
    ///     println!("{} events, up to {}", batch.events.len(), batch.resume_token);
    /// }
    /// # }
    /// ```
    pub fn watch_events(&self, request: v1::WatchEventsRequest) -> Watch {
        let (client, failing) = (self.clone(), Failing::default());
        Watch {
            client,
            request,
            beginning: JoinSet::new(),
            messages: None,
            failing,
            given_up: 0,
            pause_end: None,
        }
    }
}

impl Watch {
    /// The next batch of events, or a checkpoint, which has none. Store its `resume_token` together with what the events do.
    ///
    /// Where the connection breaks or reaches its age, or the node stops, it is begun again after what was given last, as
    /// often as [`Retry`] says and within the deadline; no event is left out, and none comes twice. After an error it may be
    /// called again and goes on there too; but after [`Reason::ResumeTokenExpired`] and [`Reason::ResumeTokenInvalid`] only a
    /// new watch does. Where it is not [`Error::may_pass`], somebody has to do something before it goes on: grant a scope, say.
    /// A call after an error first pauses, longer from one to the next, until there is a message: as [`Retry`] says, and
    /// where the service says when to come back until then, within a deadline.
    /// Waiting for it may be given up at any time; nothing is lost by that, and the next call goes on where this one was, with
    /// what it had begun, its pauses and its count of attempts. What it had begun goes on by itself, until the watch is dropped.
    ///
    /// [`Retry`]: crate::Retry
    /// [`Reason::ResumeTokenExpired`]: crate::Reason::ResumeTokenExpired
    /// [`Reason::ResumeTokenInvalid`]: crate::Reason::ResumeTokenInvalid
    pub async fn next(&mut self) -> Result<v1::WatchEventsResponse, Error> {
        loop {
            if let Some(end) = self.pause_end {
                sleep_until(end).await;
                self.pause_end = None;
            }
            match self.message().await {
                Ok(message) => {
                    (self.failing, self.given_up) = (Failing::default(), 0);
                    self.request.start = Some(Start::ResumeToken(message.resume_token.clone()));
                    return Ok(message);
                }
                Err(error) => {
                    let was_open = self.messages.take().is_some();
                    let now = Instant::now();
                    let (attempts, end) = self.failing.again(was_open, now, self.client.end());
                    if let Some(pause) = self.client.pause(&error, attempts, end) {
                        self.pause_end = Some(now + pause);
                        continue;
                    }
                    let pause = self.client.pause_after(&error, attempts.saturating_add(self.given_up));
                    self.pause_end = Some(now + pause);
                    self.failing = Failing::default();
                    self.given_up = self.given_up.saturating_add(1);
                    return Err(error);
                }
            }
        }
    }

    async fn message(&mut self) -> Result<v1::WatchEventsResponse, Error> {
        let messages = if let Some(messages) = &mut self.messages {
            messages
        } else {
            if self.beginning.is_empty() {
                self.beginning.spawn(self.client.clone().follow(self.request.clone()));
            }
            let opened = match self.beginning.join_next().await {
                Some(Ok(opened)) => opened,
                // What panics is a token provider, and that is for its owner to hear.
                Some(Err(ended)) if ended.is_panic() => resume_unwind(ended.into_panic()),
                _ => Err(error::of(Status::cancelled("the runtime ended"))),
            };
            self.messages.insert(opened?)
        };
        let message = messages.message().await.map_err(error::of)?;
        message.ok_or_else(|| error::of(Status::unavailable("the stream ended")))
    }
}

/// What failed since the last message or error that was given.
#[derive(Default)]
struct Failing {
    attempts: u32,
    /// When it has failed for good. Known from the first failure on: how long nothing happens before is no matter of the
    /// deadline.
    end: Option<Instant>,
}

impl Failing {
    /// One more failed at `now`, and of those that begin now the last would be over at `end`. How many there were, and when
    /// the last of them is over. What was open when the one before was over has worked: its end is a first failure again.
    fn again(&mut self, was_open: bool, now: Instant, end: Instant) -> (u32, Instant) {
        if was_open && self.end.is_some_and(|end| end <= now) {
            *self = Self::default();
        }
        self.attempts += 1;
        (self.attempts, *self.end.get_or_insert(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BearerToken, Retry, TokenProvider};
    use std::io;
    use std::time::Duration;
    use tokio::net::TcpListener;
    use tokio::sync::Mutex;
    use tokio::time::{sleep, timeout};

    /// R61: whoever waits for a moment at a time, beside a clock that ticks, hears too that a node takes what it is sent and
    /// says nothing.
    #[tokio::test(start_paused = true)]
    async fn short_waits_come_to_an_error() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client =
            Client::builder(format!("http://{}", silent.local_addr().unwrap())).connect_lazy().unwrap();
        let mut watch = client.watch_events(v1::WatchEventsRequest::default());
        for _ in 0..60 {
            if let Ok(told) = timeout(Duration::from_secs(1), watch.next()).await {
                assert!(told.is_err_and(|error| error.may_pass()));
                return;
            }
        }
        panic!("nobody hears of it");
    }

    /// R60: a loop that asks again at once after each error is slowed down more and more, also where a call is one attempt.
    #[tokio::test(start_paused = true)]
    async fn asking_again_after_errors_pauses() {
        let retry =
            Retry { max_attempts: 1, first_pause: Duration::from_secs(1), max_pause: Duration::from_secs(4) };
        // Without a token nobody is asked, so that only the pauses take time.
        let builder = Client::builder("http://127.0.0.1:1").retry(retry).tokens(Nobody);
        let mut watch = builder.connect_lazy().unwrap().watch_events(v1::WatchEventsRequest::default());
        let mut pauses = Vec::new();
        for _ in 0..5 {
            let before = Instant::now();
            let error = watch.next().await.unwrap_err();
            assert!(matches!(error, Error::NoToken(_)), "{error:?}");
            pauses.push(before.elapsed().as_millis());
        }
        assert_eq!(pauses[0], 0, "{pauses:?}");
        for (pause, least) in pauses[1..].iter().zip([1_000, 2_000, 4_000, 4_000]) {
            assert!((least..=least * 5 / 4 + 2).contains(pause), "{pauses:?}");
        }
    }

    struct Nobody;

    #[async_trait::async_trait]
    impl TokenProvider for Nobody {
        async fn token(&self) -> io::Result<BearerToken> {
            Err(io::Error::other("there is none"))
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn with_slow_tokens() -> (Client, Watch) {
        let builder = Client::builder("http://127.0.0.1:1").tokens(OneAtATime::default());
        let client = builder.connect_lazy().unwrap();
        let watch = client.watch_events(v1::WatchEventsRequest::default());
        (client, watch)
    }

    /// R61: a wait that was given up where a token is made holds up no other call that wants one.
    #[tokio::test(start_paused = true)]
    async fn a_wait_that_was_given_up_holds_up_no_call() {
        let (client, mut watch) = with_slow_tokens();
        assert!(timeout(SECOND / 2, watch.next()).await.is_err(), "there is nothing yet");
        let error = client.call(v1::ListTenantsRequest::default()).await.unwrap_err();
        assert!(matches!(error, Error::NoToken(_)), "{error:?}");
    }

    /// R61: whoever comes back after more than the deadline is given what came of it in between.
    #[tokio::test(start_paused = true)]
    async fn no_deadline_passes_between_waits() {
        let (client, mut watch) = with_slow_tokens();
        assert!(timeout(SECOND / 2, watch.next()).await.is_err(), "there is nothing yet");
        sleep(2 * client.deadline).await;
        let error = watch.next().await.unwrap_err();
        assert!(matches!(error, Error::NoToken(_)), "{error:?}");
    }

    /// One of several tasks may hold a watch, behind a lock or a reference.
    #[test]
    fn a_watch_is_shared_among_threads() {
        fn assert_shared<T: Send + Sync>() {}
        assert_shared::<Watch>();
    }

    /// Makes one token at a time, which takes a while and comes to nothing: so that nobody is asked.
    #[derive(Default)]
    struct OneAtATime(Mutex<()>);

    #[async_trait::async_trait]
    impl TokenProvider for OneAtATime {
        async fn token(&self) -> io::Result<BearerToken> {
            let _alone = self.0.lock().await;
            // In two steps: what stands still between them is not over when it is looked at again.
            sleep(SECOND).await;
            sleep(SECOND).await;
            Nobody.token().await
        }
    }

    /// R61: nodes that stop one after the other are each a first failure, and one that ends every stream at once is not.
    #[test]
    fn what_held_past_the_deadline_fails_anew() {
        let (start, deadline) = (Instant::now(), Duration::from_secs(5));
        let mut failing = Failing::default();
        let mut fails = |was_open, at: u64| {
            let now = start + Duration::from_secs(at);
            let (attempts, end) = failing.again(was_open, now, now + deadline);
            (attempts, (end - start).as_secs())
        };
        assert_eq!(fails(true, 0), (1, 5));
        assert_eq!(fails(false, 1), (2, 5));
        assert_eq!(fails(true, 2), (3, 5), "it was open for a moment");
        assert_eq!(fails(true, 10), (1, 15), "it was open for long");
        assert_eq!(fails(false, 20), (2, 15), "it was not open");
    }
}
