//! What the clients saw: each call from its invocation to its reply, on one time line.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// What a client wanted. Codes are named by where they come from, so that the laws can tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// A login with the code of this step of the authenticator that the user had in this life.
    Code { life: usize, step: u64 },
    /// A login with a recovery code of this life.
    Recovery { life: usize, index: usize },
    /// A login with a code that no authenticator shows anywhere near now.
    Wrong,
    /// Switching off with the code of this step: it ends the life.
    Disable { life: usize, step: u64 },
}

/// How a call ended, as far as its client knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The login may go ahead, or the second factor is off. With the event that says so.
    Allowed { event: Option<String> },
    /// The code was not accepted. With the event that says so.
    Refused { event: Option<String> },
    /// Not evaluated: locked, or there is nothing to answer.
    NotEvaluated,
    /// Nobody knows: every try ended without an answer.
    Unknown,
}

/// A call with its place on the time line.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Whose.
    pub(crate) user: usize,
    /// The idempotency key, the same at every try.
    pub(crate) request_id: String,
    pub(crate) action: Action,
    /// When it was first sent.
    pub(crate) invoked: u64,
    /// When its answer was read.
    pub(crate) returned: u64,
    pub(crate) outcome: Outcome,
}

/// All calls, and the time line. Its ticks order what clients saw; they measure nothing.
pub(crate) struct History {
    calls: Mutex<Vec<Call>>,
    /// How many there are, for those who wait for it.
    count: watch::Sender<usize>,
    ticks: AtomicU64,
}

impl Default for History {
    fn default() -> Self {
        Self { calls: Mutex::default(), count: watch::Sender::new(0), ticks: AtomicU64::new(0) }
    }
}

impl History {
    /// A point on the time line, later than all before.
    pub(crate) fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    /// Keeps a call that ended.
    pub(crate) fn keep(&self, call: Call) {
        let mut calls = self.calls.lock().expect("nobody panicked");
        calls.push(call);
        self.count.send_replace(calls.len());
    }

    /// Waits until so many calls have ended.
    pub(crate) async fn reached(&self, count: usize) {
        let mut counted = self.count.subscribe();
        counted.wait_for(|ended| *ended >= count).await.expect("the history is there");
    }

    /// All that ended.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("nobody panicked").clone()
    }
}
