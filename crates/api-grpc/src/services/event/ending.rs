//! How a page of the log ends: where the next page goes on, and from where on the log is followed. The two differ where
//! times are asked for: on its way to what is wanted a look goes past events of other times, which whoever follows
//! still wants, or never wanted.

use super::place::{self, LogPlace};
use countersign_application::EventPosition;
use countersign_domain::time::Timestamp;

/// Where a page ended, as the token of the next one says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// The next page begins behind it.
    pub(super) end: EventPosition,
    /// Following begins behind it; `None` where nothing was shown yet.
    follow: Option<EventPosition>,
}

impl Mark {
    /// As bytes: the end, and what to follow from where that is another place.
    pub(super) fn bytes(self) -> Vec<u8> {
        let follow = match self.follow {
            // As the version before wrote it.
            Some(follow) if follow == self.end => Vec::new(),
            Some(follow) => place::bytes(follow),
            None => vec![NOTHING_SHOWN],
        };
        [place::bytes(self.end), follow].concat()
    }

    /// The mark that [`Mark::bytes`] wrote.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (end, follow) = bytes.split_at_checked(place::LEN)?;
        let end = place::position(end)?;
        let follow = match follow {
            [] => Some(end),
            [NOTHING_SHOWN] => None,
            follow => Some(place::position(follow)?),
        };
        Some(Self { end, follow })
    }
}

const NOTHING_SHOWN: u8 = 0;

/// A page of the log, as far as it decides where reading goes on.
pub(super) struct Page {
    /// Only from this time on.
    pub(super) start_time: Option<Timestamp>,
    /// Only before this time.
    pub(super) end_time: Option<Timestamp>,
    /// Where the page before ended.
    pub(super) before: Option<Mark>,
    /// The last event that it shows.
    pub(super) shown: Option<EventPosition>,
    /// Whether more was found than it shows.
    pub(super) is_cut: bool,
    /// Where the look stopped on its way.
    pub(super) stopped_at: Option<EventPosition>,
}

/// Where reading goes on after a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ending {
    /// On the next page, where there is one.
    pub(super) next_page: Option<Mark>,
    /// In a watch.
    pub(super) resume: LogPlace,
}

impl Page {
    /// Where reading goes on.
    pub(super) fn ending(self) -> Ending {
        let stopped_at = self.stopped_at.filter(|_| !self.is_cut);
        let end = stopped_at.or(self.shown).or(self.before.map(|before| before.end));
        let is_by_time = self.start_time.is_some() || self.end_time.is_some();
        let follow =
            if is_by_time { self.shown.or(self.before.and_then(|before| before.follow)) } else { end };
        let has_next = self.is_cut || stopped_at.is_some();
        Ending {
            next_page: end.filter(|_| has_next).map(|end| Mark { end, follow }),
            // Where nothing was shown, following begins where the search did.
            resume: match (follow, self.start_time) {
                (Some(position), _) => LogPlace::After(position),
                (None, Some(time)) => LogPlace::Since(time),
                (None, None) => LogPlace::Oldest,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(transaction: u64) -> EventPosition {
        EventPosition { transaction, number: 1 }
    }

    fn mark(end: u64, follow: Option<u64>) -> Mark {
        Mark { end: at(end), follow: follow.map(at) }
    }

    /// R55: whoever follows after a page, or after the last of many, misses nothing from the times that were asked for on,
    /// and is shown nothing from before them.
    #[test]
    fn following_goes_on_behind_what_was_shown() {
        const START: Timestamp = Timestamp::from_unix_micros(5);
        let check = |times: (bool, bool), before: Option<Mark>, found: (Option<u64>, bool, Option<u64>)| {
            let start_time = times.0.then_some(START);
            let end_time = times.1.then_some(Timestamp::from_unix_micros(9));
            let (shown, is_cut, stopped_at) = (found.0.map(at), found.1, found.2.map(at));
            let ending = Page { start_time, end_time, before, shown, is_cut, stopped_at }.ending();
            (ending.next_page, ending.resume)
        };
        let (oldest, start) = (LogPlace::Oldest, LogPlace::Since(START));
        let after = |position| LogPlace::After(at(position));
        let all = (false, false);
        let [from, until, within] = [(true, false), (false, true), (true, true)];
        for (times, before, found, expected) in [
            // Without times all that was looked at is behind.
            (all, None, (None, false, None), (None, oldest)),
            (all, None, (Some(3), false, None), (None, after(3))),
            (all, None, (Some(3), true, None), (Some(mark(3, Some(3))), after(3))),
            (all, None, (Some(3), true, Some(4)), (Some(mark(3, Some(3))), after(3))),
            (all, None, (None, false, Some(4)), (Some(mark(4, Some(4))), after(4))),
            (all, Some(mark(4, Some(4))), (None, false, None), (None, after(4))),
            // From a time on: what was passed on the way to it is never shown.
            (from, None, (None, false, Some(4)), (Some(mark(4, None)), start)),
            (from, Some(mark(4, None)), (None, false, None), (None, start)),
            (from, Some(mark(4, None)), (Some(6), false, None), (None, after(6))),
            (from, Some(mark(6, Some(6))), (None, false, Some(9)), (Some(mark(9, Some(6))), after(6))),
            // Until a time: what was passed behind it is still to come.
            (until, None, (None, false, Some(4)), (Some(mark(4, None)), oldest)),
            (until, None, (Some(3), false, Some(4)), (Some(mark(4, Some(3))), after(3))),
            (until, Some(mark(4, Some(3))), (None, false, Some(6)), (Some(mark(6, Some(3))), after(3))),
            (until, Some(mark(6, Some(3))), (None, false, None), (None, after(3))),
            (until, Some(mark(6, None)), (None, false, None), (None, oldest)),
            (within, Some(mark(6, None)), (None, false, None), (None, start)),
            (within, Some(mark(6, Some(3))), (None, false, None), (None, after(3))),
        ] {
            assert_eq!(check(times, before, found), expected, "{times:?} {before:?} {found:?}");
        }
    }

    /// A mark reads back, and one of the version before, which knew of one place, stands for that place.
    #[test]
    fn marks_read_back() {
        for mark in [mark(7, None), mark(7, Some(7)), mark(7, Some(3))] {
            assert_eq!(Mark::read(&mark.bytes()), Some(mark));
        }
        assert_eq!(Mark::read(&place::bytes(at(7))), Some(mark(7, Some(7))));
        for bad in [&[][..], &[0; 15], &[1; 17], &[0; 18], &[0; 33]] {
            assert_eq!(Mark::read(bad), None, "{bad:?}");
        }
    }
}
