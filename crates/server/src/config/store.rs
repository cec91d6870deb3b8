//! Which store a configuration means. How a store is opened is not written here.

use super::raw::{RawPostgres, RawSqlite, RawStore};
use super::{Problem, Problems, Readers, read_secret};
use countersign_domain::secret::SecretString;
use countersign_store_postgres::PostgresOptions;
use std::path::PathBuf;

/// Where state is kept.
#[derive(Debug, Clone)]
pub(crate) enum StoreConfig {
    /// In a file on this machine.
    Sqlite {
        /// The database; `-wal` and `-shm` stand beside it.
        path: PathBuf,
    },
    /// In a PostgreSQL database.
    Postgres(PostgresOptions),
}

impl StoreConfig {
    /// The name of its kind, for people.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

/// Connections that make sense at all; PostgreSQL's own default for everybody is 100.
const CONNECTIONS: std::ops::RangeInclusive<u32> = 1..=500;

/// The value of `--store`: `sqlite:PATH` or a URL of PostgreSQL.
pub(super) fn from_flag(target: &str) -> Result<RawStore, Problem> {
    if let Some(path) = target.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
        return Ok(RawStore {
            sqlite: Some(RawSqlite { path: Some(PathBuf::from(path)) }),
            ..RawStore::default()
        });
    }
    if is_postgres_url(target) {
        let url = Some(SecretString::new(target.to_owned()));
        return Ok(RawStore {
            postgres: Some(RawPostgres { url, ..RawPostgres::default() }),
            ..RawStore::default()
        });
    }
    Err(Problem::new("--store", "is no store; write sqlite:PATH or postgres://USER@HOST/DATABASE"))
}

/// Where a node remembers how far its store had come: as written, else beside the file of SQLite.
pub(super) fn witness(raw: &RawStore) -> Option<PathBuf> {
    let beside = || {
        let mut path = raw.sqlite.as_ref()?.path.clone()?.into_os_string();
        path.push("-witness");
        Some(path.into())
    };
    raw.witness_file.clone().or_else(beside)
}

/// The one store that is meant.
pub(super) fn validate(raw: RawStore, problems: &mut Problems) -> Option<StoreConfig> {
    match (raw.sqlite, raw.postgres) {
        (Some(sqlite), None) => {
            let path = sqlite.path.filter(|path| !path.as_os_str().is_empty());
            let missing =
                || Problem::new("store.sqlite.path", "is missing; give the path of the database file");
            problems.take(path.ok_or_else(missing)).map(|path| StoreConfig::Sqlite { path })
        }
        (None, Some(postgres)) => validate_postgres(postgres, problems),
        (None, None) => {
            problems.add(Problem::new("store", "is missing; add [store.sqlite] or [store.postgres]"));
            None
        }
        (Some(_), Some(_)) => {
            problems.add(Problem::new("store", "names two; keep one of [store.sqlite] and [store.postgres]"));
            None
        }
    }
}

fn validate_postgres(raw: RawPostgres, problems: &mut Problems) -> Option<StoreConfig> {
    let connections = problems.number("store.postgres.max_connections", raw.max_connections, &CONNECTIONS);
    let (key, url) = match (raw.url, raw.url_file) {
        (Some(url), None) => ("store.postgres.url", Ok(url)),
        (None, Some(path)) => {
            let key = "store.postgres.url_file";
            let text = read_secret(key, &path, Readers::Group);
            (key, text.map(|text| SecretString::new(text.expose().trim().to_owned())))
        }
        (None, None) => {
            let text = "is missing; give it, or the file that holds it as store.postgres.url_file";
            ("", Err(Problem::new("store.postgres.url", text)))
        }
        (Some(_), Some(_)) => {
            let text = "is given twice; keep one of store.postgres.url and store.postgres.url_file";
            ("", Err(Problem::new("store.postgres.url", text)))
        }
    };
    let url = problems.take(url)?;
    if !is_postgres_url(url.expose()) {
        problems
            .add(Problem::new(key, "is no URL of PostgreSQL; write postgres://USER:PASSWORD@HOST/DATABASE"));
        return None;
    }
    let mut options = PostgresOptions::new(url);
    options.max_connections = connections.unwrap_or(options.max_connections);
    options.group_commit = raw.group_commit.unwrap_or(options.group_commit);
    Some(StoreConfig::Postgres(options))
}

fn is_postgres_url(text: &str) -> bool {
    ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| text.len() > scheme.len() && text.starts_with(scheme))
}
