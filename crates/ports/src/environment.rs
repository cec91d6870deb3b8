//! Time and randomness: the two ambient sources, behind traits so that tests own them.

use countersign_domain::time::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The current time of the server, in UTC. The only source of time for every decision (R7).
    fn now(&self) -> Timestamp;

    /// Whether it can be relied on just now (R65); nothing is changed while it cannot.
    fn is_trusted(&self) -> bool {
        true
    }

    /// The current time, if it can be relied on just now.
    fn trusted_now(&self) -> Option<Timestamp> {
        let now = self.now();
        // Asked after the time was read: a jump in between is seen.
        self.is_trusted().then_some(now)
    }
}

/// Draws randomness from the operating system (R19).
pub trait Random: Send + Sync {
    /// Fills `bytes` with cryptographically secure randomness.
    fn fill(&self, bytes: &mut [u8]);
}
