//! `cargo xtask db`: throw-away PostgreSQL servers, and the checked queries of both stores, whose data is written
//! and compared in [`queries`].

mod queries;

use std::env;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use self::queries::Store;
use crate::findings::{self, Findings};
use crate::postgres::Server;
use crate::process;

/// Set for a `psql` that has been started anew without interrupts.
const UNINTERRUPTED: &str = "COUNTERSIGN_XTASK_UNINTERRUPTED";

/// What `cargo xtask db` does.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Start a throw-away PostgreSQL, print its URL, and keep it until interrupted
    Up {
        /// Port on 127.0.0.1; a free one if not given
        #[arg(long)]
        port: Option<u16>,
        /// A library that it loads before its own
        #[arg(long)]
        preload: Option<PathBuf>,
    },
    /// Open psql on a throw-away PostgreSQL
    Psql,
    /// Write what the query macros of both stores need to compile without a database
    Prepare {
        /// Only this store
        store: Option<Store>,
    },
    /// Check that what is committed of it is what the migrations give
    Check,
}

/// Runs it.
pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Up { port, preload } => up(*port, preload.clone()),
        Command::Psql => psql(),
        Command::Prepare { store } => queries::prepare(*store),
        Command::Check => findings::report(&check()?),
    }
}

/// The gate: the committed query data is up to date.
pub(crate) fn check() -> Result<Findings> {
    queries::check()
}

/// Prints `url …` once and `pid …` at each start. A server that dies comes back on its data and port, as under any
/// service manager: a test may kill it.
fn up(port: Option<u16>, preload: Option<PathBuf>) -> Result<()> {
    let mut server = Server::start_with(port, preload)?;
    println!("url {}", server.url());
    loop {
        println!("pid {}", server.pid());
        std::io::stdout().flush()?;
        server.restart_after_death()?;
    }
}

/// An interrupt is for psql, which ends a query by it; it must not end us, and with us the server. What a program ignores is
/// ignored by what it becomes, and a shell can ignore it where we cannot; psql catches it all the same.
fn psql() -> Result<()> {
    if env::var_os(UNINTERRUPTED).is_none() {
        let mut shell = uninterrupted(&env::current_exe()?);
        return Err(shell.args(["db", "psql"]).env(UNINTERRUPTED, "1").exec()).context("cannot run sh");
    }
    let server = Server::start(None)?;
    process::run(&mut server.psql("postgres"))
}

/// The program, for which interrupts are nothing.
fn uninterrupted(program: &Path) -> std::process::Command {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", r#"trap "" INT; exec "$0" "$@""#]).arg(program);
    shell
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An interrupt typed in psql reaches all that the terminal shows, and ends none but queries.
    #[test]
    fn an_interrupt_does_not_end_what_keeps_the_server() {
        let mut shell = uninterrupted(Path::new("/bin/sh"));
        // It sends the signal to itself, and goes on.
        shell.args(["-c", "kill -s INT $$; echo went on"]);
        assert_eq!(process::output(&mut shell).unwrap(), "went on");
    }
}
