//! Whose turn it is to search the log: to go through much of it to find little. Such a look has a connection of the store
//! for up to a second, and SQLite has four for all who read: many watches that catch up would keep all others from it.

use countersign_domain::ids::CallerId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Searches of one node at the same time.
const MAX_SEARCHES: usize = 2;

/// The turns of one node. Clones share them.
///
/// A caller has one at a time and waits for it once, however many watches it has: whoever has one watch comes next behind
/// one look of each other caller (R66).
#[derive(Debug, Clone)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    /// What the watches of one caller wait for first. Callers are configured, and so are few.
    by_caller: Arc<Mutex<HashMap<CallerId, Arc<Semaphore>>>>,
}

/// A turn; the next one comes when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _of_all: Option<OwnedSemaphorePermit>,
    _of_caller: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// Nobody's turn.
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(MAX_SEARCHES)), by_caller: Arc::default() }
    }

    /// Waits for a turn of that caller. Whoever stops waiting loses the place, and whoever waits has to be polled: a turn that
    /// nobody takes up is kept from all others.
    pub(super) async fn take(&self, caller: &CallerId) -> Turn {
        let of_caller = self.of_caller(caller);
        // There is always a permit: neither is ever closed.
        let of_caller = of_caller.acquire_owned().await.ok();
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok();
        Turn { _of_all: of_all, _of_caller: of_caller }
    }

    fn of_caller(&self, caller: &CallerId) -> Arc<Semaphore> {
        let mut by_caller = self.by_caller.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(by_caller.entry(caller.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))))
    }
}
