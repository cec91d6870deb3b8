//! Places that no caller can fill: each may have no more than are free beside it. Alone it has half of them, and whoever
//! comes next finds as many as there are left to halve (R66). For what is few and long; calls have `fair`.

use countersign_domain::ids::CallerId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The places. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Shares(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    places: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_caller: HashMap<CallerId, usize>,
}

/// A place; it is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Shares,
    caller: CallerId,
}

impl Shares {
    pub(crate) fn new(places: usize) -> Self {
        Self(Arc::new(Inner { places, taken: Mutex::default() }))
    }

    /// A place for that caller, unless it has as many as are free.
    pub(crate) fn take(&self, caller: &CallerId) -> Option<Share> {
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

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
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
