//! Which text messages this node has handed to a gateway. A repeat of a request hands its message over again only where nobody
//! knows whether it was taken, and not without end: else whoever repeats a request sends messages that no limit counts (R71).
//! For the same reason a node hands over nothing that it does not know to be counted.

use countersign_domain::ids::SendId;
use countersign_domain::time::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often one message is handed over at most, by this node.
const TRIES: u32 = 5;
/// A message is remembered for longer than its request is repeated.
const REMEMBERED: Duration = Duration::from_mins(15);
/// Messages remembered at most: those of 72 a second. The limits of a day are each tenant's and may be higher, so that whoever
/// comes beyond it is refused and an alarm says so.
const MOST: usize = 65_536;
/// Messages looked at for each that comes, the oldest first: more than come, so that none stays for long.
const FORGOTTEN_AT_ONCE: usize = 4;
/// That there are too many is told once in this time.
const TOLD_ONCE_IN: Duration = Duration::from_mins(1);

/// The messages of the last minutes.
#[derive(Debug, Default)]
pub(crate) struct Handed(Mutex<Messages>);

#[derive(Debug, Default)]
struct Messages {
    known: HashMap<SendId, Message>,
    /// All of them, in the order in which they came.
    order: VecDeque<(Timestamp, SendId)>,
    /// When it was last told that there are too many.
    told: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Message {
    taken: bool,
    tries: u32,
    /// Whether it is among those that limits count, as far as this node knows.
    counted: bool,
}

/// What is to be done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is to be handed over, and counts as taken until [`Handed::failed`]; whether it is counted, or has to be before.
    HandOver { counted: bool },
    /// It was taken, or is being handed over.
    Taken,
    /// It failed too often.
    GiveUp,
    /// Nothing can be remembered of it, so that it is not handed over; whether it is time to tell of that.
    TooMany(bool),
}

impl Handed {
    /// What is to be done with the message at `now`; whether it was counted just now.
    pub(crate) fn next(&self, id: SendId, now: Timestamp, counted: bool) -> Next {
        let mut messages = self.messages();
        messages.forget(now);
        if !messages.known.contains_key(&id) {
            if messages.known.len() >= MOST {
                return Next::TooMany(messages.is_to_be_told(now));
            }
            messages.order.push_back((now, id));
        }
        let message = messages.known.entry(id).or_default();
        if message.taken {
            return Next::Taken;
        }
        if message.tries >= TRIES {
            return Next::GiveUp;
        }
        (message.taken, message.tries) = (true, message.tries + 1);
        message.counted |= counted;
        Next::HandOver { counted: message.counted }
    }

    /// Whether this node tried to hand it over, and does not know it to be taken.
    pub(crate) fn is_not_taken(&self, id: SendId) -> bool {
        self.messages().known.get(&id).is_some_and(|message| !message.taken)
    }

    /// It is counted, or not any more.
    pub(crate) fn count(&self, id: SendId, counted: bool) {
        if let Some(message) = self.messages().known.get_mut(&id) {
            message.counted = counted;
        }
    }

    /// It is not known to be taken after all.
    pub(crate) fn failed(&self, id: SendId) {
        if let Some(message) = self.messages().known.get_mut(&id) {
            message.taken = false;
        }
    }

    /// Holds a message that is being handed over.
    pub(crate) const fn handing_over(&self, id: SendId) -> HandingOver<'_> {
        HandingOver { handed: self, id, taken: false }
    }

    fn messages(&self) -> MutexGuard<'_, Messages> {
        // Nothing panics while it holds the lock but an allocation that fails, which ends the process.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Messages {
    /// Forgets some of those that no request repeats any more, and those of a clock that was far ahead.
    fn forget(&mut self, now: Timestamp) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            match self.order.front() {
                Some((since, id)) if apart(*since, now) >= REMEMBERED => self.known.remove(id),
                _ => return,
            };
            self.order.pop_front();
        }
    }

    /// Whether it is time to tell that there are too many; it then counts as told.
    fn is_to_be_told(&mut self, now: Timestamp) -> bool {
        let due = self.told.is_none_or(|told| apart(told, now) >= TOLD_ONCE_IN);
        if due {
            self.told = Some(now);
        }
        due
    }
}

/// The time between two times, whichever is the later one.
fn apart(one: Timestamp, other: Timestamp) -> Duration {
    one.since(other).max(other.since(one))
}

/// A message on its way to the gateway. Unless the gateway took it, nobody knows whether it did: also where the call ended
/// in a panic or was given up.
#[derive(Debug)]
pub(crate) struct HandingOver<'a> {
    handed: &'a Handed,
    id: SendId,
    taken: bool,
}

impl HandingOver<'_> {
    /// The gateway took it.
    pub(crate) fn taken(mut self) {
        self.taken = true;
    }
}

impl Drop for HandingOver<'_> {
    fn drop(&mut self) {
        if !self.taken {
            self.handed.failed(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const COUNTED: Next = Next::HandOver { counted: true };

    /// R71: what this node does not know to be counted is said to be, be it of another node, refused when there were too many, or
    /// given back.
    #[test]
    fn what_is_not_counted_is_told() {
        let (handed, now) = (Handed::default(), Timestamp::from_unix_seconds(1_000));
        let id = SendId::from_uuid(Uuid::from_u128(1));
        // Counted by the first try, still by the second, given back by the third.
        for (counted, after) in [(false, true), (true, true), (true, false), (false, false)] {
            assert_eq!(handed.next(id, now, false), Next::HandOver { counted });
            handed.count(id, after);
            handed.failed(id);
        }
        let counted = SendId::from_uuid(Uuid::from_u128(2));
        for first in [true, false] {
            assert_eq!(handed.next(counted, now, first), COUNTED);
            handed.failed(counted);
        }
    }

    /// R71: a message is handed over until it is taken, five times at most; others have tries of their own.
    #[test]
    fn a_message_is_handed_over_until_it_is_taken() {
        let (handed, now) = (Handed::default(), Timestamp::from_unix_seconds(1_000));
        let [one, other] = [1, 2].map(|id| SendId::from_uuid(Uuid::from_u128(id)));
        for _ in 0..TRIES {
            assert_eq!(handed.next(one, now, true), COUNTED);
            assert_eq!(handed.next(one, now, true), Next::Taken, "while it is being handed over");
            handed.failed(one);
        }
        assert_eq!(handed.next(one, now, true), Next::GiveUp);
        assert_eq!(handed.next(other, now, true), COUNTED);
    }

    /// R60: a message is not known to be taken where the call of the gateway panicked, and is where the gateway took it.
    #[test]
    fn a_panic_leaves_open_whether_a_message_was_taken() {
        let (handed, now) = (Handed::default(), Timestamp::from_unix_seconds(1_000));
        let id = SendId::from_uuid(Uuid::from_u128(1));
        assert_eq!(handed.next(id, now, true), COUNTED);
        let panicked = std::panic::catch_unwind(|| {
            let _handing = handed.handing_over(id);
            std::panic::resume_unwind(Box::new("the gateway"));
        });
        assert!(panicked.is_err());
        assert_eq!(handed.next(id, now, true), COUNTED);
        handed.handing_over(id).taken();
        assert_eq!(handed.next(id, now, true), Next::Taken);
    }

    /// R49: what is remembered has an end, which is told once a minute, and is forgotten when no request can repeat it. What
    /// is known is known also then.
    #[test]
    fn what_is_remembered_is_bounded() {
        let (handed, now) = (Handed::default(), Timestamp::from_unix_seconds(1_000));
        let id = |number: usize| SendId::from_uuid(Uuid::from_u128(number as u128));
        for number in 0..MOST {
            assert_eq!(handed.next(id(number), now, true), COUNTED);
        }
        let at = |seconds| now.plus(Duration::from_secs(seconds));
        for (seconds, told) in [(0, true), (1, false), (59, false), (60, true), (119, false)] {
            assert_eq!(handed.next(id(MOST), at(seconds), true), Next::TooMany(told), "{seconds}");
        }
        assert_eq!(handed.next(id(7), at(119), false), Next::Taken);
        let later = now.plus(REMEMBERED);
        for number in MOST..2 * MOST {
            assert_eq!(handed.next(id(number), later, true), COUNTED);
        }
        assert_eq!(handed.messages().known.len(), MOST);
        assert_eq!(handed.messages().order.len(), MOST);
    }

    /// R65: a small step back of the clock forgets nothing; what a clock far ahead left does not stay.
    #[test]
    fn a_clock_that_goes_back_forgets_nothing_of_just_now() {
        let (handed, now) = (Handed::default(), Timestamp::from_unix_seconds(1_000));
        let [one, other] = [1, 2].map(|id| SendId::from_uuid(Uuid::from_u128(id)));
        assert_eq!(handed.next(one, now.plus(Duration::from_secs(5)), true), COUNTED);
        assert_eq!(handed.next(one, now, true), Next::Taken);
        let ahead = Handed::default();
        assert_eq!(ahead.next(one, now.plus(Duration::from_hours(24)), true), COUNTED);
        assert_eq!(ahead.next(other, now, true), COUNTED);
        assert_eq!(ahead.messages().known.len(), 1);
    }
}
