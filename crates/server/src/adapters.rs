//! The adapters that have no crate of their own: the system's clock and randomness.

mod clock;
mod random;

pub(crate) use clock::{GuardedClock, SystemClock};
pub(crate) use random::OsRandom;
