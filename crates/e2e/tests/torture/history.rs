//! What the clients saw: each call from its invocation to its reply, on one time line.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The login may go ahead, or the second factor is off. With the event that says so.
    Allowed { event: Option<u128> },
    /// The code was not accepted. With the event that says so.
    Refused { event: Option<u128> },
    /// Not evaluated: locked, or there is nothing to answer.
    NotEvaluated,
    /// Nobody knows: every try ended without an answer.
    Unknown,
}

/// A call with its place on the time line.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Whose: a number in the population, where users of the same id in two tenants are two.
    pub(crate) user: usize,
    /// The idempotency key, the same at every try.
    pub(crate) request: u128,
    pub(crate) action: Action,
    /// When it was first sent, and when its answer was read.
    pub(crate) invoked: Moment,
    pub(crate) returned: Moment,
    pub(crate) outcome: Outcome,
}

/// A point on the time line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Its place: later than all before.
    pub(crate) tick: u64,
    /// What the machine's clock showed, in microseconds since 1970.
    pub(crate) time: i64,
}

/// From when on a node believes in a time so far ahead of the machine's, because it was started with it and has nothing to
/// hold it against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Belief {
    /// Its place on the time line.
    pub(crate) tick: u64,
    /// In milliseconds.
    pub(crate) offset: i64,
}

/// All calls, and the time line. Its ticks order what clients saw; they measure nothing.
pub(crate) struct History {
    calls: Mutex<Vec<Call>>,
    /// How many there are, for those who wait for it.
    count: watch::Sender<usize>,
    ticks: AtomicU64,
    beliefs: Mutex<Vec<Belief>>,
    distrusted: AtomicUsize,
    /// Whether nobody serves, because the database's clock is far from the right time.
    lost: watch::Sender<bool>,
    distrusted_while_lost: AtomicUsize,
}

impl Default for History {
    fn default() -> Self {
        Self {
            calls: Mutex::default(),
            count: watch::Sender::new(0),
            ticks: AtomicU64::new(0),
            beliefs: Mutex::new(vec![Belief { tick: 0, offset: 0 }]),
            distrusted: AtomicUsize::new(0),
            lost: watch::Sender::new(false),
            distrusted_while_lost: AtomicUsize::new(0),
        }
    }
}

impl History {
    /// A point on the time line.
    pub(crate) fn now(&self) -> Moment {
        Moment { tick: self.tick(), time: unix_micros() }
    }

    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    /// Keeps a call that ended.
    pub(crate) fn keep(&self, call: Call) {
        let mut calls = self.calls.lock().expect("nobody panicked");
        calls.push(call);
        self.count.send_replace(calls.len());
    }

    /// No more will come: nobody has to wait for them.
    pub(crate) fn close(&self) {
        self.count.send_replace(usize::MAX);
    }

    /// How many ended.
    pub(crate) fn count(&self) -> usize {
        self.calls.lock().expect("nobody panicked").len()
    }

    /// Waits until so many calls have ended, or no more will come.
    pub(crate) async fn reached(&self, count: usize) {
        let mut counted = self.count.subscribe();
        counted.wait_for(|ended| *ended >= count).await.expect("the history is there");
    }

    /// All that ended.
    pub(crate) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().expect("nobody panicked"))
    }

    /// From now on a time so many milliseconds ahead is believed.
    pub(crate) fn believe(&self, offset: i64) {
        let mut beliefs = self.beliefs.lock().expect("nobody panicked");
        if beliefs.last().is_some_and(|last| last.offset != offset) {
            beliefs.push(Belief { tick: self.tick(), offset });
        }
    }

    /// By how many milliseconds the time is ahead that is believed.
    pub(crate) fn believed(&self) -> i64 {
        self.beliefs.lock().expect("nobody panicked").last().map_or(0, |last| last.offset)
    }

    /// All that was believed, one after the other.
    pub(crate) fn beliefs(&self) -> Vec<Belief> {
        self.beliefs.lock().expect("nobody panicked").clone()
    }

    /// A node refused because of its clock, or of the database's.
    pub(crate) fn distrust(&self) {
        let lost = *self.lost.borrow();
        let count = if lost { &self.distrusted_while_lost } else { &self.distrusted };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// From now on the database's clock is far from the right time, or no longer and every node serves again.
    pub(crate) fn lose_time(&self, lost: bool) {
        self.lost.send_replace(lost);
    }

    /// Waits until it is known what time it is: where all nodes refuse, trying again helps nobody.
    pub(crate) async fn time_is_known(&self) {
        self.lost.subscribe().wait_for(|lost| !lost).await.expect("the history is there");
    }

    /// How often nodes did because of their own.
    pub(crate) fn distrusted(&self) -> usize {
        self.distrusted.load(Ordering::Relaxed)
    }

    /// How often nodes did because of the database's.
    pub(crate) fn distrusted_while_lost(&self) -> usize {
        self.distrusted_while_lost.load(Ordering::Relaxed)
    }
}

#[expect(clippy::disallowed_methods, reason = "what nodes decide by is held against the machine's clock")]
fn unix_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    since.as_micros().try_into().expect("a time of this age")
}
