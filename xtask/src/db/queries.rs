//! The offline data of the query macros: for each store a fresh database, its migrations, and a compilation that
//! asks that database about every query and writes the answers down. The stores compile from what is committed, so
//! that a build needs no database; the migrations are applied from outside, so that a store whose data is out of
//! date can still be prepared.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum as _;

use crate::findings::Findings;
use crate::postgres::Server;
use crate::{process, python};

/// Runs the files named after the database, in order, on an SQLite file.
const APPLY_SQLITE: &str = "
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
for name in sys.argv[2:]:
    with open(name, encoding='utf-8') as file:
        try:
            database.executescript(file.read())
        except sqlite3.Error as error:
            sys.exit(f'{name}: {error}')
database.close()
";

/// One of the stores.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Store {
    /// The PostgreSQL adapter
    Postgres,
    /// The SQLite adapter
    Sqlite,
}

/// The files of a folder by name.
type Data = BTreeMap<String, String>;

/// Writes the data of one store or of both anew; what is there is replaced only when it could be made.
pub(super) fn prepare(only: Option<Store>) -> Result<()> {
    for store in Store::value_variants().iter().filter(|store| only.is_none_or(|only| only == **store)) {
        let data = store.fresh()?;
        let folder = store.offline_dir();
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        for (name, text) in &data {
            fs::write(folder.join(name), text)?;
        }
        println!("{}: {} queries", store.folder(), data.len());
    }
    Ok(())
}

/// What differs between the data as it is and as it would be written.
pub(super) fn check() -> Result<Findings> {
    let mut findings = Findings::new();
    for store in Store::value_variants() {
        let found = differences(&read(&store.offline_dir())?, &store.fresh()?);
        findings.extend(found.into_iter().map(|finding| format!("{}/.sqlx/{finding}", store.folder())));
    }
    if !findings.is_empty() {
        findings.push("run `cargo xtask db prepare` and commit what it writes".to_owned());
    }
    Ok(findings)
}

fn fresh_postgres() -> Result<Data> {
    let server = Server::start(None)?;
    server.query("postgres", "create database queries")?;
    for migration in Store::Postgres.migrations()? {
        let mut psql = server.psql("queries");
        // Each in a transaction of its own, as the service applies them.
        psql.args(["-q", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-f"]).arg(&migration);
        process::output(&mut psql)?;
    }
    Store::Postgres.describe(&server.database_url("queries"))
}

fn fresh_sqlite() -> Result<Data> {
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("queries.db");
    let mut python = Command::new(python::interpreter()?);
    process::output(python.args(["-c", APPLY_SQLITE]).arg(&database).args(Store::Sqlite.migrations()?))?;
    Store::Sqlite.describe(&format!("sqlite://{}", database.display()))
}

impl Store {
    fn package(self) -> &'static str {
        match self {
            Self::Postgres => "countersign-store-postgres",
            Self::Sqlite => "countersign-store-sqlite",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Postgres => "crates/store-postgres",
            Self::Sqlite => "crates/store-sqlite",
        }
    }

    /// The variable that names the database, as in the `sqlx.toml` of the store.
    fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "COUNTERSIGN_POSTGRES_DATABASE_URL",
            Self::Sqlite => "COUNTERSIGN_SQLITE_DATABASE_URL",
        }
    }

    /// The data as migrations and queries give it now.
    fn fresh(self) -> Result<Data> {
        match self {
            Self::Postgres => fresh_postgres(),
            Self::Sqlite => fresh_sqlite(),
        }
    }

    fn offline_dir(self) -> PathBuf {
        process::root().join(self.folder()).join(".sqlx")
    }

    /// Oldest first. A store without migrations is one we look for in the wrong place.
    fn migrations(self) -> Result<Vec<PathBuf>> {
        let folder = process::root().join(self.folder()).join("migrations");
        let names = read(&folder)?.into_keys();
        let up = names.filter(|name| process::is_kind(name, "sql") && !name.contains(".down."));
        let migrations: Vec<PathBuf> = up.map(|name| folder.join(name)).collect();
        if migrations.is_empty() {
            bail!("no migrations in {}/migrations", self.folder());
        }
        Ok(migrations)
    }

    /// Compiles the store against the database; the macros write one file a query.
    ///
    /// It must be compiled, however many builds were before, and another build in the same folder must neither take our
    /// place nor be content with what we made. So nothing is touched that others look at: this build has an option that no
    /// other has. All queries are in the library.
    fn describe(self, url: &str) -> Result<Data> {
        let folder = tempfile::tempdir()?;
        let mut cargo = process::cargo();
        cargo.args(["rustc", "--quiet", "--profile", "check", "--lib", "--package", self.package()]);
        cargo.args(["--", "--cfg", &format!("described_{}_{}", std::process::id(), nanoseconds())]);
        cargo.env(self.variable(), url).env("SQLX_OFFLINE", "false").env("SQLX_OFFLINE_DIR", folder.path());
        // What this would be quicker by never comes again.
        process::output(cargo.env("CARGO_INCREMENTAL", "0"))?;
        read(folder.path())
    }
}

#[expect(clippy::disallowed_methods, reason = "not the service: a number that no build had before")]
fn nanoseconds() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos())
}

/// The files of a folder; a folder that is not there has none.
fn read(folder: &Path) -> Result<Data> {
    if !folder.exists() {
        return Ok(Data::new());
    }
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    entries
        .map(|entry| {
            let entry = entry?;
            Ok((entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path())?))
        })
        .collect()
}

/// One line a file that differs.
fn differences(committed: &Data, wanted: &Data) -> Findings {
    let mut findings = Findings::new();
    for (name, text) in wanted {
        match committed.get(name) {
            None => findings.push(format!("{name}: missing")),
            // A file may end with a line break or not.
            Some(has) if has.trim_end() != text.trim_end() => findings.push(format!("{name}: out of date")),
            Some(_) => {}
        }
    }
    findings.extend(
        committed
            .keys()
            .filter(|name| !wanted.contains_key(*name))
            .map(|name| format!("{name}: of no query")),
    );
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(files: &[(&str, &str)]) -> Data {
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn query_data_that_is_missing_left_over_or_out_of_date_is_named() {
        let committed = data(&[("same", "1"), ("changed", "1"), ("left", "1")]);
        let wanted = data(&[("same", "1\n"), ("changed", "2"), ("new", "1")]);
        assert_eq!(
            differences(&committed, &wanted),
            ["changed: out of date", "new: missing", "left: of no query"]
        );
    }
}
