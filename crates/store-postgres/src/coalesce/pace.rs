//! How long to gather before a batch goes, from what the last one showed. Decides and remembers; waits for nothing.
//!
//! A flush to the disk costs the same for one change and for hundreds. Where it is quick, waiting costs more than it
//! saves, and a batch goes as soon as the queue stops growing. Where it is slow, one who just missed a batch waits for
//! two flushes: so a batch waits for as many as were answered last, because they are about to come back, but only for a
//! part of the time that the flush takes.

use std::time::Duration;

/// What the last batches showed.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// How many were answered by the last batch.
    last_size: usize,
    /// What a batch takes beside the work on its jobs, as an average over the last ones.
    fixed: Duration,
}

impl Pace {
    /// Turns given to other tasks without anybody queueing anything, after which the queue is taken to be quiet.
    pub(crate) const QUIET_TURNS: u32 = 2;

    /// What the work on one job takes at least: so much of a batch's time is no flush.
    const PER_JOB: Duration = Duration::from_micros(30);

    /// A flush that is quicker than this is not waited for: timers are no finer.
    const SLOW: Duration = Duration::from_millis(2);

    /// A batch of `size` took this long.
    pub(crate) fn finished(&mut self, size: usize, took: Duration) {
        let work = Self::PER_JOB.saturating_mul(u32::try_from(size).unwrap_or(u32::MAX));
        self.last_size = size;
        self.fixed = (self.fixed * 3 + took.saturating_sub(work)) / 4;
    }

    /// For how many to wait, and how long at most; `None` where the batch goes at once.
    pub(crate) fn linger(&self) -> Option<(usize, Duration)> {
        (self.last_size > 1 && self.fixed >= Self::SLOW).then(|| (self.last_size, self.fixed / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(batches: &[(usize, u64)]) -> Option<(usize, Duration)> {
        let mut pace = Pace::default();
        for (size, millis) in batches {
            pace.finished(*size, Duration::from_millis(*millis));
        }
        pace.linger()
    }

    /// A first batch, and one after lone ones, goes at once: nobody waits on an idle store, however slow its disk.
    #[test]
    fn idle_waits_for_nobody() {
        assert_eq!(after(&[]), None);
        assert_eq!(after(&[(1, 20), (1, 20), (1, 20)]), None);
    }

    /// On a quick disk nobody waits, also where the work itself takes milliseconds.
    #[test]
    fn quick_disks_are_not_waited_for() {
        assert_eq!(after(&[(64, 1); 8]), None);
        assert_eq!(after(&[(256, 8); 8]), None);
    }

    /// On a slow disk a batch waits for those who were just answered, for a part of a flush.
    #[test]
    fn slow_disks_gather_those_who_come_back() {
        let (expected, linger) = after(&[(64, 6); 16]).unwrap();
        assert_eq!(expected, 64);
        assert!(linger >= Duration::from_micros(1_500) && linger <= Duration::from_millis(3), "{linger:?}");
    }

    /// The disk may change its speed: both are found out within a few batches.
    #[test]
    fn the_pace_follows_the_disk() {
        let slow_then_quick = [[(64, 12); 8], [(64, 1); 8]].concat();
        assert_eq!(after(&slow_then_quick), None);
        let quick_then_slow = [[(64, 1); 8], [(64, 12); 8]].concat();
        assert!(after(&quick_then_slow).is_some());
    }
}
