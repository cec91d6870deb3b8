//! Places that no caller can fill: each may have no more than are free beside it. Alone it has half of them, and whoever
//! comes next finds as many as there are left to halve (R66). For what is few and long; calls have `fair`.

use countersign_domain::ids::CallerId;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The places, counted by who holds them. Clones share them.
#[derive(Debug)]
pub(crate) struct Shares<K: Eq + Hash = CallerId>(Arc<Inner<K>>);

#[derive(Debug)]
struct Inner<K> {
    places: usize,
    taken: Mutex<Taken<K>>,
}

#[derive(Debug)]
struct Taken<K> {
    all: usize,
    by_caller: HashMap<K, usize>,
}

/// A place; it is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share<K: Eq + Hash = CallerId> {
    shares: Shares<K>,
    caller: K,
}

// Derived, it would want keys that can be cloned of whoever has places.
impl<K: Eq + Hash> Clone for Shares<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash> Shares<K> {
    pub(crate) fn new(places: usize) -> Self {
        let taken = Taken { all: 0, by_caller: HashMap::new() };
        Self(Arc::new(Inner { places, taken: Mutex::new(taken) }))
    }

    /// A place for that caller, unless it has as many as are free.
    pub(crate) fn take(&self, caller: &K) -> Option<Share<K>>
    where
        K: Clone,
    {
        let mut taken = self.taken();
        let free = self.0.places.saturating_sub(taken.all);
        let own = taken.by_caller.get(caller).copied().unwrap_or_default();
        if own >= free {
            return None;
        }
        taken.all += 1;
        taken.by_caller.insert(caller.clone(), own + 1);
        Some(Share { shares: self.clone(), caller: caller.clone() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken<K>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        taken.all -= 1;
        let Some(own) = taken.by_caller.get_mut(&self.caller) else { return };
        *own -= 1;
        if *own == 0 {
            taken.by_caller.remove(&self.caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R66: one caller leaves half of the places, the next one half of those, and the last place is for one who has none.
    #[test]
    fn each_caller_leaves_as_many_as_it_has() {
        let shares = Shares::new(8);
        let callers = ["a", "b", "c", "d", "e"].map(|name| CallerId::parse(name).unwrap());
        let mut held = Vec::new();
        for (caller, expected) in callers.iter().zip([4, 2, 1, 1, 0]) {
            let before = held.len();
            held.extend(std::iter::from_fn(|| shares.take(caller)));
            assert_eq!(held.len() - before, expected, "{caller:?}");
        }
        held.clear();
        assert_eq!(std::iter::from_fn(|| shares.take(&callers[4])).collect::<Vec<_>>().len(), 4);
        assert_eq!(shares.taken().all, 0);
        assert!(shares.taken().by_caller.is_empty());
    }
}
