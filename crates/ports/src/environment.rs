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
}

/// Draws randomness from the operating system (R19).
pub trait Random: Send + Sync {
    /// Fills `bytes` with cryptographically secure randomness.
    fn fill(&self, bytes: &mut [u8]);
}
