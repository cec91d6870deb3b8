//! What was told of already. A job comes back every few seconds to a row that somebody edited; an alarm each time would be
//! noise in which the next one is lost.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, PoisonError};

/// Things that are remembered at most. Whoever plants more was told of, and must not fill the memory.
const MOST: usize = 1_000;

/// The things that were told of since the start, or since they were forgotten.
#[derive(Debug, Default)]
pub struct ToldOnce {
    // Digests, because what is planted may be long; of a key that nobody knows, so that none can be made to collide.
    state: RandomState,
    told: Mutex<HashSet<u64>>,
}

impl ToldOnce {
    /// Whether this was not told of yet; from now on it was.
    pub fn is_new(&self, thing: impl Hash) -> bool {
        let digest = self.state.hash_one(thing);
        // Nothing panics while it holds the lock.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MOST && told.insert(digest)
    }

    /// This is over: it is new again when it comes back, and takes nobody's room until then.
    pub fn forget(&self, thing: impl Hash) {
        let digest = self.state.hash_one(thing);
        self.told.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each thing is new once, until it is forgotten; beyond so many none is.
    #[test]
    fn a_thing_is_new_once() {
        let told = ToldOnce::default();
        assert!(told.is_new("acme"));
        assert!(told.is_new("zoo"));
        assert!(!told.is_new("acme"));
        let new = (0..2 * MOST).filter(|number| told.is_new(number)).count();
        assert_eq!(new, MOST - 2);
        assert!(!told.is_new("another"));
        told.forget("acme");
        assert!(told.is_new("another"));
        told.forget("another");
        assert!(told.is_new("acme"));
    }
}
