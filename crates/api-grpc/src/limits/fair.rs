//! Whose call is next: a bounded number at work, and a bounded share of them for each tenant beside others (R66).
//!
//! The decision is a plain value that is told the time and has no async; [`Places`] below lets calls wait for it. A place
//! goes to whoever has the fewest, so that a tenant with a thousand calls waiting and a tenant with ten have as many at
//! work. What is at work is one batch after another at the store, and a login waits for those of the others that are in it:
//! so a tenant's share is small while another tenant is there, and all there is when it is alone.

use crate::metrics;
use countersign_domain::ids::{CallerId, TenantId};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

/// How long a tenant counts as there after its latest call. One that logs somebody in every few seconds is protected from
/// the storm of another one before its call comes: what is at work then is not taken back.
const PRESENT: Duration = Duration::from_secs(10);

/// Who shares the places.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Party {
    /// A tenant.
    Tenant(TenantId),
    /// A caller, where no tenant of its own is known.
    Caller(CallerId),
}

/// The bounds. How many there are of all parties together is bounded before they come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Calls at work.
    pub(crate) at_work: usize,
    /// Calls at work of one party while several tenants are there.
    pub(crate) share: usize,
    /// Calls at work or waiting of one party.
    pub(crate) of_one: usize,
}

/// What stands for a waiting call.
trait Waiter {
    /// Whether nobody waits any more: the caller left, or gave up.
    fn is_gone(&self) -> bool;
}

/// Who is at work and who waits. `T` stands for a waiting call.
#[derive(Debug)]
struct Turns<T> {
    bounds: Bounds,
    at_work: usize,
    parties: HashMap<Party, Calls<T>>,
    /// Parties with waiting calls: how many each has at work, and since when it waits. The first one is next.
    next: BTreeSet<(usize, u64, Party)>,
    /// Counts the turns.
    turn: u64,
    /// The tenants whose calls came last, and when: the latest one, and the latest of the others.
    latest: Option<(TenantId, Instant)>,
    other: Option<(TenantId, Instant)>,
}

#[derive(Debug)]
struct Calls<T> {
    at_work: usize,
    waiting: VecDeque<T>,
    /// The turn from which on it waits for the next one.
    since: u64,
}

impl<T> Default for Calls<T> {
    fn default() -> Self {
        Self { at_work: 0, waiting: VecDeque::new(), since: 0 }
    }
}

/// What becomes of a call that arrives.
#[derive(Debug, PartialEq, Eq)]
enum Arrival {
    Works,
    Waits,
    TurnedAway,
}

impl<T: Waiter> Turns<T> {
    fn new(bounds: Bounds) -> Self {
        let (parties, next) = (HashMap::new(), BTreeSet::new());
        Self { bounds, at_work: 0, parties, next, turn: 0, latest: None, other: None }
    }

    /// A call of that party arrives; `waiting` stands for it where it has to wait.
    fn arrive(&mut self, party: &Party, now: Instant, waiting: impl FnOnce() -> T) -> Arrival {
        self.meet(party, now);
        let (share, has_room) = (self.share(now), self.at_work < self.bounds.at_work);
        let calls = match self.parties.get_mut(party) {
            Some(calls) => calls,
            None => self.parties.entry(party.clone()).or_default(),
        };
        if calls.at_work + calls.waiting.len() >= self.bounds.of_one {
            // Who gave up takes nobody's room. All wait equally long at most: who is gone behind others is soon the first.
            while calls.waiting.front().is_some_and(Waiter::is_gone) {
                calls.waiting.pop_front();
            }
            if calls.waiting.is_empty() {
                self.next.remove(&(calls.at_work, calls.since, party.clone()));
            }
            if calls.at_work + calls.waiting.len() >= self.bounds.of_one {
                return Arrival::TurnedAway;
            }
        }
        if has_room && calls.at_work < share && calls.waiting.is_empty() {
            calls.at_work += 1;
            self.at_work += 1;
            return Arrival::Works;
        }
        calls.waiting.push_back(waiting());
        if calls.waiting.len() == 1 {
            self.turn += 1;
            calls.since = self.turn;
            self.next.insert((calls.at_work, calls.since, party.clone()));
        }
        Arrival::Waits
    }

    /// A call of that party that was at work is over.
    fn leave(&mut self, party: &Party) {
        let Some(calls) = self.parties.get_mut(party) else { return };
        self.at_work -= 1;
        calls.at_work -= 1;
        if !calls.waiting.is_empty() {
            self.next.remove(&(calls.at_work + 1, calls.since, party.clone()));
            self.next.insert((calls.at_work, calls.since, party.clone()));
        } else if calls.at_work == 0 {
            self.parties.remove(party);
        }
    }

    /// Whether a call waits.
    fn is_waited_for(&self) -> bool {
        !self.next.is_empty()
    }

    /// The next call to work, if one waits and there is room for it: of the party with the fewest at work, and among
    /// those of the one that waits for its turn longest.
    fn next(&mut self, now: Instant) -> Option<(Party, T)> {
        let (at_work, ..) = self.next.first()?;
        if self.at_work >= self.bounds.at_work || *at_work >= self.share(now) {
            return None;
        }
        let (_, _, party) = self.next.pop_first()?;
        let calls = self.parties.get_mut(&party)?;
        let call = calls.waiting.pop_front()?;
        self.at_work += 1;
        calls.at_work += 1;
        if !calls.waiting.is_empty() {
            self.turn += 1;
            calls.since = self.turn;
            self.next.insert((calls.at_work, calls.since, party.clone()));
        }
        Some((party, call))
    }

    /// How many calls at work one party may have.
    fn share(&self, now: Instant) -> usize {
        let beside = self.other.as_ref().is_some_and(|(_, seen)| now.duration_since(*seen) < PRESENT);
        if beside { self.bounds.share.min(self.bounds.at_work) } else { self.bounds.at_work }
    }

    /// Remembers that the tenant was there. Calls without one are few, and no reason to hold a tenant back.
    fn meet(&mut self, party: &Party, now: Instant) {
        let Party::Tenant(tenant) = party else { return };
        if self.latest.as_ref().is_none_or(|(latest, _)| latest != tenant) {
            std::mem::swap(&mut self.latest, &mut self.other);
        }
        match &mut self.latest {
            Some((latest, seen)) if latest == tenant => *seen = now,
            latest => *latest = Some((tenant.clone(), now)),
        }
    }
}

type Waiting = oneshot::Sender<Place>;

impl Waiter for Waiting {
    fn is_gone(&self) -> bool {
        self.is_closed()
    }
}

/// The places of a service. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Mutex<Turns<Waiting>>>);

/// A place at work; it goes to the next one when it is dropped. `None` inside where it was given back already.
#[derive(Debug)]
pub(crate) struct Place(Option<(Places, Party)>);

/// There is no room, neither at work nor in the queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Places {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Mutex::new(Turns::new(bounds))))
    }

    /// A place, at once or when it is this party's turn, which may take as long as told.
    pub(crate) async fn take(&self, party: Party, max_wait: Duration) -> Result<Place, Full> {
        // Most calls find room: what waiting takes is made for those that do not.
        let mut place = None;
        let arrival = self.turns().arrive(&party, Instant::now(), || {
            let (sender, receiver) = oneshot::channel();
            place = Some(receiver);
            sender
        });
        match (arrival, place) {
            (Arrival::Works, _) => Ok(Place(Some((self.clone(), party)))),
            (Arrival::Waits, Some(place)) => {
                let _waiting = metrics::Waiting::begin();
                // Time may have made room that nobody left.
                self.hand_on();
                // A sender that was dropped is one that nobody will use.
                timeout(max_wait, place).await.map_err(|_| Full)?.map_err(|_| Full)
            }
            (Arrival::Waits | Arrival::TurnedAway, _) => Err(Full),
        }
    }

    /// Calls that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.turns().parties.values().map(|calls| calls.waiting.len()).sum()
    }

    /// Gives the room there is to those whose turn it is.
    fn hand_on(&self) {
        // The lock is not held while a place is handed on: whoever waited may be gone, and then it goes to the next.
        loop {
            let next = self.turns().next(Instant::now());
            let Some((party, waiting)) = next else { return };
            if let Err(mut gone) = waiting.send(Place(Some((self.clone(), party)))) {
                // Whoever waits for it is looked for in the next round.
                gone.give_back();
            }
        }
    }

    fn turns(&self) -> MutexGuard<'_, Turns<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Gives it back. The places, where somebody waits for one: then there is room to hand on.
    fn give_back(&mut self) -> Option<Places> {
        let (places, party) = self.0.take()?;
        let is_waited_for = {
            let mut turns = places.turns();
            turns.leave(&party);
            turns.is_waited_for()
        };
        is_waited_for.then_some(places)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(places) = self.give_back() {
            places.hand_on();
        }
    }
}

#[cfg(test)]
mod tests;
