//! SIGHUP: whoever keeps something that was read from files loads it again.

use std::future::pending;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The signals as they come; nobody's where there are none.
pub(crate) struct Hangups(Option<Signal>);

impl Hangups {
    /// Takes the signal over from the system, whose way would be to end the process. Each listener hears all of them.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self(Some(signal(SignalKind::hangup())?)))
    }

    /// For those who are never told.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) const fn never() -> Self {
        Self(None)
    }

    /// Waits for the next.
    pub(crate) async fn next(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => pending().await,
        }
    }
}

/// The job of a node that keeps nothing: it says so to whoever asks.
pub(crate) async fn nothing_to_load(mut hangups: Hangups, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = hangups.next() => tracing::info!("SIGHUP: there is nothing to load again"),
        }
    }
}
