//! Loads that come at the same time, done as one statement. Each caller gets its own row and opens its seals itself.

use crate::coalesce::{Batched, CoalesceStats, Coalescer, Job, Limits};
use crate::error::{from_sql, is_transient, read_may_fail_for_one_row, repeated, unavailable};
use crate::load;
use crate::pool::Pool;
use crate::rows::LoadRow;
use async_trait::async_trait;
use countersign_domain::ids::UserRef;
use countersign_ports::{RequestKey, StoreError};
use sqlx::postgres::PgConnection;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Loads flush nothing, so that two keep the server busy while one gathers.
pub(crate) const LOADERS: usize = 2;

/// Batches are small enough that a crowd which comes at once is loaded by two.
const LIMITS: Limits =
    Limits { workers: LOADERS, batch: 64, waiting: 4_096, patience: Duration::ZERO, few: 1, many: 1 };

/// The way to the loaders.
pub(crate) struct Loader(Coalescer<Asked>);

/// A load that waits for its batch.
struct Asked {
    user: UserRef,
    request: Option<RequestKey>,
    caller: oneshot::Sender<Result<Option<LoadRow>, StoreError>>,
}

impl Job for Asked {
    /// Nothing is changed: one user may be loaded by many at once.
    fn subject(&self) -> Option<&UserRef> {
        None
    }
}

impl Asked {
    fn answer(self, answer: Result<Option<LoadRow>, StoreError>) {
        // A caller who left is not told.
        let _ = self.caller.send(answer);
    }
}

impl Loader {
    /// Starts the loaders on the current runtime.
    pub(crate) fn start(pool: Arc<Pool>) -> Self {
        Self(Coalescer::start("loads", LIMITS, Arc::new(Loading { pool })))
    }

    /// The user's row, or `None` where the tenant does not exist.
    pub(crate) async fn load(
        &self,
        user: &UserRef,
        request: Option<&RequestKey>,
    ) -> Result<Option<LoadRow>, StoreError> {
        let (caller, answer) = oneshot::channel();
        self.0.push(Asked { user: user.clone(), request: request.cloned(), caller })?;
        answer.await.unwrap_or_else(|_| Err(unavailable(&sqlx::Error::WorkerCrashed)))
    }

    /// What the loaders did so far.
    pub(crate) fn stats(&self) -> CoalesceStats {
        self.0.stats()
    }
}

/// What the loaders work with.
struct Loading {
    pool: Arc<Pool>,
}

#[async_trait]
impl Batched for Loading {
    type Job = Asked;

    async fn run(self: Arc<Self>, jobs: Vec<Asked>) {
        let mut parts = vec![jobs];
        while let Some(part) = parts.pop() {
            parts.extend(self.part(part).await);
        }
    }
}

impl Loading {
    /// Loads and answers these, or gives them back in halves where one of them may have spoiled it for the others.
    async fn part(&self, mut jobs: Vec<Asked>) -> Vec<Vec<Asked>> {
        match self.select(&jobs).await {
            Ok(rows) => {
                for (job, row) in jobs.into_iter().zip(rows) {
                    job.answer(Ok(row));
                }
            }
            Err(Trouble::OfOneRow(_)) if jobs.len() > 1 => {
                let half = jobs.split_off(jobs.len() / 2);
                return vec![half, jobs];
            }
            Err(Trouble::OfOneRow(error) | Trouble::OfAll(error)) => {
                for job in jobs {
                    job.answer(Err(repeated(&error)));
                }
            }
        }
        Vec::new()
    }

    async fn select(&self, jobs: &[Asked]) -> Result<Vec<Option<LoadRow>>, Trouble> {
        let mut checkout = self.pool.checkout().await.map_err(Trouble::OfAll)?;
        let mut rows = self.ask(checkout.connection(), jobs).await;
        // A migration that changes several tables meets loads that hold one and want the other.
        if rows.as_ref().is_err_and(is_transient) {
            rows = self.ask(checkout.connection(), jobs).await;
        }
        checkout.conclude(rows).map_err(|error| {
            let trouble = if read_may_fail_for_one_row(&error) { Trouble::OfOneRow } else { Trouble::OfAll };
            trouble(from_sql(&error))
        })
    }

    async fn ask(
        &self,
        connection: &mut PgConnection,
        jobs: &[Asked],
    ) -> Result<Vec<Option<LoadRow>>, sqlx::Error> {
        match jobs {
            // The statement for one costs less where there is one.
            [job] => {
                let one = load::select(connection, &job.user, job.request.as_ref());
                self.pool.within(one).await.map(|row| vec![row])
            }
            jobs => {
                let asked: Vec<_> = jobs.iter().map(|job| (&job.user, job.request.as_ref())).collect();
                self.pool.within(load::select_many(connection, &asked)).await
            }
        }
    }
}

/// Why a statement gave no rows.
enum Trouble {
    /// Perhaps because of one who asks.
    OfOneRow(StoreError),
    /// Whoever asks.
    OfAll(StoreError),
}
