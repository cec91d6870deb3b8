//! Maintainers' commands: `cargo xtask help` lists them. Here stands the command line only; each command has its
//! own file. Nothing here ships with the service.

#![expect(clippy::print_stdout, reason = "a command line tool talks to its user on standard output")]
#![expect(clippy::print_stderr, reason = "a command line tool tells its troubles on standard error")]

mod db;
mod dev;
mod packages;
mod postgres;
mod python;
mod run;
mod test;

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
    /// Throw-away PostgreSQL servers and the checked queries of both stores
    #[command(subcommand)]
    Db(db::Command),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Dev(args) => dev::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Db(command) => db::run(&command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A gate's last line is its verdict, so the reason goes to the other stream.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
