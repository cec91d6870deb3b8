//! A clock that stands still until a test turns it.

use countersign_domain::time::Timestamp;
use countersign_ports::Clock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

/// A clock for tests: shared by reference, set and advanced from anywhere.
#[derive(Debug)]
pub struct ManualClock(AtomicI64, AtomicBool);

impl ManualClock {
    /// A clock that shows `now`.
    pub const fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.unix_micros()), AtomicBool::new(true))
    }

    /// Shows `now` from here on, which may be earlier than before.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.unix_micros(), Ordering::SeqCst);
    }

    /// Lets `span` pass and gives the new time.
    pub fn advance(&self, span: Duration) -> Timestamp {
        let micros = i64::try_from(span.as_micros()).expect("a test advances by less than 292,000 years");
        Timestamp::from_unix_micros(self.0.fetch_add(micros, Ordering::SeqCst) + micros)
    }
}

impl ManualClock {
    /// Says from here on whether it can be relied on.
    pub fn trust(&self, trusted: bool) {
        self.1.store(trusted, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    /// Shows [`crate::fixtures::START`].
    fn default() -> Self {
        Self::at(crate::fixtures::START)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.load(Ordering::SeqCst))
    }

    fn is_trusted(&self) -> bool {
        self.1.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Time is the test's: it moves when told to, both ways, and not otherwise.
    #[test]
    fn the_clock_moves_only_when_told() {
        let clock = ManualClock::at(Timestamp::from_unix_seconds(100));
        assert_eq!(clock.now(), clock.now());
        assert_eq!(clock.advance(Duration::from_secs(30)), Timestamp::from_unix_seconds(130));
        clock.set(Timestamp::from_unix_seconds(5));
        assert_eq!(clock.now(), Timestamp::from_unix_seconds(5));
    }
}
