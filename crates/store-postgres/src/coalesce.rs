//! Calls that come at the same time, done together: a bounded [`Queue`], and a few workers that drain it. What is done
//! with a batch is its owner's: commits in `writer`, loads in `loader`.
//!
//! - The first one in goes at once: nobody waits while nothing is under way.
//! - One worker at a time gathers, so that what comes together stays together; the others work on what they took. Who comes
//!   alone, after one who came alone, is not made to wait for others: giving turns wakes threads that have nothing to do.
//! - While a batch is under way the next one gathers until that one ends or until it has enough, but for
//!   [`Limits::patience`] at most: so batches are large where there is work for one, the processors have something to do where
//!   there is work for two, and where the disk is slow one is worked on while another one is flushed. There is no setting.
//! - Enough is half of those who are about, as far as the last two batches tell, between [`Limits::few`] and
//!   [`Limits::many`]: so two batches come to be of one size, and who is answered by one is back in time for the next.
//! - Whoever finds the queue full is refused at once (R66).
//! - A caller who leaves takes nothing back: what is queued is done.
//! - When the queue's owner goes, workers do what is left and end.

mod queue;
mod stats;
mod under_way;

pub(crate) use queue::{Job, Queue, Refused};
pub use stats::CoalesceStats;
pub(crate) use stats::Counters;
use under_way::{Begun, UnderWay};

use crate::error::overloaded;
use async_trait::async_trait;
use countersign_ports::StoreError;
use futures::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Turns given to other tasks without anybody queueing anything, after which the queue is taken to be quiet.
const QUIET_TURNS: u32 = 2;

/// What is done with the jobs of a batch. Every job is answered by it.
#[async_trait]
pub(crate) trait Batched: Send + Sync + 'static {
    /// What is queued.
    type Job: Job;

    /// Does the batch and answers its jobs.
    async fn run(self: Arc<Self>, batch: Vec<Self::Job>);
}

/// The owner's end of a queue and its workers. Dropped, it lets them finish.
pub(crate) struct Coalescer<J: Job> {
    queue: Arc<Queue<J>>,
    counters: Arc<Counters>,
}

/// Limits of a [`Coalescer`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Batches under way at most.
    pub(crate) workers: usize,
    /// Jobs in a batch at most.
    pub(crate) batch: usize,
    /// Jobs that wait at most.
    pub(crate) waiting: usize,
    /// How long a batch waits for the end of the one that began before it.
    pub(crate) patience: Duration,
    /// A batch of fewer waits for the one under way: what a statement costs whatever its size would be much of it.
    pub(crate) few: usize,
    /// A batch of so many waits for nothing.
    pub(crate) many: usize,
}

impl<J: Job> Coalescer<J> {
    /// Starts the workers on the current runtime.
    pub(crate) fn start<W: Batched<Job = J>>(name: &'static str, limits: Limits, work: Arc<W>) -> Self {
        let shared = Arc::new(Worker {
            name,
            limits,
            queue: Arc::new(Queue::new(limits.waiting)),
            gathering: Mutex::new(Gathering { earlier: [1, 1] }),
            under_way: UnderWay::new(),
            counters: Arc::default(),
            work,
        });
        for _ in 0..limits.workers {
            tokio::spawn(Arc::clone(&shared).run());
        }
        Self { queue: Arc::clone(&shared.queue), counters: Arc::clone(&shared.counters) }
    }

    /// Queues a job. It is answered by the work, through whatever it carries for that.
    pub(crate) fn push(&self, job: J) -> Result<(), StoreError> {
        self.queue.push(job).map_err(|Refused| {
            self.counters.refused();
            overloaded()
        })
    }

    /// What was done so far.
    pub(crate) fn stats(&self) -> CoalesceStats {
        self.counters.read()
    }
}

impl<J: Job> Drop for Coalescer<J> {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// What the one who gathers knows.
struct Gathering {
    /// How many jobs the last two batches had, the last one first.
    earlier: [usize; 2],
}

impl Gathering {
    /// How many are enough to begin beside a batch that is under way.
    fn enough(&self, limits: &Limits) -> usize {
        let about: usize = self.earlier.iter().sum();
        about.div_ceil(2).clamp(limits.few, limits.many)
    }
}

/// What the workers share.
struct Worker<W: Batched> {
    name: &'static str,
    limits: Limits,
    queue: Arc<Queue<W::Job>>,
    /// Held by the one who gathers.
    gathering: Mutex<Gathering>,
    under_way: UnderWay,
    counters: Arc<Counters>,
    work: Arc<W>,
}

impl<W: Batched> Worker<W> {
    async fn run(self: Arc<Self>) {
        while let Some((batch, under_way)) = self.next().await {
            let (size, waited) = (batch.jobs.len(), batch.waited);
            let begun = Instant::now();
            // Should it panic, its callers are told, because what would answer them is dropped, and this worker works on.
            let done = AssertUnwindSafe(Arc::clone(&self.work).run(batch.jobs)).catch_unwind().await;
            let took = begun.elapsed();
            self.queue.finished(&batch.subjects);
            drop(under_way);
            self.counters.batch(size, waited);
            stats::publish(self.name, size, waited, took);
            tracing::debug!(
                queue = self.name,
                size,
                waited_us = waited.as_micros(),
                took_us = took.as_micros(),
                panicked = done.is_err(),
                "a batch is done"
            );
        }
    }

    /// The next batch, or `None` when the queue is closed and empty.
    async fn next(&self) -> Option<(queue::Taken<W::Job>, Begun<'_>)> {
        let mut turn = self.gathering.lock().await;
        loop {
            self.queue.holds(1).await?;
            tokio::select! {
                () = self.under_way.over(self.limits.patience) => {}
                _ = self.queue.holds(turn.enough(&self.limits)) => {}
            }
            if turn.earlier[0] > 1 || self.queue.ready() > 1 {
                self.gather().await;
            }
            let taken = self.queue.take(self.limits.batch);
            // None where all that wait belong to users of a batch under way: its end is told like a new job.
            if !taken.jobs.is_empty() {
                turn.earlier = [taken.jobs.len(), turn.earlier[0]];
                return Some((taken, self.under_way.begin()));
            }
        }
    }

    /// Lets those who are about to queue something do so.
    async fn gather(&self) {
        let mut known = self.queue.ready();
        let mut quiet = 0;
        while known < self.limits.batch && quiet < QUIET_TURNS {
            tokio::task::yield_now().await;
            let now = self.queue.ready();
            quiet = if now == known { quiet + 1 } else { 0 };
            known = now;
        }
    }
}

#[cfg(test)]
mod tests;
