//! How many calls a second a caller may make: a token bucket for each, decided from its state and the time.

use crate::options::Rate;
use std::time::Duration;

/// What is left of a caller's rate. Times are counted from any fixed start.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    /// In the bucket at `at`, counted in calls.
    left: f64,
    at: Duration,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, left: f64::from(rate.burst), at: Duration::ZERO }
    }

    /// Takes one call out of it, or says how long it takes until there is one.
    pub(crate) fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let per_second = f64::from(self.rate.per_second);
        let filled = self.left + now.saturating_sub(self.at).as_secs_f64() * per_second;
        self.left = filled.min(f64::from(self.rate.burst));
        self.at = self.at.max(now);
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.left) / per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R66: after its burst a caller goes at its rate; a pause fills the bucket and no more; the answer says when.
    #[test]
    fn a_bucket_lets_through_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(Rate { per_second: 4, burst: 3 });
        let at = Duration::from_millis;
        for _ in 0..3 {
            assert_eq!(bucket.take(at(1_000)), Ok(()));
        }
        assert_eq!(bucket.take(at(1_000)), Err(at(250)));
        assert_eq!(bucket.take(at(1_125)), Err(at(125)));
        assert_eq!(bucket.take(at(1_250)), Ok(()));
        assert_eq!(bucket.take(at(1_250)), Err(at(250)));
        assert_eq!(bucket.take(at(900)), Err(at(250)), "time does not go back");
        let after_a_pause = (0..10).filter(|_| bucket.take(at(60_000)).is_ok()).count();
        assert_eq!(after_a_pause, 3);
    }
}
