//! Whether a node's clock may be relied on (R65): decided from what three clocks show. Reading them is the adapters'.
//!
//! A clock that jumped ahead would consume steps that have not come, and lock their owners out until they have; one that
//! jumped back would take codes that have expired. So nothing is changed while the clocks disagree.

use crate::time::Timestamp;
use std::time::Duration;

/// How far clocks may be apart.
pub const TOLERANCE: Duration = Duration::from_secs(2);

/// What a node's time of day and its monotonic clock showed at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The time of day.
    pub time: Timestamp,
    /// The monotonic clock, from any beginning.
    pub monotonic: Duration,
}

/// What is thought of a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// All clocks agree.
    Trusted,
    /// The time of day moved otherwise than time passed.
    Jumped,
    /// The database's clock shows another time.
    Apart,
}

/// Whether the time of day moved as time passed, from one reading to a later one.
pub fn since(earlier: Reading, now: Reading) -> Trust {
    let passed = now.monotonic.saturating_sub(earlier.monotonic);
    within(earlier.time.plus(passed), now.time, now.time, Trust::Jumped)
}

/// Whether the database's clock, asked at `asked` and answering at `answered`, shows a time between them. Where the time of
/// day jumped meanwhile, being between them says nothing.
pub fn against(database: Timestamp, asked: Reading, answered: Reading) -> Trust {
    match since(asked, answered) {
        Trust::Trusted => within(database, asked.time, answered.time, Trust::Apart),
        jumped => jumped,
    }
}

fn within(time: Timestamp, first: Timestamp, last: Timestamp, otherwise: Trust) -> Trust {
    if time >= first.minus(TOLERANCE) && time <= last.plus(TOLERANCE) { Trust::Trusted } else { otherwise }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    /// R65: a time of day that moves as time passes is trusted, and one that jumps by more than 2 s is not, either way.
    #[test]
    fn a_clock_that_jumps_is_not_trusted() {
        let earlier = Reading { time: at(1_000), monotonic: Duration::from_secs(7) };
        for (shown, trust) in [
            (1_010, Trust::Trusted),
            (1_012, Trust::Trusted),
            (1_008, Trust::Trusted),
            (1_013, Trust::Jumped),
            (1_007, Trust::Jumped),
            (90_000, Trust::Jumped),
            (-5, Trust::Jumped),
        ] {
            let now = Reading { time: at(shown), monotonic: Duration::from_secs(17) };
            assert_eq!(since(earlier, now), trust, "{shown}");
        }
    }

    /// R65: the database's clock may differ by 2 s, and by what its answer took.
    #[test]
    fn a_clock_apart_from_the_databases_is_not_trusted() {
        for (database, trust) in [
            (998, Trust::Trusted),
            (1_004, Trust::Trusted),
            (1_006, Trust::Trusted),
            (997, Trust::Apart),
            (1_007, Trust::Apart),
        ] {
            let asked = Reading { time: at(1_000), monotonic: Duration::from_secs(50) };
            let answered = Reading { time: at(1_004), monotonic: Duration::from_secs(54) };
            assert_eq!(against(at(database), asked, answered), trust, "{database}");
        }
    }

    /// R65: a clock that jumps while the database is asked is not trusted, whatever time the database shows between what it
    /// showed before and after.
    #[test]
    fn a_jump_during_the_question_is_no_answer() {
        let asked = Reading { time: at(1_000), monotonic: Duration::from_secs(50) };
        for shown in [3_000, 1_004, 10] {
            let answered = Reading { time: at(shown), monotonic: Duration::from_secs(51) };
            for database in [1_000, 1_001, shown] {
                assert_eq!(against(at(database), asked, answered), Trust::Jumped, "{shown} {database}");
            }
        }
    }
}
