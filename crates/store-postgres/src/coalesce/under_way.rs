//! The batches that are under way, and how long the next one waits for them.

use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Counts batches from when they are taken until they are done.
pub(super) struct UnderWay(watch::Sender<State>);

#[derive(Clone, Copy)]
struct State {
    batches: usize,
    /// When the youngest began.
    since: Instant,
}

/// A batch under way; dropped, it has ended.
pub(super) struct Begun<'a>(&'a UnderWay);

impl UnderWay {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(State { batches: 0, since: Instant::now() }))
    }

    /// A batch begins.
    pub(super) fn begin(&self) -> Begun<'_> {
        self.0.send_modify(|state| *state = State { batches: state.batches + 1, since: Instant::now() });
        Begun(self)
    }

    /// Waits until no batch is under way, or until the youngest has been for so long.
    pub(super) async fn over(&self, patience: Duration) {
        let mut states = self.0.subscribe();
        let until = states.borrow().since + patience;
        // Timers have whole milliseconds: one for the present moment may wait for the next.
        if until <= Instant::now() {
            return;
        }
        // Neither ends for another reason: whoever asks holds the sender.
        let _ = tokio::time::timeout_at(until, states.wait_for(|state| state.batches == 0)).await;
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.batches -= 1);
    }
}
