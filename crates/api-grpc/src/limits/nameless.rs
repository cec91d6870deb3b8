//! Which denials of those whose name nobody vouches for have lines of their own in the log. Whoever can connect may be denied as
//! often as it likes, and its lines must neither fill the log nor hide what else stands in it (R47).

use super::rate::Bucket;
use crate::options::Rate;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Denials with lines of their own, of all the nameless together.
const LINES: Rate = Rate { per_second: 20, burst: 20 };
/// How often it is told how many had none.
const ROUND: Duration = Duration::from_mins(1);

/// What was told of those who showed no credentials, or none that are valid.
#[derive(Debug)]
pub(crate) struct Nameless(Mutex<Told>);

#[derive(Debug)]
struct Told {
    lines: Bucket,
    /// Denials without a line, since that was last told.
    untold: u64,
    round: Option<Duration>,
}

/// What to tell of one denial.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    is_own: bool,
    /// How many denials had no line, where that is to be told now; else 0.
    untold: u64,
}

impl Nameless {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Told { lines: Bucket::new(LINES), untold: 0, round: None }))
    }

    /// Whether a denial at this time, counted from any fixed start, is told in lines of its own. Where it is not, it is counted,
    /// and that is told at once when it begins, and once a minute while it goes on.
    pub(crate) fn has_line(&self, now: Duration) -> bool {
        let Line { is_own, untold } = self.denied(now);
        if untold > 0 {
            // Of no call: the one that comes now stands for many.
            tracing::warn!(parent: None, denials = untold, "callers without a name are denied more often than is told of each");
        }
        is_own
    }

    fn denied(&self, now: Duration) -> Line {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_own = told.lines.take(now).is_ok();
        told.untold += u64::from(!is_own);
        let is_due = told.untold > 0 && told.round.is_none_or(|last| now.saturating_sub(last) >= ROUND);
        if !is_due {
            return Line { is_own, untold: 0 };
        }
        told.round = Some(now);
        Line { is_own, untold: std::mem::take(&mut told.untold) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R47: a storm has its first lines, then 20 a second; the others are counted, which is told at once and each minute; and what
    /// was not told when it ended is told by the next one.
    #[test]
    fn a_storm_has_few_lines_and_is_counted() {
        let nameless = Nameless::new();
        let (own, none) = (Line { is_own: true, untold: 0 }, Line { is_own: false, untold: 0 });
        let at = Duration::from_secs;
        for _ in 0..20 {
            assert_eq!(nameless.denied(at(100)), own);
        }
        assert_eq!(nameless.denied(at(100)), Line { is_own: false, untold: 1 });
        for _ in 0..50 {
            assert_eq!(nameless.denied(at(100)), none);
        }
        assert_eq!((0..50).filter(|_| nameless.denied(at(101)) == own).count(), 20);
        assert_eq!(nameless.denied(at(159)), own);
        assert_eq!(nameless.denied(at(160)), Line { is_own: true, untold: 80 });
        assert_eq!(nameless.denied(at(500)), own);
    }
}
