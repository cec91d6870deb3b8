//! A look for events to which no index leads: how far one look goes.

use super::EventQuery;
use std::time::Duration;

/// A look that goes through the log a window at a time, and stops on its way where it finds little. A store asks for a window,
/// selects from it and tells what it found.
#[derive(Debug)]
pub struct Search {
    wanted: u32,
    windows: u32,
}

/// How a look goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next<Place> {
    /// With the window behind this place.
    Window(Place),
    /// Not: all that was wanted is found, or there is no more.
    Done,
    /// Not now: it went through enough, up to this place.
    Stopped(Place),
}

impl Search {
    /// Events of one look at most.
    pub const MOST: u32 = 1_000;

    /// Events of a window: those that one statement goes through, in some milliseconds.
    pub const WINDOW: u32 = 10_000;

    /// Windows of one look.
    const WINDOWS: u32 = 20;

    /// No further window after this, so that what was found is told before the caller has left.
    const LONG_ENOUGH: Duration = Duration::from_secs(1);

    /// A look for as many as the query wants, [`Search::MOST`] at most.
    pub fn of(query: &EventQuery) -> Self {
        Self { wanted: query.limit.min(Self::MOST), windows: Self::WINDOWS }
    }

    /// How many are still wanted.
    pub const fn wanted(&self) -> u32 {
        self.wanted
    }

    /// What follows a window in which so many were found. `end` is its last event, `None` where it was the last and no whole
    /// one; `elapsed` the time since the look began.
    pub fn found<Place>(&mut self, count: usize, end: Option<Place>, elapsed: Duration) -> Next<Place> {
        self.wanted = self.wanted.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
        self.windows = self.windows.saturating_sub(1);
        match end {
            Some(end) if self.wanted > 0 && (self.windows == 0 || elapsed > Self::LONG_ENOUGH) => {
                Next::Stopped(end)
            }
            Some(end) if self.wanted > 0 => Next::Window(end),
            _ => Next::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Next, Search};
    use crate::EventQuery;
    use countersign_domain::ids::TenantId;
    use std::time::Duration;

    fn search(limit: u32) -> Search {
        Search::of(&EventQuery {
            tenant: TenantId::parse("acme").unwrap(),
            user: None,
            kinds: Vec::new(),
            start_time: None,
            end_time: None,
            after: None,
            limit,
        })
    }

    /// R48: a look ends with what was wanted, with the log, after twenty windows, or after a second; and is not told to go on
    /// where it is done.
    #[test]
    fn a_look_has_an_end() {
        let (soon, late) = (Duration::from_secs(1), Duration::from_millis(1_001));
        let mut some = search(3);
        assert_eq!(some.found(2, Some(1), soon), Next::Window(1));
        assert_eq!(some.wanted(), 1);
        assert_eq!(some.found(1, Some(2), late), Next::Done);
        assert_eq!(search(3).found(0, None::<u8>, late), Next::Done);
        assert_eq!(search(3).found(2, Some(1), late), Next::Stopped(1));
        let mut rare = search(3);
        for window in 1..20 {
            assert_eq!(rare.found(0, Some(window), soon), Next::Window(window));
        }
        assert_eq!(rare.found(0, Some(20), soon), Next::Stopped(20));
        assert_eq!(search(5_000).wanted(), 1_000);
    }
}
