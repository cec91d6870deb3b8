//! Points in time, to the microsecond: exactly what the stores keep, so that a loaded state equals the committed one.
//!
//! There is no way to read a clock here: time is an argument of every decision.

use std::time::Duration;

/// A point in time in microseconds since 1970-01-01T00:00:00Z, without leap seconds. Negative before 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The point `micros` microseconds after the Unix epoch.
    pub const fn from_unix_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The point `seconds` seconds after the Unix epoch; saturates about 292,000 years away.
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn unix_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down: the `T` of RFC 6238 §4.2.
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The point `span` later; saturates.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros(span)))
    }

    /// The point `span` earlier; saturates.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(micros(span)))
    }

    /// The span from `earlier` to here, or zero where `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The step of RFC 6238 counts whole seconds, also before 1970 where division must round down.
    #[test]
    fn whole_seconds_round_down() {
        assert_eq!(Timestamp::from_unix_micros(1_999_999).unix_seconds(), 1);
        assert_eq!(Timestamp::from_unix_micros(-1).unix_seconds(), -1);
    }

    /// A clock that stepped back must not underflow a span.
    #[test]
    fn spans_never_go_negative() {
        let early = Timestamp::from_unix_seconds(10);
        let late = early.plus(Duration::from_secs(5));
        assert_eq!(late.since(early), Duration::from_secs(5));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(late.minus(Duration::from_secs(5)), early);
    }
}
