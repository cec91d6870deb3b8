//! Finding the programs of PostgreSQL, or having them installed, or saying what to do.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::packages::{self, Package};
use crate::process;

/// The oldest version that its makers still maintain, and that operators are promised. The event log reads
/// `pg_current_snapshot` and `xid8`, which version 13 brought.
const OLDEST_MAJOR: u32 = 14;

/// Folders of packagers, below which a folder a version holds the programs: (parent, prefix, below it).
const PACKAGED: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
];

const PACKAGE: Package =
    Package { apt: "postgresql", dnf: "postgresql-server", apk: "postgresql", brew: "postgresql@17" };

/// Without this Debian's package would make a cluster and start it as a service.
const NO_CLUSTER: &str = "mkdir -p /etc/postgresql-common
file=/etc/postgresql-common/createcluster.conf
[ -e $file ] || echo 'create_main_cluster = false' >$file";

/// The folder of `initdb`, `postgres`, `pg_ctl` and `psql`.
pub(super) fn find_or_install() -> Result<PathBuf> {
    if let Some(programs) = find() {
        return Ok(programs);
    }
    let install = packages::install_after(&PACKAGE, NO_CLUSTER);
    let installed = install.and_then(|()| find().context("it still has no initdb that we can find"));
    installed.with_context(|| {
        format!(
            "the tests need PostgreSQL {OLDEST_MAJOR} or newer (initdb, postgres, pg_ctl, psql), and it is not here. \
             Install it (Debian and Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server \
             postgresql; Alpine: apk add postgresql postgresql-client; macOS: brew install postgresql@17), or put \
             the folder of its programs into PATH, and run this again"
        )
    })
}

/// The newest one on this machine.
fn find() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> =
        env::var_os("PATH").map(|it| env::split_paths(&it).collect()).unwrap_or_default();
    if let Ok(folder) = process::output(Command::new("pg_config").arg("--bindir")) {
        folders.push(folder.into());
    }
    for (parent, prefix, below) in PACKAGED {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let versions = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
        folders.extend(versions.map(|entry| entry.path().join(below)));
    }
    let usable = folders.into_iter().filter_map(|folder| Some((major(&folder)?, folder)));
    let newest = usable.filter(|(major, _)| *major >= OLDEST_MAJOR).max_by_key(|(major, _)| *major);
    newest.map(|(_, folder)| folder)
}

/// The major version of a folder that has all four programs.
fn major(folder: &Path) -> Option<u32> {
    if !["initdb", "postgres", "pg_ctl", "psql"].iter().all(|program| folder.join(program).is_file()) {
        return None;
    }
    parse_major(&process::output(Command::new(folder.join("postgres")).arg("--version")).ok()?)
}

/// `postgres (PostgreSQL) 15.18 (Debian …)` is 15.
pub(super) fn parse_major(version: &str) -> Option<u32> {
    let number = version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}
