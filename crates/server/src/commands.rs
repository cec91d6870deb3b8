//! One command a file: what is asked on the command line is done here.
//!
//! # To add a command
//! 1. Its arguments in `cli`.
//! 2. A file here with one function that returns `Result<(), Failure>`.
//! 3. Its row in `docs/operations/running.md`.
//!
//! Results are for `print`; what is said beside work that must be finished is for `tell`.

mod audit;
mod dev_ca;
mod doctor;
mod drop_events;
mod events;
mod json;
mod keys;
mod migrate;
mod notices;
mod opened;
mod policy;
mod post_restore;
mod qr;
mod serve;
mod service;
mod tenant;
mod user;

use crate::cli::{AuditCommand, Command, EventsCommand, KeysCommand, NoticesCommand};
use crate::config::{Log, LogFormat};
use crate::failure::Failure;
use crate::problem::Problem;
use crate::telemetry;
use countersign_domain::time::Timestamp;
use std::io::{self, Write};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::level_filters::LevelFilter;

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
        Command::Qr => qr::run(),
        Command::Audit(AuditCommand::Export(args)) => audit::export(&args).await,
        Command::Events(EventsCommand::Tail(args)) => events::tail(args).await,
        Command::Events(EventsCommand::Drop(args)) => drop_events::run(args).await,
        Command::Notices(NoticesCommand::List(args)) => notices::list(args).await,
        Command::Notices(NoticesCommand::Retry(args)) => notices::retry(args).await,
        Command::Keys(KeysCommand::New(args)) => keys::new(&args),
        Command::Keys(KeysCommand::Status(args)) => keys::status(args).await,
        Command::Keys(KeysCommand::Rotate(args)) => keys::rotate(args).await,
        Command::Tenant(command) => tenant::run(command).await,
        Command::Policy(command) => policy::run(command).await,
        Command::User(command) => user::run(command).await,
    }
}

/// Begins to log, to standard error and for people: what stores and rules warn of stands nowhere in results.
fn begin_log() {
    telemetry::init(Log { format: LogFormat::Human, level: LevelFilter::WARN }, None);
}

/// Prints results to standard output at once. Where whoever read them has gone, the command ends with that.
fn print(lines: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let printed = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
    printed.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Unread,
        _ => Failure::io("writing standard output")(error),
    })
}

/// Prints what a command says of its work, which goes on where nobody reads that.
fn tell(lines: &str) -> Result<(), Failure> {
    match print(lines) {
        Err(Failure::Unread) => Ok(()),
        printed => printed,
    }
}

/// A time as people write it.
fn instant(key: &str, text: &str) -> Result<Timestamp, Problem> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok();
    let micros = time.and_then(|time| i64::try_from(time.unix_timestamp_nanos() / 1_000).ok());
    let fix = "is no time; write it like 2026-01-15T08:00:00Z";
    micros.map(Timestamp::from_unix_micros).ok_or_else(|| Problem::new(key, fix))
}

/// A time for people; empty for times that no calendar has.
fn rfc3339(time: Timestamp) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.unix_micros()) * 1_000).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}
