//! Points in time and spans, on their way out.

use countersign_domain::time::Timestamp;
use std::time::Duration;

/// A point in time as the wire has it.
pub(crate) fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    let micros = time.unix_micros().rem_euclid(1_000_000);
    // Less than a million microseconds always fit.
    let nanos = i32::try_from(micros * 1_000).unwrap_or(0);
    prost_types::Timestamp { seconds: time.unix_seconds(), nanos }
}

/// A span as the wire has it, rounded up to a whole second: who waits that long has waited long enough.
pub(crate) fn whole_seconds(span: Duration) -> prost_types::Duration {
    let seconds = span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0));
    prost_types::Duration { seconds: i64::try_from(seconds).unwrap_or(i64::MAX), nanos: 0 }
}

/// A count as the wire has it; every list of the domain is bounded far below.
pub(crate) fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times before 1970 keep their nanoseconds positive, as `Timestamp` wants it.
    #[test]
    fn nanoseconds_are_never_negative() {
        let before = timestamp(Timestamp::from_unix_micros(-1));
        assert_eq!((before.seconds, before.nanos), (-1, 999_999_000));
    }

    /// A wait is never told shorter than it is.
    #[test]
    fn waits_are_rounded_up() {
        assert_eq!(whole_seconds(Duration::from_millis(29_001)).seconds, 30);
        assert_eq!(whole_seconds(Duration::from_secs(30)).seconds, 30);
    }
}
