//! Reading connections, which believe no end of rows that they cannot be sure of.
//!
//! The driver ends its rows without an error where the thread of its connection has died. Taken for "there are no more",
//! that would say that an event was not committed, that all users have been seen, or that a tenant does not exist.

use crate::error::unavailable;
use countersign_ports::StoreError;
use futures::TryStreamExt as _;
use futures::stream::BoxStream;
use sqlx::pool::PoolConnection;
use sqlx::query::{Map, QueryScalar};
use sqlx::sqlite::{SqliteQueryResult, SqliteRow};
use sqlx::{Either, FromRow, IntoArguments, Sqlite, SqliteConnection};
use std::ops::DerefMut;

/// One of the pool's.
pub(crate) type PooledReader = Reader<PoolConnection<Sqlite>>;

/// A connection to read with. There is no other way to the rows than through it.
pub(crate) struct Reader<C>(C);

impl<C: DerefMut<Target = SqliteConnection> + Send> Reader<C> {
    pub(crate) const fn new(connection: C) -> Self {
        Self(connection)
    }

    /// All rows.
    pub(crate) async fn all<Q: Rows>(&mut self, query: Q) -> Result<Vec<Q::Row>, StoreError> {
        let mut answer = query.run(&mut self.0);
        let (mut rows, mut whole) = (Vec::new(), false);
        while let Some(part) = answer.try_next().await.map_err(unavailable)? {
            match part {
                Either::Right(row) => rows.push(row),
                Either::Left(_) => whole = true,
            }
        }
        if whole { Ok(rows) } else { Err(unavailable(sqlx::Error::WorkerCrashed)) }
    }

    /// The first row, if there is one.
    pub(crate) async fn optional<Q: Rows>(&mut self, query: Q) -> Result<Option<Q::Row>, StoreError> {
        let mut answer = query.run(&mut self.0);
        match answer.try_next().await.map_err(unavailable)? {
            Some(Either::Right(row)) => Ok(Some(row)),
            Some(Either::Left(_)) => Ok(None),
            None => Err(unavailable(sqlx::Error::WorkerCrashed)),
        }
    }

    /// The row that there always is.
    pub(crate) async fn one<Q: Rows>(&mut self, query: Q) -> Result<Q::Row, StoreError> {
        self.optional(query).await?.ok_or_else(|| unavailable(sqlx::Error::RowNotFound))
    }
}

/// What a statement answers: its rows, and behind the last of them that it is done.
pub(crate) type Answer<'e, T> = BoxStream<'e, sqlx::Result<Either<SqliteQueryResult, T>>>;

/// The queries that the macros make.
pub(crate) trait Rows {
    /// What a row is read as.
    type Row: Send;

    /// Runs it.
    fn run<'e>(self, at: &'e mut SqliteConnection) -> Answer<'e, Self::Row>
    where
        Self: 'e;
}

impl<F, T, A> Rows for Map<'_, Sqlite, F, A>
where
    F: FnMut(SqliteRow) -> sqlx::Result<T> + Send,
    T: Send + Unpin + 'static,
    A: Send + IntoArguments<Sqlite>,
{
    type Row = T;

    #[expect(
        deprecated,
        reason = "nothing else says that a statement came to its end, of which there is one"
    )]
    fn run<'e>(self, at: &'e mut SqliteConnection) -> Answer<'e, T>
    where
        Self: 'e,
    {
        self.fetch_many(at)
    }
}

impl<T, A> Rows for QueryScalar<'_, Sqlite, T, A>
where
    (T,): for<'r> FromRow<'r, SqliteRow>,
    T: Send + Unpin + 'static,
    A: Send + IntoArguments<Sqlite>,
{
    type Row = T;

    #[expect(
        deprecated,
        reason = "nothing else says that a statement came to its end, of which there is one"
    )]
    fn run<'e>(self, at: &'e mut SqliteConnection) -> Answer<'e, T>
    where
        Self: 'e,
    {
        self.fetch_many(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::folder;
    use sqlx::ConnectOptions as _;
    use sqlx::sqlite::SqliteConnectOptions;
    use tracing::Instrument as _;
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::{Context, SubscriberExt as _};

    /// Ends the thread of a connection when it begins to work on a statement: it enters the span of who asked.
    struct Deadly;

    impl<S: tracing::Subscriber> Layer<S> for Deadly {
        fn on_enter(&self, _: &tracing::span::Id, _: Context<'_, S>) {
            let thread = std::thread::current();
            assert!(!thread.name().is_some_and(|name| name.starts_with("sqlx-sqlite")), "of the test");
        }
    }

    /// R60, R64: where the driver's thread dies over a statement, nobody is told that there are no rows.
    #[tokio::test]
    async fn a_thread_that_died_is_no_end_of_rows() {
        for all in [true, false] {
            let (_folder, path) = folder();
            let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
            let mut connection = options.connect().await.unwrap();
            let query = || sqlx::query("SELECT 1 WHERE 0").try_map(|_: SqliteRow| Ok(()));
            let mut reader = Reader::new(&mut connection);
            assert_eq!(reader.all(query()).await.unwrap(), []);
            assert_eq!(reader.optional(query()).await.unwrap(), None);

            let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(Deadly));
            let read = async {
                if all {
                    reader.all(query()).await.map(drop)
                } else {
                    reader.optional(query()).await.map(drop)
                }
            };
            let read = read.instrument(tracing::error_span!("asking")).await;
            assert!(matches!(read, Err(StoreError::Unavailable(_))), "all: {all}");
        }
    }
}
