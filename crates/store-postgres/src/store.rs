//! [`PostgresStore`]: what it is made of. What it can do stands in the module of each matter.

use crate::coalesce::CoalesceStats;
use crate::commit::Committer;
use crate::loader::{LOADERS, Loader};
use crate::options::PostgresOptions;
use crate::pool::Pool;
use crate::schema;
use crate::writer::{WRITERS, Writer};
use countersign_keyring::Keyring;
use countersign_ports::{Random, StoreError, ToldOnce};
use std::fmt;
use std::sync::Arc;

/// The store in PostgreSQL 14 or newer. Share it behind an `Arc`; it may be opened any number of times, by any number
/// of processes.
pub struct PostgresStore {
    pub(crate) pool: Arc<Pool>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) committer: Arc<Committer>,
    pub(crate) group: Option<Group>,
    /// What was told of the log that somebody edited.
    pub(crate) told: ToldOnce,
    /// Notices that were told of because they cannot be read.
    pub(crate) unread: ToldOnce,
}

/// What is there where calls that come at the same time are done together.
pub(crate) struct Group {
    pub(crate) loader: Loader,
    pub(crate) writer: Writer,
}

/// What was done together since the store was opened; see [`PostgresOptions::group_commit`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupStats {
    /// Commits of logins.
    pub commits: CoalesceStats,
    /// Loads.
    pub loads: CoalesceStats,
}

impl PostgresStore {
    /// Connects, and refuses a server that could lose commits (R61) and a schema older than this version; see
    /// [`crate::migrate`]. Keys are sealed and opened with `keyring`, nonces drawn from `random`.
    pub async fn connect(
        options: PostgresOptions,
        keyring: Arc<Keyring>,
        random: Arc<dyn Random>,
    ) -> Result<Self, StoreError> {
        let pool = Arc::new(Pool::new(&options)?);
        schema::check(&pool).await?;
        let committer =
            Committer { pool: Arc::clone(&pool), keyring: Arc::clone(&keyring), random: Arc::clone(&random) };
        let committer = Arc::new(committer);
        let group = options.group_commit.then(|| Group::start(&options, &committer)).transpose()?;
        let (told, unread) = (ToldOnce::default(), ToldOnce::default());
        Ok(Self { pool, keyring, random, committer, group, told, unread })
    }

    /// How well calls that come at the same time are done together; all 0 where that is switched off.
    pub fn group_stats(&self) -> GroupStats {
        self.group.as_ref().map(Group::stats).unwrap_or_default()
    }
}

impl Group {
    /// Starts the writers and loaders, on connections of their own: theirs must not wait behind a list or a sweep.
    fn start(options: &PostgresOptions, committer: &Arc<Committer>) -> Result<Self, StoreError> {
        let connections = u32::try_from(WRITERS + LOADERS).unwrap_or(u32::MAX);
        let options = PostgresOptions { max_connections: connections, ..options.clone() };
        let pool = Arc::new(Pool::new(&options)?);
        let writer = Writer::start(Arc::clone(committer), Arc::clone(&pool));
        Ok(Self { loader: Loader::start(pool), writer })
    }

    fn stats(&self) -> GroupStats {
        GroupStats { commits: self.writer.stats(), loads: self.loader.stats() }
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("pool", &self.pool).finish_non_exhaustive()
    }
}
