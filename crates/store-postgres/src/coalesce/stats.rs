//! Counters of a queue, for metrics. Reading them resets nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a queue of the store did since it was opened. Every number only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CoalesceStats {
    /// Batches that were done; each is one statement, but for those in which one had to be asked alone.
    pub batches: u64,
    /// Calls in them.
    pub calls: u64,
    /// Calls in the largest.
    pub largest: u64,
    /// How long calls waited before their batch began, all together.
    pub waited: Duration,
    /// Calls that were refused because too many waited.
    pub refused: u64,
}

/// The counters themselves.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    batches: AtomicU64,
    calls: AtomicU64,
    largest: AtomicU64,
    waited_micros: AtomicU64,
    refused: AtomicU64,
}

impl Counters {
    pub(super) fn batch(&self, size: usize, waited: Duration) {
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.calls.fetch_add(size, Ordering::Relaxed);
        self.largest.fetch_max(size, Ordering::Relaxed);
        let waited = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        self.waited_micros.fetch_add(waited, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> CoalesceStats {
        CoalesceStats {
            batches: self.batches.load(Ordering::Relaxed),
            calls: self.calls.load(Ordering::Relaxed),
            largest: self.largest.load(Ordering::Relaxed),
            waited: Duration::from_micros(self.waited_micros.load(Ordering::Relaxed)),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}

/// The same for Prometheus, once a batch (`docs/operations/metrics.md`).
#[expect(clippy::cast_precision_loss, reason = "sizes of batches are below a thousand: exact in any float")]
pub(super) fn publish(queue: &'static str, size: usize, waited: Duration, took: Duration) {
    let size = size as f64;
    metrics::histogram!("countersign_store_batch_size", "queue" => queue).record(size);
    metrics::histogram!("countersign_store_wait_seconds", "queue" => queue)
        .record(waited.as_secs_f64() / size.max(1.0));
    metrics::histogram!("countersign_store_batch_seconds", "queue" => queue).record(took.as_secs_f64());
}
