//! The adapters that have no crate of their own: the system's clock and randomness, and a notifier that only logs.

mod clock;
mod log_notifier;
mod random;

pub(crate) use clock::SystemClock;
pub(crate) use log_notifier::LogNotifier;
pub(crate) use random::OsRandom;
