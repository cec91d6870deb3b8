//! Which text messages this node has handed to a gateway. A repeat of a request hands its message over again only where nobody
//! knows whether it was taken, and not without end: else whoever repeats a request sends messages that no limit counts (R71).

use countersign_domain::ids::SendId;
use countersign_domain::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often one message is handed over at most, by this node.
const TRIES: u32 = 5;
/// A message is remembered for longer than its request is repeated.
const REMEMBERED: Duration = Duration::from_mins(15);
/// Messages remembered at most; the limits of a day and of a tenant end far below it.
const MOST: usize = 65_536;

/// The messages of the last minutes.
#[derive(Debug, Default)]
pub(crate) struct Handed(Mutex<HashMap<SendId, Message>>);

#[derive(Debug, Clone, Copy)]
struct Message {
    taken: bool,
    tries: u32,
    since: Timestamp,
}

/// What is to be done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is to be handed over, and counts as taken until [`Handed::failed`].
    HandOver,
    /// It was taken, or is being handed over.
    Taken,
    /// It failed too often.
    GiveUp,
}

impl Handed {
    /// What is to be done with the message at `now`.
    pub(crate) fn next(&self, id: SendId, now: Timestamp) -> Next {
        let mut messages = self.messages();
        if messages.len() >= MOST {
            messages.retain(|_, message| message.since <= now && now.since(message.since) < REMEMBERED);
            if messages.len() >= MOST {
                return Next::GiveUp;
            }
        }
        let message = messages.entry(id).or_insert(Message { taken: false, tries: 0, since: now });
        if message.taken {
            return Next::Taken;
        }
        if message.tries >= TRIES {
            return Next::GiveUp;
        }
        (message.taken, message.tries) = (true, message.tries + 1);
        Next::HandOver
    }

    /// It is not known to be taken after all.
    pub(crate) fn failed(&self, id: SendId) {
        if let Some(message) = self.messages().get_mut(&id) {
            message.taken = false;
        }
    }

    fn messages(&self) -> MutexGuard<'_, HashMap<SendId, Message>> {
        // Nothing panics while it holds the lock but an allocation that fails, which ends the process.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    /// R71: a message is handed over until it is taken, five times at most; others have tries of their own.
    #[test]
    fn a_message_is_handed_over_until_it_is_taken() {
        let (handed, now) = (Handed::default(), Timestamp::from_unix_seconds(1_000));
        let [one, other] = [1, 2].map(|id| SendId::from_uuid(Uuid::from_u128(id)));
        for _ in 0..TRIES {
            assert_eq!(handed.next(one, now), Next::HandOver);
            assert_eq!(handed.next(one, now), Next::Taken, "while it is being handed over");
            handed.failed(one);
        }
        assert_eq!(handed.next(one, now), Next::GiveUp);
        assert_eq!(handed.next(other, now), Next::HandOver);
    }

    /// R49: what is remembered has an end, and is forgotten when no request can repeat it.
    #[test]
    fn what_is_remembered_is_bounded() {
        let (handed, now) = (Handed::default(), Timestamp::from_unix_seconds(1_000));
        let id = |number: usize| SendId::from_uuid(Uuid::from_u128(number as u128));
        for number in 0..MOST {
            assert_eq!(handed.next(id(number), now), Next::HandOver);
        }
        assert_eq!(handed.next(id(MOST), now), Next::GiveUp);
        assert_eq!(handed.next(id(MOST), now.plus(REMEMBERED)), Next::HandOver);
        assert_eq!(handed.messages().len(), 1);
    }
}
