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
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// How long maintenance waits for its connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// At most `max_connections` of them, opened when needed and kept.
pub(crate) struct Pool {
    connect: PgConnectOptions,
    acquire_timeout: Duration,
    statement_timeout: Duration,
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
            statement_timeout: options.statement_timeout,
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

    /// Waits for the server's answer, but not for ever; [`caught`].
    pub(crate) async fn within<T, E: From<sqlx::Error>>(
        &self,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        timeout(self.answer_timeout, caught(answer)).await.unwrap_or_else(|_| Err(timed_out().into()))
    }

    /// Each session is checked before it serves: settings may differ by role and database, and change (R61).
    async fn open(&self) -> Result<PgConnection, StoreError> {
        let mut connection = connect(&self.connect, self.acquire_timeout).await?;
        let settings =
            self.within(durability::read(&mut connection)).await.map_err(|error| from_sql(&error))?;
        settings.check(self.statement_timeout)?;
        Ok(connection)
    }

    /// Whether a session still is what it has to be, as one that serves sees it (R61).
    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        let mut checkout = self.checkout().await?;
        let settings = self.within(durability::read(checkout.connection())).await;
        checkout.conclude(settings).map_err(|error| from_sql(&error))?.check(self.statement_timeout)
    }

    /// A connection beside the pool for what reads whole tables: no limit on a statement, and plans that may read all.
    pub(crate) async fn unhurried(&self) -> Result<PgConnection, StoreError> {
        let settings = [("statement_timeout", "0"), ("enable_seqscan", "on"), ("plan_cache_mode", "auto")];
        let options = self.connect.clone().options(settings);
        let mut connection = connect(&options, self.acquire_timeout).await?;
        let shown = self.within(Shown::All.show(&mut connection)).await;
        shown.map(|()| connection).map_err(|error| unavailable(&error))
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
    connect(&options, CONNECT_TIMEOUT).await
}

/// A server that takes the connection and then says nothing is not waited for.
async fn connect(options: &PgConnectOptions, patience: Duration) -> Result<PgConnection, StoreError> {
    let connection = timeout(patience, options.connect()).await;
    connection.unwrap_or_else(|_| Err(timed_out())).map_err(|error| unavailable(&error))
}

/// The answer, whenever it comes. A row that makes the driver panic, as a time does that no calendar has (`infinity`), is a
/// row that cannot be read: whoever edited it must not end what reads others beside it (R48).
pub(crate) async fn caught<T, E: From<sqlx::Error>>(
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_panic| Err(panicked().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options;
    use countersign_domain::secret::SecretString;
    use std::net::TcpListener;

    /// R66: on a session over TCP something moves each minute, so that nothing on the way forgets it.
    #[tokio::test]
    async fn the_server_keeps_a_silent_connection_alive() {
        let url =
            std::env::var("COUNTERSIGN_TEST_POSTGRES_URL").expect("run the tests with `cargo xtask test`");
        let pool = Pool::new(&PostgresOptions::new(SecretString::new(url))).unwrap();
        let mut checkout = pool.checkout().await.unwrap();
        for (setting, value) in [("idle", "60"), ("interval", "10"), ("count", "6")] {
            let name = format!("tcp_keepalives_{setting}");
            let shown = sqlx::query_scalar::<_, String>("SELECT current_setting($1)").bind(&name);
            assert_eq!(shown.fetch_one(checkout.connection()).await.unwrap(), value, "{name}");
        }
    }

    /// A server that takes a connection and then says nothing holds up neither operators nor those who count keys. Its time
    /// stands still, and passes when nothing else is to be waited for.
    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_is_given_up() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let url = SecretString::new(format!("postgres://a@127.0.0.1:{port}/d?sslmode=disable"));
        let hour = Duration::from_hours(1);
        let once = timeout(hour, connect_once(options::parse(&url).unwrap())).await;
        assert!(matches!(once, Ok(Err(StoreError::Unavailable(_)))), "{once:?}");
        let pool = Pool::new(&PostgresOptions::new(url)).unwrap();
        let unhurried = timeout(hour, pool.unhurried()).await;
        assert!(matches!(unhurried, Ok(Err(StoreError::Unavailable(_)))), "{unhurried:?}");
    }
}
