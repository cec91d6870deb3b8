//! Places that no one caller, user or tenant can fill: each may have no more than are free beside it, and no more than a
//! bound. Alone it has half of them, and whoever comes next finds as many as there are left to halve (R66). Whoever finds none
//! does not wait; those who wait for their turn have `fair`.

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
    most: usize,
    taken: Mutex<Taken<K>>,
}

#[derive(Debug)]
struct Taken<K> {
    all: usize,
    by_key: HashMap<K, usize>,
}

/// A place; it is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share<K: Eq + Hash = CallerId> {
    shares: Shares<K>,
    key: K,
}

// Derived, it would want keys that can be cloned of whoever has places.
impl<K: Eq + Hash> Clone for Shares<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash> Shares<K> {
    pub(crate) fn new(places: usize) -> Self {
        Self::with_most(places, places)
    }

    /// The same, of which each has so many at most.
    pub(crate) fn with_most(places: usize, most: usize) -> Self {
        let taken = Taken { all: 0, by_key: HashMap::new() };
        Self(Arc::new(Inner { places, most, taken: Mutex::new(taken) }))
    }

    /// A place for that one, unless it has as many as are free, or as it may have.
    pub(crate) fn take(&self, key: &K) -> Option<Share<K>>
    where
        K: Clone,
    {
        let mut taken = self.taken();
        let Taken { all, by_key } = &mut *taken;
        let most = self.0.places.saturating_sub(*all).min(self.0.most);
        match by_key.get_mut(key) {
            Some(own) if *own < most => *own += 1,
            None if most > 0 => _ = by_key.insert(key.clone(), 1),
            Some(_) | None => return None,
        }
        *all += 1;
        Some(Share { shares: self.clone(), key: key.clone() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken<K>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        taken.all -= 1;
        let Some(own) = taken.by_key.get_mut(&self.key) else { return };
        *own -= 1;
        if *own == 0 {
            taken.by_key.remove(&self.key);
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
        assert!(shares.taken().by_key.is_empty());
    }

    /// R66: beyond its bound one has no place, however many are free.
    #[test]
    fn each_has_no_more_than_its_bound() {
        let shares = Shares::with_most(8, 2);
        let mut held = Vec::new();
        for (own, expected) in [("a", 2), ("b", 2), ("c", 2), ("d", 1), ("e", 1), ("f", 0)] {
            let before = held.len();
            held.extend(std::iter::from_fn(|| shares.take(&own)));
            assert_eq!(held.len() - before, expected, "{own}");
        }
    }
}
