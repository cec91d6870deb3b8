//! Whose call is next: a bounded number at work, tenants served in turn, and a bounded share of the places for each (R66).
//!
//! The decision is a plain value without time and without async; [`Places`] below lets calls wait for it. A tenant with
//! a thousand calls waiting and a tenant with one get a place alternately, so that the one waits for one call of the
//! storm at most for each other tenant, and not for the storm.

use crate::metrics;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Who is served in turn: a tenant, or a caller where no tenant of its own is known.
pub(crate) type Party = String;

/// The bounds. How many there are of all parties together is bounded before they come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Calls at work.
    pub(crate) at_work: usize,
    /// Calls at work or waiting of one party.
    pub(crate) of_one: usize,
}

/// Who is at work and who waits. `T` stands for a waiting call.
#[derive(Debug)]
struct Turns<T> {
    bounds: Bounds,
    at_work: usize,
    parties: HashMap<Party, Calls<T>>,
    /// Parties with waiting calls, the next one first.
    next: VecDeque<Party>,
}

#[derive(Debug)]
struct Calls<T> {
    in_flight: usize,
    waiting: VecDeque<T>,
}

/// What becomes of a call that arrives.
#[derive(Debug, PartialEq, Eq)]
enum Arrival {
    Works,
    Waits,
    TurnedAway,
}

impl<T> Turns<T> {
    fn new(bounds: Bounds) -> Self {
        Self { bounds, at_work: 0, parties: HashMap::new(), next: VecDeque::new() }
    }

    /// A call of that party arrives; `waiting` stands for it where it has to wait.
    fn arrive(&mut self, party: &Party, waiting: impl FnOnce() -> T) -> Arrival {
        if self.parties.get(party).is_some_and(|calls| calls.in_flight >= self.bounds.of_one) {
            return Arrival::TurnedAway;
        }
        let calls = self.parties.entry(party.clone());
        let calls = calls.or_insert_with(|| Calls { in_flight: 0, waiting: VecDeque::new() });
        calls.in_flight += 1;
        if self.at_work < self.bounds.at_work {
            self.at_work += 1;
            return Arrival::Works;
        }
        if calls.waiting.is_empty() {
            self.next.push_back(party.clone());
        }
        calls.waiting.push_back(waiting());
        Arrival::Waits
    }

    /// A call of that party that was at work is over. The next one to work, if any waits.
    fn leave(&mut self, party: &Party) -> Option<(Party, T)> {
        self.at_work -= 1;
        if let Some(calls) = self.parties.get_mut(party) {
            calls.in_flight -= 1;
            if calls.in_flight == 0 {
                self.parties.remove(party);
            }
        }
        let next = self.next.pop_front()?;
        let calls = self.parties.get_mut(&next)?;
        let call = calls.waiting.pop_front()?;
        if !calls.waiting.is_empty() {
            self.next.push_back(next.clone());
        }
        self.at_work += 1;
        Some((next, call))
    }
}

type Waiting = oneshot::Sender<Place>;

/// The places of a service. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Mutex<Turns<Waiting>>>);

/// A place at work; it goes to the next one when it is dropped. `None` inside where it was handed on already.
#[derive(Debug)]
pub(crate) struct Place(Option<(Places, Party)>);

/// There is no room, neither at work nor in the queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Places {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Mutex::new(Turns::new(bounds))))
    }

    /// A place, at once or when it is this party's turn.
    pub(crate) async fn take(&self, party: Party) -> Result<Place, Full> {
        let (sender, receiver) = oneshot::channel();
        let arrival = self.turns().arrive(&party, || sender);
        match arrival {
            Arrival::Works => Ok(Place(Some((self.clone(), party)))),
            Arrival::Waits => {
                let _waiting = metrics::Waiting::begin();
                // A sender that was dropped is one that nobody will use.
                receiver.await.map_err(|_| Full)
            }
            Arrival::TurnedAway => Err(Full),
        }
    }

    /// Calls that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.turns().parties.values().map(|calls| calls.waiting.len()).sum()
    }

    fn turns(&self) -> MutexGuard<'_, Turns<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((places, mut party)) = self.0.take() else { return };
        // The lock is not held while a place is handed on: whoever waited may be gone, and then it goes to the next.
        loop {
            let next = places.turns().leave(&party);
            let Some((next, waiting)) = next else { return };
            let Err(mut back) = waiting.send(Self(Some((places.clone(), next)))) else { return };
            let Some((_, gone)) = back.0.take() else { return };
            party = gone;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics_exporter_prometheus::PrometheusBuilder;

    const BOUNDS: Bounds = Bounds { at_work: 2, of_one: 50 };

    fn turns(bounds: Bounds) -> Turns<&'static str> {
        Turns::new(bounds)
    }

    /// R66: parties with waiting calls are served in turn, whatever the number of their calls; one party's own calls keep
    /// their order.
    #[test]
    fn parties_are_served_in_turn() {
        let mut turns = turns(BOUNDS);
        let (storm, calm, third) = ("storm".to_owned(), "calm".to_owned(), "third".to_owned());
        assert_eq!(turns.arrive(&storm, || "-"), Arrival::Works);
        assert_eq!(turns.arrive(&storm, || "-"), Arrival::Works);
        for name in ["s1", "s2", "s3", "s4"] {
            assert_eq!(turns.arrive(&storm, || name), Arrival::Waits);
        }
        assert_eq!(turns.arrive(&calm, || "c1"), Arrival::Waits);
        assert_eq!(turns.arrive(&third, || "t1"), Arrival::Waits);
        assert_eq!(turns.arrive(&calm, || "c2"), Arrival::Waits);
        let mut served = Vec::new();
        let mut leaving = storm;
        while let Some((party, call)) = turns.leave(&leaving) {
            served.push(call);
            leaving = party;
        }
        assert_eq!(served, ["s1", "c1", "t1", "s2", "c2", "s3", "s4"]);
    }

    /// R66: the calls of one party are bounded, those of others are not touched by that.
    #[test]
    fn the_share_of_one_party_is_bounded() {
        let mut turns = turns(Bounds { at_work: 1, of_one: 3 });
        let (storm, calm) = ("storm".to_owned(), "calm".to_owned());
        let refused = |turns: &mut Turns<_>, party: &Party, times| {
            (0..times).filter(|_| turns.arrive(party, || "") == Arrival::TurnedAway).count()
        };
        assert_eq!(refused(&mut turns, &storm, 100), 97);
        assert_eq!(refused(&mut turns, &calm, 3), 0);
        assert!(turns.leave(&storm).is_some());
        assert_eq!(refused(&mut turns, &storm, 2), 1, "room that is free is taken again");
    }

    /// R49: nothing is kept of parties without calls.
    #[test]
    fn parties_without_calls_are_forgotten() {
        let mut turns = turns(BOUNDS);
        for index in 0..1_000 {
            let party = index.to_string();
            assert_eq!(turns.arrive(&party, || ""), Arrival::Works);
            assert_eq!(turns.leave(&party), None);
        }
        assert!(turns.parties.is_empty() && turns.next.is_empty());
        assert_eq!(turns.at_work, 0);
    }

    /// R66: a place that was meant for a call whose caller has gone goes to the next one, and no place is lost.
    #[tokio::test]
    async fn places_of_callers_who_left_are_not_lost() {
        let places = Places::new(Bounds { at_work: 1, of_one: 10 });
        let first = places.take("a".to_owned()).await.unwrap();
        let mut gone = Box::pin(places.take("a".to_owned()));
        let mut stays = Box::pin(places.take("b".to_owned()));
        let mut granted = Box::pin(places.take("c".to_owned()));
        assert!(futures::poll!(&mut gone).is_pending());
        assert!(futures::poll!(&mut stays).is_pending());
        assert!(futures::poll!(&mut granted).is_pending());
        drop(gone);
        drop(first);
        let second = stays.await.unwrap();
        assert_eq!(second.0.as_ref().unwrap().1, "b");
        drop(second);
        // The place was handed to it; it leaves before it looks.
        drop(granted);
        let turns = places.turns();
        assert_eq!((turns.at_work, turns.parties.len()), (0, 0));
    }
    /// R66: operators see how many calls wait and how long they did, those included that were given up; a call that is
    /// served at once is no part of it.
    #[test]
    fn waiting_is_measured() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let page = recorder.handle();
        let told = |line: &str| page.render().lines().any(|told| told == line);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        ::metrics::with_local_recorder(&recorder, || {
            runtime.block_on(async {
                let places = Places::new(Bounds { at_work: 1, of_one: 10 });
                let first = places.take("a".to_owned()).await.unwrap();
                assert!(!page.render().contains("countersign_rpc_wait"), "nobody waited");
                let mut gone = Box::pin(places.take("b".to_owned()));
                let mut stays = Box::pin(places.take("c".to_owned()));
                assert!(futures::poll!(&mut gone).is_pending());
                assert!(futures::poll!(&mut stays).is_pending());
                assert!(told("countersign_rpc_waiting 2"), "{}", page.render());
                drop(gone);
                assert!(told("countersign_rpc_waiting 1"), "{}", page.render());
                drop(first);
                stays.await.unwrap();
            });
        });
        assert!(told("countersign_rpc_waiting 0"), "{}", page.render());
        assert!(told("countersign_rpc_wait_seconds_count 2"), "{}", page.render());
    }
}
