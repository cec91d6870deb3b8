//! Group commit: changes of logins that come at the same time share one statement and one flush to the disk. Every
//! caller is answered for itself, and only when it is durable.
//!
//! What is shared is never more than the fate of the connection. A guard that does not hold is a conflict for its
//! caller alone. Where the server refuses the statement for one row, the batch is split until that row is by itself. A
//! user's row that somebody else has locked is left to a commit of its own, which waits for the lock; nobody else does.
//! Where the reply is lost, the outcome is unknown to all whose changes were in the statement (R60).

use crate::coalesce::{Batched, CoalesceStats, Coalescer, Job, Limits};
use crate::commit::batch::{self, Batch, Outcome};
use crate::commit::{Attempt, Committer, Work, decided_at, hot};
use crate::error::{Failure, is_refusal, outcome_unknown, repeated, unanswered};
use crate::pool::Pool;
use async_trait::async_trait;
use countersign_domain::ids::UserRef;
use countersign_ports::{ChangeSet, Commit, StoreError};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Two: where the disk is slow, the server works on one batch while another one is flushed. More would only make batches
/// smaller.
pub(crate) const WRITERS: usize = 2;

const LIMITS: Limits =
    Limits { workers: WRITERS, batch: 512, waiting: 4_096, patience: PATIENCE, few: 32, many: 64 };

/// Longer than a batch of some dozens takes on a quick disk: two batches at a time have the cost of a statement twice, and
/// the same processors. And no longer than a slow disk takes to flush, or than others should wait for a lock that one holds.
const PATIENCE: Duration = Duration::from_millis(5);

/// How long a writer waits for a commit that it made alone. One that takes longer waits for a lock, and is left to
/// itself.
const ALONE: Duration = Duration::from_millis(50);

/// The way to the writers.
pub(crate) struct Writer {
    committer: Arc<Committer>,
    group: Coalescer<Pending>,
}

/// A change that waits for its batch.
struct Pending {
    change: ChangeSet,
    /// When it was decided.
    now: OffsetDateTime,
    caller: oneshot::Sender<Result<Commit, StoreError>>,
}

impl Job for Pending {
    fn subject(&self) -> Option<&UserRef> {
        batch::subject(&self.change)
    }
}

impl Pending {
    fn answer(self, answer: Result<Commit, StoreError>) {
        // A caller who left is not told; what was committed for them stays.
        let _ = self.caller.send(answer);
    }
}

impl Writer {
    /// Starts the writers on the current runtime: batches go through `pool`, all else through the committer's.
    pub(crate) fn start(committer: Arc<Committer>, pool: Arc<Pool>) -> Self {
        let writing = Arc::new(Writing { committer: Arc::clone(&committer), pool });
        Self { committer, group: Coalescer::start("commits", LIMITS, writing) }
    }

    /// See [`countersign_ports::UserStore::commit`].
    pub(crate) async fn commit(&self, change: ChangeSet) -> Result<Commit, StoreError> {
        let work = Work { change: &change, tenant: None };
        if !batch::takes(&change) {
            return self.committer.commit_work(work).await;
        }
        let now = decided_at(&work).map_err(Failure::into_store)?;
        let (caller, answer) = oneshot::channel();
        self.group.push(Pending { change, now, caller })?;
        answer.await.unwrap_or_else(|_| Err(unanswered()))
    }

    /// What the writers did so far.
    pub(crate) fn stats(&self) -> CoalesceStats {
        self.group.stats()
    }
}

/// What the writers work with.
struct Writing {
    committer: Arc<Committer>,
    /// For batches only: a writer never waits for a connection.
    pool: Arc<Pool>,
}

#[async_trait]
impl Batched for Writing {
    type Job = Pending;

    async fn run(self: Arc<Self>, mut jobs: Vec<Pending>) {
        // One order of keys on every node, so that pages are touched and unique keys inserted in it.
        jobs.sort_by(|a, b| a.subject().cmp(&b.subject()));
        let mut parts = vec![jobs];
        while let Some(part) = parts.pop() {
            parts.extend(self.part(part).await);
        }
    }
}

impl Writing {
    /// Commits and answers these, or gives them back in halves where one of them may have spoiled it for the others.
    async fn part(&self, mut jobs: Vec<Pending>) -> Vec<Vec<Pending>> {
        if jobs.len() == 1 && hot::takes(&jobs[0].change) {
            let alone = jobs.into_iter().map(|job| self.alone(job)).next();
            // Left to itself where it takes longer: nothing here depends on it.
            let _ = tokio::time::timeout(ALONE, async { Some(alone?.await) }).await;
            return Vec::new();
        }
        match self.commit(&mut jobs).await {
            Ok(told) => {
                for (job, told) in jobs.into_iter().zip(told) {
                    match told {
                        Outcome::Done => job.answer(Ok(Commit::Done)),
                        Outcome::Conflict => job.answer(Ok(Commit::Conflict)),
                        Outcome::Alone => drop(self.alone(job)),
                    }
                }
            }
            Err(Attempt::NotDone(failure)) if failure.may_be_of_one_row() => {
                if jobs.len() > 1 {
                    let half = jobs.split_off(jobs.len() / 2);
                    return vec![half, jobs];
                }
                for job in jobs {
                    drop(self.alone(job));
                }
            }
            Err(Attempt::NotDone(failure)) => answer_all(jobs, &failure.into_store()),
            Err(Attempt::Unknown(error)) => answer_all(jobs, &outcome_unknown(&error)),
        }
        Vec::new()
    }

    /// Commits them as one statement. Those that no column holds are answered, and gone from `jobs`.
    async fn commit(&self, jobs: &mut Vec<Pending>) -> Result<Vec<Outcome>, Attempt> {
        let sealer = self.committer.sealer();
        let hot = jobs.iter().all(|job| hot::takes(&job.change));
        let mut batch = Batch::new(hot, jobs.len());
        let mut unfit = Vec::new();
        for (index, job) in jobs.iter().enumerate() {
            if let Err(failure) = batch.push(&job.change, job.now, sealer) {
                unfit.push((index, failure));
            }
        }
        let told = self.send(&batch).await;
        drop(batch);
        for (index, failure) in unfit.into_iter().rev() {
            jobs.remove(index).answer(Err(failure.into_store()));
        }
        told
    }

    async fn send(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>, Attempt> {
        if batch.len() == 0 {
            return Ok(Vec::new());
        }
        let mut checkout = self.pool.checkout().await.map_err(|error| Attempt::NotDone(error.into()))?;
        let told = self.pool.within(batch::commit(checkout.connection(), batch)).await;
        checkout.conclude(told).map_err(|error| {
            // The statement is its own transaction: without an answer it may have been committed.
            if is_refusal(&error) { Attempt::NotDone(error.into()) } else { Attempt::Unknown(error) }
        })
    }

    /// Commits one by itself, in a task of its own: it may wait for a lock.
    fn alone(&self, job: Pending) -> JoinHandle<()> {
        let committer = Arc::clone(&self.committer);
        tokio::spawn(async move {
            let answer = committer.commit_work(Work { change: &job.change, tenant: None }).await;
            job.answer(answer);
        })
    }
}

fn answer_all(jobs: Vec<Pending>, error: &StoreError) {
    for job in jobs {
        job.answer(Err(repeated(error)));
    }
}
