//! Maintainers' commands: `cargo xtask help` lists them. Here stands the command line only; each command has its
//! own file. Nothing here ships with the service.

#![expect(clippy::print_stdout, reason = "a command line tool talks to its user on standard output")]
#![expect(clippy::print_stderr, reason = "a command line tool tells its troubles on standard error")]

mod bench;
mod browser;
mod build;
mod ci;
mod db;
mod deny;
mod dev;
mod findings;
mod fuzz;
mod gates;
mod hygiene;
mod layers;
mod links;
mod packages;
mod postgres;
mod preload;
mod process;
mod proto;
mod python;
mod test;
mod torture;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Maintainers' commands of Countersign.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service for development: SQLite, demo tenants, loopback only
    Dev(dev::Args),
    /// Run every test, with a throw-away PostgreSQL
    Test(test::Args),
    /// Run the tests and then every gate, as a submission must pass them
    Ci(ci::Args),
    /// Measure how fast the service is, against named references in the same run
    Bench(bench::Args),
    /// Break nodes, databases and connections under load, and hold the history against the laws
    Torture(torture::Args),
    /// Throw what no one would write at everything that reads the bytes of others
    Fuzz(fuzz::Args),
    /// Check which crate depends on which
    Layers,
    /// Check the contract, or rewrite its files in the one format
    Proto {
        #[command(subcommand)]
        action: Option<proto::Action>,
    },
    /// Throw-away PostgreSQL servers and the checked queries of both stores
    #[command(subcommand)]
    Db(db::Command),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Dev(args) => dev::run(&args).map(|()| true),
        Command::Test(args) => test::run(&args),
        Command::Torture(args) => torture::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Ci(args) => Ok(ci::run(&args)),
        Command::Bench(args) => bench::run(&args),
        Command::Layers => layers::run().and_then(|findings| findings::report(&findings)).map(|()| true),
        Command::Proto { action } => proto::run(action).map(|()| true),
        Command::Db(command) => db::run(&command).map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        // What went wrong has been told, and the last line stays the last.
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
