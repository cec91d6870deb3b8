//! Loads that come at the same time, as one statement. A statement is a way to the thread of its connection and back, which
//! costs more than the rows of a user: one for many, and for one alone as well, in which everything of a user comes along.

use crate::error::{Shared, may_be_of_one_row, unavailable};
use crate::rows::UserRow;
use crate::writer::{gather, publish};
use countersign_domain::ids::UserRef;
use countersign_ports::{RequestKey, StoreError};
use data_encoding::HEXUPPER;
use futures::FutureExt as _;
use serde::Serialize;
use sqlx::SqlitePool;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;

/// One reads while the other one gathers.
pub(crate) const LOADERS: u32 = 2;

/// Loads that wait at most; who comes then waits to be let in.
const QUEUE_LEN: usize = 1_024;

/// Loads in one statement at most.
const MAX_BATCH: usize = 128;

/// The way to the loaders.
#[derive(Debug, Clone)]
pub(crate) struct Loader {
    queue: mpsc::Sender<Asked>,
}

/// A load that waits for its batch.
struct Asked {
    user: UserRef,
    request: Option<RequestKey>,
    caller: oneshot::Sender<Result<Option<UserRow>, StoreError>>,
}

/// Held by the loader who gathers.
struct Queue {
    asked: mpsc::Receiver<Asked>,
    /// How many the batch before had.
    earlier: usize,
}

impl Asked {
    fn answer(self, answer: Result<Option<UserRow>, StoreError>) {
        // A caller who left is not told.
        let _ = self.caller.send(answer);
    }
}

impl Loader {
    /// Starts the loaders on connections of their pool; they end when all handles are gone.
    pub(crate) fn start(pool: &SqlitePool) -> Self {
        let (queue, asked) = mpsc::channel(QUEUE_LEN);
        let shared = Arc::new(Mutex::new(Queue { asked, earlier: 1 }));
        for _ in 0..LOADERS {
            tokio::spawn(drain(Arc::clone(&shared), pool.clone()));
        }
        Self { queue }
    }

    /// The user's row, or `None` where the tenant does not exist.
    pub(crate) async fn load(
        &self,
        user: &UserRef,
        request: Option<&RequestKey>,
    ) -> Result<Option<UserRow>, StoreError> {
        let (caller, answer) = oneshot::channel();
        let gone = || StoreError::Unavailable("the loaders of the database have ended".into());
        let asked = Asked { user: user.clone(), request: request.cloned(), caller };
        self.queue.send(asked).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

async fn drain(queue: Arc<Mutex<Queue>>, pool: SqlitePool) {
    loop {
        let mut batch = Vec::new();
        {
            let mut queue = queue.lock().await;
            let Queue { asked, earlier } = &mut *queue;
            if asked.recv_many(&mut batch, MAX_BATCH).await == 0 {
                return;
            }
            gather(asked, &mut batch, MAX_BATCH, earlier).await;
        }
        let begun = Instant::now();
        let size = batch.len();
        // Should it panic, its callers are told, because what would answer them is dropped, and this loader works on.
        let done = AssertUnwindSafe(answer(&pool, batch)).catch_unwind().await;
        publish("loads", size, begun.elapsed());
        if done.is_err() {
            tracing::error!("a load panicked");
        }
    }
}

/// Loads and answers these: together, or each by itself where one of them has a row that does not read.
async fn answer(pool: &SqlitePool, mut batch: Vec<Asked>) {
    // Taken from the end; whoever is told is gone from the batch.
    let mut size = batch.len();
    while !batch.is_empty() {
        let part = batch.split_off(batch.len() - size.min(batch.len()));
        match select(pool, &part).await {
            Ok(rows) => {
                for (asked, row) in part.into_iter().zip(rows) {
                    asked.answer(Ok(row));
                }
            }
            Err(error) if !may_be_of_one_row(&error) => {
                let error = Shared::new(error);
                for asked in part.into_iter().chain(batch) {
                    asked.answer(Err(StoreError::Unavailable(Box::new(error.clone()))));
                }
                return;
            }
            Err(error) => match <[Asked; 1]>::try_from(part) {
                Ok([asked]) => asked.answer(Err(unavailable(error))),
                Err(part) => {
                    batch.extend(part);
                    size = 1;
                }
            },
        }
    }
}

/// Who is asked for, as the statement takes it: an array of six.
#[derive(Serialize)]
struct Element<'a>(&'a str, &'a str, Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<String>);

/// A row for each of them, in their order.
async fn select(pool: &SqlitePool, asked: &[Asked]) -> Result<Vec<Option<UserRow>>, sqlx::Error> {
    let elements: Vec<_> = asked
        .iter()
        .map(|Asked { user, request, .. }| {
            Element(
                user.tenant.as_str(),
                user.user.as_str(),
                request.as_ref().map(|key| key.user.tenant.as_str()),
                request.as_ref().map(|key| key.user.user.as_str()),
                request.as_ref().map(|key| key.caller.as_str()),
                request.as_ref().map(|key| HEXUPPER.encode(key.id.uuid().as_bytes())),
            )
        })
        .collect();
    let elements = serde_json::to_string(&elements).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let mut connection = pool.acquire().await?;
    let rows = sqlx::query_file_as!(UserRow, "src/load.sql", elements).fetch_all(&mut *connection).await?;
    if rows.len() != asked.len() {
        // The driver ends its rows without an error where its thread has died. Nobody is told that a tenant is not there for that.
        return Err(sqlx::Error::WorkerCrashed);
    }
    let mut loaded: Vec<_> = asked.iter().map(|_| None).collect();
    for row in rows.into_iter().filter(|row| row.has_tenant) {
        if let Some(place) = usize::try_from(row.n).ok().and_then(|n| loaded.get_mut(n)) {
            *place = Some(row);
        }
    }
    Ok(loaded)
}
