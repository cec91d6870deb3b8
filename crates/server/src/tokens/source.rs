//! Keeping the issuer's keys current: read at the start, then now and then, and once more when a token names a key that
//! is not there, or on SIGHUP. What worked is kept while the source does not answer, for a bounded time.

use super::fetch::Endpoint;
use super::keys::{self, Key, MAX_BYTES};
use crate::hangups::Hangups;
use crate::jobs::alone;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

/// How long after an attempt no token, whatever key it names, causes another one.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Calls that wait for an attempt at the same time; more are refused at once.
const MAX_WAITING: usize = 64;
/// How long a call waits for one.
const WAIT: Duration = Duration::from_secs(6);

/// Where keys come from, and how fresh they have to be.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Where they are.
    pub(crate) origin: Origin,
    /// How often they are looked at.
    pub(crate) freshness: Freshness,
}

/// Where keys are.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// A JWK set or PEM.
    File(PathBuf),
    /// A JWK set over HTTPS.
    Https(Arc<Endpoint>),
    /// A file that is read with a panic while this says so.
    #[cfg(test)]
    Panicking(Arc<std::sync::atomic::AtomicBool>, PathBuf),
}

/// How fresh keys have to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Freshness {
    /// How often they are read.
    pub(crate) refresh: Duration,
    /// How long after they were last read they still count.
    pub(crate) max_stale: Duration,
}

impl Origin {
    /// The keys, or why there are none.
    async fn read(&self) -> Result<Vec<Key>, String> {
        let text = match self {
            Self::File(path) => read_file(path)?,
            Self::Https(endpoint) => endpoint.get().await?,
            #[cfg(test)]
            Self::Panicking(panics, path) => {
                assert!(!panics.load(std::sync::atomic::Ordering::SeqCst), "as it was told");
                read_file(path)?
            }
        };
        keys::parse(&text).map_err(|problem| format!("the set {problem}"))
    }

    /// Checks what can be checked before a port opens: a file must be there and good; a server need not answer yet.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self::File(path) = self else { return Ok(()) };
        let text = read_file(path)?;
        keys::parse(&text).map(drop).map_err(|problem| format!("{} {problem}", path.display()))
    }
}

fn read_file(path: &PathBuf) -> Result<String, String> {
    let fail = |error: std::io::Error| format!("{} cannot be read ({})", path.display(), error.kind());
    let metadata = std::fs::metadata(path).map_err(fail)?;
    if !metadata.is_file() || metadata.len() > MAX_BYTES as u64 {
        return Err(format!("{} is no file of at most {MAX_BYTES} bytes", path.display()));
    }
    std::fs::read_to_string(path).map_err(fail)
}

/// Keys that were read, and when.
#[derive(Debug, Clone)]
struct Read {
    keys: Arc<Vec<Key>>,
    at: Instant,
}

/// The keys as they are now.
#[derive(Debug)]
pub(super) struct Current {
    read: watch::Receiver<Option<Read>>,
    asks: mpsc::Sender<oneshot::Sender<()>>,
    max_stale: Duration,
}

impl Current {
    /// The keys, where they are fresh enough.
    pub(super) fn now(&self) -> Option<Arc<Vec<Key>>> {
        let read = self.read.borrow();
        let read = read.as_ref().filter(|read| read.at.elapsed() <= self.max_stale)?;
        Some(Arc::clone(&read.keys))
    }

    /// Has the keys read once more, unless that was done just before; returns when it is done or not going to be.
    pub(super) async fn ask_again(&self) {
        let (done, wait) = oneshot::channel();
        if self.asks.try_send(done).is_ok() {
            let _ = tokio::time::timeout(WAIT, wait).await;
        }
    }
}

impl Source {
    /// The keys, and the job that keeps them current until `stop`.
    pub(super) fn watch(
        self,
        hangups: Hangups,
        stop: CancellationToken,
    ) -> (Current, impl Future<Output = ()> + Send) {
        let (sender, read) = watch::channel(None);
        let (asks, asked) = mpsc::channel(MAX_WAITING);
        let max_stale = self.freshness.max_stale;
        (Current { read, asks, max_stale }, self.keep(sender, asked, hangups, stop))
    }

    async fn keep(
        self,
        sender: watch::Sender<Option<Read>>,
        mut asked: mpsc::Receiver<oneshot::Sender<()>>,
        mut hangups: Hangups,
        stop: CancellationToken,
    ) {
        let refresh = self.freshness.refresh;
        let (source, sender) = (Arc::new(self), Arc::new(sender));
        let read = || {
            let (source, sender) = (Arc::clone(&source), Arc::clone(&sender));
            alone("token_keys", async move { source.read_into(&sender).await })
        };
        read().await;
        let mut last = Instant::now();
        let mut ticks = interval_at(last + refresh, refresh);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let waiting = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = ticks.tick() => None,
                () = hangups.next() => None,
                Some(waiting) = asked.recv() => Some(waiting),
            };
            if waiting.is_none() || last.elapsed() >= AGAIN_AFTER {
                read().await;
                last = Instant::now();
            }
            // Who asked may have gone.
            waiting.map(|waiting| waiting.send(()));
        }
    }

    async fn read_into(&self, sender: &watch::Sender<Option<Read>>) {
        match self.origin.read().await {
            Ok(keys) => {
                let count = keys.len();
                let news = sender.borrow().as_ref().is_none_or(|read| *read.keys != keys);
                sender.send_replace(Some(Read { keys: Arc::new(keys), at: Instant::now() }));
                if news {
                    tracing::info!(keys = count, "the keys of workload tokens were loaded");
                }
            }
            Err(problem) => {
                let stale =
                    sender.borrow().as_ref().is_none_or(|read| read.at.elapsed() > self.freshness.max_stale);
                let text = "the keys of workload tokens could not be loaded";
                if stale {
                    tracing::error!(alarm = true, problem, "{text}, and none are fresh: tokens are refused");
                } else {
                    tracing::warn!(problem, "{text}; going on with those from before");
                }
            }
        }
    }
}
