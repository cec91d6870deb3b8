//! One command a file: what is asked on the command line is done here.
//!
//! # To add a command
//! 1. Its arguments in `cli`.
//! 2. A file here with one function that returns `Result<(), Failure>`.
//! 3. Its row in `docs/operations/running.md`.

mod audit;
mod dev_ca;
mod doctor;
mod keys;
mod migrate;
mod post_restore;
mod serve;

use crate::cli::{AuditCommand, Command, KeysCommand};
use crate::failure::Failure;
use std::io::Write;

/// Does what is asked.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => serve::run(&args).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::DevCa(args) => dev_ca::run(&args),
        Command::Audit(AuditCommand::Verify(args)) => audit::verify(&args).await,
        Command::Audit(AuditCommand::Seals(args)) => audit::seals(&args).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::PostRestore(args) => post_restore::run(args).await,
        Command::Keys(KeysCommand::New(args)) => keys::new(&args),
        Command::Keys(KeysCommand::Status(args)) => keys::status(args).await,
        Command::Keys(KeysCommand::Rotate(args)) => keys::rotate(args).await,
    }
}

/// Prints lines to standard output at once. A reader who has gone is not our failure.
fn print(lines: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
}
