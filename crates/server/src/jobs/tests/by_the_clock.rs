//! What is deleted by its age, while the clock can be relied on and while it cannot (R65).

use super::super::*;
use async_trait::async_trait;
use countersign_domain::time::Timestamp;
use countersign_ports::{DeadLetter, NoticeId};
use countersign_testkit::{ManualClock, fixtures};
use std::sync::Mutex;
use tokio::time::timeout;

/// A store that remembers what it was asked to delete, and has `full` pieces of it.
struct Asked {
    clock: Arc<ManualClock>,
    /// Pieces that are as long as was asked for; what comes then is empty.
    full: u64,
    /// Whether the clock jumps while the first piece is deleted.
    jumps: bool,
    before: Mutex<Vec<Timestamp>>,
}

impl Asked {
    fn new(full: u64, jumps: bool) -> Arc<Self> {
        Arc::new(Self { clock: Arc::default(), full, jumps, before: Mutex::default() })
    }

    /// Up to which time it was asked to delete, since this was last looked at.
    fn taken(&self) -> Vec<Timestamp> {
        std::mem::take(&mut self.before.lock().unwrap())
    }

    fn delete(&self, before: Timestamp, limit: u32) -> u64 {
        if self.jumps {
            self.clock.trust(false);
        }
        let mut asked = self.before.lock().unwrap();
        asked.push(before);
        if asked.len() as u64 <= self.full { limit.into() } else { 0 }
    }
}

#[async_trait]
impl Maintenance for Asked {
    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        Ok(self.delete(now, limit))
    }

    async fn fold_counts(&self, _: u32) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn prepare_events(&self, _: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    async fn drop_events(&self, _: Timestamp) -> Result<u64, StoreError> {
        Ok(0)
    }
}

#[async_trait]
impl DeadLetters for Asked {
    async fn dead_letters(
        &self,
        _: Option<(Timestamp, NoticeId)>,
        _: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        Ok(Vec::new())
    }

    async fn revive(&self, _: NoticeId, _: Timestamp) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn sweep_dead_letters(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        Ok(self.delete(before, limit))
    }
}

/// Runs a job for its first rounds, under a paused clock.
async fn rounds(count: u32, job: impl Future<Output = ()>) {
    let until = SWEEP_EVERY * (2 * count - 1) / 2;
    timeout(until, job).await.expect_err("nobody stops it");
}

/// R65, R60: what expired by a clock that cannot be relied on is not deleted: answers that are still to be repeated would be
/// decided a second time.
#[tokio::test(start_paused = true)]
async fn nothing_expires_by_a_clock_that_jumped() {
    let store = Asked::new(0, false);
    let sweep = || sweep(store.clone(), store.clock.clone(), CancellationToken::new());
    store.clock.trust(false);
    rounds(3, sweep()).await;
    assert_eq!(store.taken(), []);
    store.clock.trust(true);
    rounds(1, sweep()).await;
    assert_eq!(store.taken(), [fixtures::START]);
}

/// R65: nor is it deleted any further by a clock that jumps on the way.
#[tokio::test(start_paused = true)]
async fn a_jump_on_the_way_ends_the_deleting() {
    for (jumps, pieces) in [(false, 4), (true, 1)] {
        let store = Asked::new(3, jumps);
        rounds(1, sweep(store.clone(), store.clock.clone(), CancellationToken::new())).await;
        assert_eq!(store.taken().len(), pieces, "{jumps}");
    }
}

/// R65, R49: notices that were given up are not old by a clock that cannot be relied on.
#[tokio::test(start_paused = true)]
async fn no_dead_letter_is_old_by_a_clock_that_jumped() {
    let (store, keep) = (Asked::new(0, false), Duration::from_hours(24 * 30));
    let sweep = || sweep_dead_letters(store.clone(), keep, store.clock.clone(), CancellationToken::new());
    store.clock.trust(false);
    rounds(3, sweep()).await;
    assert_eq!(store.taken(), []);
    store.clock.trust(true);
    rounds(1, sweep()).await;
    assert_eq!(store.taken(), [fixtures::START.minus(keep)]);
}
