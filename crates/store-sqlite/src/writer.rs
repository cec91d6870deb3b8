//! The one writer: a bounded queue, drained into one transaction at a time, so that many callers share one flush to
//! the disk. What a piece of work does is said where it belongs; here it is run, kept or undone, and answered.
//!
//! **Told only when durable.** Every caller is answered for itself, after the commit of the transaction that its work
//! was part of. A caller who leaves neither stops nor undoes its work.

use crate::error::{Shared, Trouble, unavailable};
use crate::script::{self, Script};
use crate::seal::Sealer;
use async_trait::async_trait;
use countersign_ports::StoreError;
use futures::FutureExt as _;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Pieces of work that wait at most; who comes then waits to be let in.
const QUEUE_LEN: usize = 1_024;

/// Pieces of work in one transaction at most, so that the first of them does not wait for ever.
const MAX_BATCH: usize = 256;

/// A piece of work for the writer.
#[async_trait]
pub(crate) trait Work: Send + 'static {
    /// What the caller is told.
    type Answer: Send + 'static;

    /// Does it within the writer's transaction; again where the transaction had to be begun again.
    async fn run(&self, at: &mut SqliteConnection, seal: &Sealer) -> Result<Done<Self::Answer>, Trouble>;

    /// The same as a script, with the answer where it changes all that it has to. `None` for what is more than a script.
    fn script(&self, _seal: &Sealer) -> Option<(Script, Self::Answer)> {
        None
    }
}

/// A piece of work that came to an answer.
#[derive(Debug)]
pub(crate) enum Done<A> {
    /// What it wrote stays.
    Keep(A),
    /// What it wrote is undone before the answer.
    Undo(A),
}

/// The way to the writer.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Box<dyn Job>>,
}

impl Writer {
    /// Starts the writer on `connection`; it ends when all its handles are gone and its queue is empty.
    pub(crate) fn start(connection: SqliteConnection, options: SqliteConnectOptions, seal: Sealer) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE_LEN);
        tokio::spawn(drain(jobs, Database { connection: Some(connection), options }, seal));
        Self { queue }
    }

    /// Hands over `work` and waits until its answer is durable.
    pub(crate) async fn run<W: Work + Sync>(&self, work: W) -> Result<W::Answer, StoreError> {
        let (caller, answer) = oneshot::channel();
        let gone = || StoreError::Unavailable("the writer of the database has ended".into());
        self.queue.send(Box::new(Task { work, outcome: None, caller })).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// A piece of work with its caller, whatever its answer is.
#[async_trait]
trait Job: Send {
    /// Runs it; whether to keep what it wrote, or that the database failed.
    async fn run(&mut self, at: &mut SqliteConnection, seal: &Sealer) -> Result<bool, sqlx::Error>;

    /// The same as a script, if it is one. Its answer is that of a script that changes all that it has to, until it is run.
    fn script(&mut self, seal: &Sealer) -> Option<Script>;

    /// Tells the caller what came of it, now that it is durable.
    fn answer(self: Box<Self>);

    /// Tells the caller that the transaction failed.
    fn fail(self: Box<Self>, error: StoreError);
}

struct Task<W: Work> {
    work: W,
    outcome: Option<Result<W::Answer, StoreError>>,
    caller: oneshot::Sender<Result<W::Answer, StoreError>>,
}

#[async_trait]
impl<W: Work + Sync> Job for Task<W> {
    async fn run(&mut self, at: &mut SqliteConnection, seal: &Sealer) -> Result<bool, sqlx::Error> {
        let (outcome, keep) = match self.work.run(at, seal).await {
            Ok(Done::Keep(answer)) => (Ok(answer), true),
            Ok(Done::Undo(answer)) => (Ok(answer), false),
            Err(Trouble::Own(error)) => (Err(error), false),
            Err(Trouble::Database(error)) => return Err(error),
        };
        self.outcome = Some(outcome);
        Ok(keep)
    }

    fn script(&mut self, seal: &Sealer) -> Option<Script> {
        let (script, answer) = self.work.script(seal)?;
        self.outcome = Some(Ok(answer));
        Some(script)
    }

    fn answer(self: Box<Self>) {
        if let Some(outcome) = self.outcome {
            // A caller who left is not told.
            let _ = self.caller.send(outcome);
        }
    }

    fn fail(self: Box<Self>, error: StoreError) {
        let _ = self.caller.send(Err(error));
    }
}

async fn drain(mut jobs: mpsc::Receiver<Box<dyn Job>>, mut database: Database, seal: Sealer) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    let mut earlier = 1;
    while jobs.recv_many(&mut batch, MAX_BATCH).await > 0 {
        gather(&mut jobs, &mut batch, MAX_BATCH, &mut earlier).await;
        let begun = Instant::now();
        // A panic ends the batch and not the writer. What it left of the connection is gone with it.
        let done = AssertUnwindSafe(database.commit(&mut batch, &seal)).catch_unwind().await;
        publish("commits", batch.len(), begun.elapsed());
        match done.unwrap_or(Err(Failure::Panicked)) {
            Ok(()) => batch.drain(..).for_each(Job::answer),
            Err(Failure::Before(error)) => {
                tell(&mut batch, error, |error| StoreError::Unavailable(Box::new(error)));
            }
            Err(Failure::During(error)) => {
                tell(&mut batch, error, |error| StoreError::OutcomeUnknown(Box::new(error)));
            }
            Err(Failure::Panicked) => {
                let unknown = || StoreError::OutcomeUnknown("the writer of the database panicked".into());
                batch.drain(..).for_each(|job| job.fail(unknown()));
            }
        }
    }
}

/// Tells metrics of a batch (`docs/operations/metrics.md`).
#[expect(clippy::cast_precision_loss, reason = "a batch has at most 256 pieces of work: exact in any float")]
pub(crate) fn publish(queue: &'static str, size: usize, took: Duration) {
    metrics::histogram!("countersign_store_batch_size", "queue" => queue).record(size as f64);
    metrics::histogram!("countersign_store_batch_seconds", "queue" => queue).record(took.as_secs_f64());
}

/// Lets those who are about to hand over something do so, as long as more come: no time passes when nobody does. Who comes
/// alone, after one who came alone (`earlier`), is not made to wait: giving turns wakes threads that have nothing to do.
pub(crate) async fn gather<J>(
    jobs: &mut mpsc::Receiver<J>,
    batch: &mut Vec<J>,
    most: usize,
    earlier: &mut usize,
) {
    while *earlier > 1 || batch.len() > 1 {
        let known = batch.len();
        tokio::task::yield_now().await;
        while batch.len() < most {
            let Ok(job) = jobs.try_recv() else { break };
            batch.push(job);
        }
        if batch.len() == known {
            break;
        }
    }
    *earlier = batch.len();
}

fn tell(batch: &mut Vec<Box<dyn Job>>, error: sqlx::Error, wrap: impl Fn(Shared) -> StoreError) {
    let error = Shared::new(error);
    batch.drain(..).for_each(|job| job.fail(wrap(error.clone())));
}

/// When a transaction failed.
enum Failure {
    /// Before its commit: nothing of it happened.
    Before(sqlx::Error),
    /// While it committed: it may or may not have happened.
    During(sqlx::Error),
    /// Somewhere on the way, by a fault of ours.
    Panicked,
}

/// The writer's connection, opened anew after a failure: nothing of a transaction that went wrong stays behind.
struct Database {
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
}

impl Database {
    async fn commit(&mut self, batch: &mut [Box<dyn Job>], seal: &Sealer) -> Result<(), Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await.map_err(Failure::Before)?,
        };
        commit(&mut connection, batch, seal).await?;
        self.connection = Some(connection);
        Ok(())
    }
}

/// One transaction for the whole batch. Hardly ever is a piece of work to be undone, so the first try goes without
/// savepoints, which cost a third of the work; where one is needed, everything is undone and done again with them.
async fn commit(
    connection: &mut SqliteConnection,
    batch: &mut [Box<dyn Job>],
    seal: &Sealer,
) -> Result<(), Failure> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(Failure::Before)?;
    if all(&mut transaction, batch, seal).await.map_err(Failure::Before)? {
        return transaction.commit().await.map_err(Failure::During);
    }
    transaction.rollback().await.map_err(Failure::Before)?;
    if batch.len() == 1 {
        // Nothing of it is to stay.
        return Ok(());
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(Failure::Before)?;
    for job in batch {
        let mut savepoint = transaction.begin().await.map_err(Failure::Before)?;
        let keep = job.run(&mut savepoint, seal).await.map_err(Failure::Before)?;
        let ended = if keep { savepoint.commit().await } else { savepoint.rollback().await };
        ended.map_err(Failure::Before)?;
    }
    transaction.commit().await.map_err(Failure::During)
}

/// Does all work of the batch; false, and at once, where some of it is to be undone. Scripts are run together, before what is
/// more than one.
async fn all(
    transaction: &mut SqliteConnection,
    batch: &mut [Box<dyn Job>],
    seal: &Sealer,
) -> Result<bool, sqlx::Error> {
    let mut scripts = Vec::with_capacity(batch.len());
    let mut others = Vec::new();
    // One alone has nobody to be run with, and says at once why it is to be undone.
    let alone = batch.len() == 1;
    for job in batch {
        match if alone { None } else { job.script(seal) } {
            Some(script) => scripts.push(script),
            None => others.push(job),
        }
    }
    if !script::run_all(scripts, transaction).await? {
        return Ok(false);
    }
    for job in others {
        if !job.run(transaction, seal).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Opens the writer's connection for the first time.
pub(crate) async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    options.connect().await.map_err(unavailable)
}

#[cfg(test)]
mod tests;
