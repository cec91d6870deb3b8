//! The clock of the system: the one place where the program reads the time of day.

use countersign_domain::time::Timestamp;
use countersign_ports::Clock;
use std::time::{SystemTime, UNIX_EPOCH};

/// The system's time of day in UTC, which the operator keeps right (NTP).
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the adapter behind ports::Clock")]
    fn now(&self) -> Timestamp {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            // A clock before 1970 is wrong, and every code will be refused; no reason to fall over.
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
        };
        Timestamp::from_unix_micros(micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R7: time is that of the server, in microseconds since 1970.
    #[test]
    fn the_clock_tells_the_time_of_the_system() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("now");
        std::fs::write(&file, "").unwrap();
        let written = std::fs::metadata(&file).unwrap().modified().unwrap();
        let written = written.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let told = u64::try_from(SystemClock.now().unix_seconds()).unwrap();
        assert!(told.abs_diff(written) <= 60, "{told} {written}");
    }
}
