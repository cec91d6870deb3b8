//! The connections. Which statements run on them is not decided here.
//!
//! Own and small instead of the driver's pool, for two reasons: that one asks the server whether the connection still
//! lives each time one is given back, which doubles the trips of a login; and here a connection returns only when its
//! call has ended in order. One whose call was dropped half-way, timed out or broke is closed, so that nobody ever
//! meets another call's leftovers, and the server undoes what was open on it.

use crate::durability;
use crate::error::{from_sql, is_panic, leaves_connection_sound, panicked, timed_out, unavailable};
use crate::options::PostgresOptions;
use crate::tenancy::Shown;
use countersign_domain::ids::TenantId;
use countersign_ports::StoreError;
use futures::FutureExt as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// At most `max_connections` of them, opened when needed and kept.
pub(crate) struct Pool {
    connect: PgConnectOptions,
    acquire_timeout: Duration,
    answer_timeout: Duration,
    permits: Semaphore,
    /// The last one given back is the first one taken: few stay busy and warm. Each with whose rows it shows.
    idle: Mutex<Vec<(PgConnection, Shown)>>,
}

impl Pool {
    /// A pool that has opened nothing yet.
    pub(crate) fn new(options: &PostgresOptions) -> Result<Self, StoreError> {
        Ok(Self {
            connect: options.connect_options()?,
            acquire_timeout: options.acquire_timeout,
            answer_timeout: options.answer_timeout,
            permits: Semaphore::new(options.max_connections.max(1) as usize),
            idle: Mutex::default(),
        })
    }

    /// A connection for one call that serves all tenants at once: an idle one, or a new one, or the next one that is given
    /// back.
    pub(crate) async fn checkout(&self) -> Result<Checkout<'_>, StoreError> {
        self.checkout_showing(Shown::All).await
    }

    /// The same for a call about one tenant, which sees nothing of others.
    pub(crate) async fn checkout_for(&self, tenant: &TenantId) -> Result<Checkout<'_>, StoreError> {
        self.checkout_showing(Shown::Only(tenant.clone())).await
    }

    async fn checkout_showing(&self, shown: Shown) -> Result<Checkout<'_>, StoreError> {
        let permit = timeout(self.acquire_timeout, self.permits.acquire()).await;
        // The semaphore is never closed, so the inner error does not happen; it refuses like the outer one.
        let Ok(Ok(permit)) = permit else { return Err(unavailable(&sqlx::Error::PoolTimedOut)) };
        let idle = {
            let mut idle = self.idle();
            // One that shows the same needs no telling.
            let fits = idle.iter().rposition(|(_, earlier)| *earlier == shown);
            fits.map(|at| idle.remove(at)).or_else(|| idle.pop())
        };
        let (connection, earlier) = match idle {
            Some((connection, earlier)) => (connection, Some(earlier)),
            None => (self.open().await?, None),
        };
        let told = earlier.is_some_and(|earlier| earlier == shown);
        let mut checkout = Checkout { pool: self, connection, shown, _permit: permit };
        if told {
            return Ok(checkout);
        }
        let Checkout { connection, shown, .. } = &mut checkout;
        match self.within(shown.show(connection)).await {
            Ok(()) => Ok(checkout),
            Err(error) => {
                self.idle().clear();
                Err(unavailable(&error))
            }
        }
    }

    /// Waits for the server's answer, but not for ever. A row that makes the driver panic, as a time does that no calendar
    /// has (`infinity`), is a row that cannot be read: whoever edited it must not end what reads others beside it (R48).
    pub(crate) async fn within<T, E: From<sqlx::Error>>(
        &self,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let answer = AssertUnwindSafe(answer).catch_unwind();
        match timeout(self.answer_timeout, answer).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(_panic)) => Err(panicked().into()),
            Err(_elapsed) => Err(timed_out().into()),
        }
    }

    /// Each session is checked before it serves: settings may differ by role and database, and change (R61).
    async fn open(&self) -> Result<PgConnection, StoreError> {
        let connection = timeout(self.acquire_timeout, self.connect.connect()).await;
        let mut connection =
            connection.unwrap_or_else(|_| Err(timed_out())).map_err(|error| unavailable(&error))?;
        let settings =
            self.within(durability::read(&mut connection)).await.map_err(|error| from_sql(&error))?;
        settings.check()?;
        Ok(connection)
    }

    /// A connection beside the pool for what reads whole tables: no limit on a statement, and plans that may read all.
    pub(crate) async fn unhurried(&self) -> Result<PgConnection, StoreError> {
        let settings = [("statement_timeout", "0"), ("enable_seqscan", "on"), ("plan_cache_mode", "auto")];
        let mut connection = connect_once(self.connect.clone().options(settings)).await?;
        Shown::All.show(&mut connection).await.map_err(|error| unavailable(&error))?;
        Ok(connection)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(PgConnection, Shown)>> {
        // Nothing panics while it holds the lock, and a list of connections cannot be half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use. Dropped without [`Checkout::conclude`], it is closed.
pub(crate) struct Checkout<'p> {
    pool: &'p Pool,
    connection: PgConnection,
    shown: Shown,
    // Held for the limit that it counts towards.
    _permit: SemaphorePermit<'p>,
}

impl Checkout<'_> {
    /// The connection itself.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Gives the connection back if `result` says that it is sound; else closes it, and with it every idle one: what
    /// broke one (a restarted server) has broken them all. Not so a row that made the driver panic.
    pub(crate) fn conclude<T>(self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        match &result {
            Err(error) if is_panic(error) => {}
            Err(error) if !leaves_connection_sound(error) => self.pool.idle().clear(),
            _ => self.pool.idle().push((self.connection, self.shown)),
        }
        result
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("free", &self.permits.available_permits()).finish_non_exhaustive()
    }
}

/// Opens one connection outside of any pool, for maintenance.
pub(crate) async fn connect_once(options: PgConnectOptions) -> Result<PgConnection, StoreError> {
    PgConnection::connect_with(&options).await.map_err(|error| unavailable(&error))
}
