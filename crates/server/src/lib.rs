//! What the binary `countersign` is made of: configuration, wiring and life cycle. No rule lives here, no SQL, no
//! contract. It is a library so that fuzzing reaches what reads the words of others; nobody else builds on it.
//!
//! # Where to look
//! - `cli` is what may be asked, `commands` what is done about it; `commands::serve` puts everything together.
//! - `config` turns file, environment and flags into one checked value; `dev` makes the same value for development.
//! - `listener` and `tls` accept connections; the gRPC adapter takes over from there.
//! - `lifecycle` is from ready to stopped, `streams` ends what would not end by itself, `jobs` runs beside the calls,
//!   and `standing` is how they are doing.
//! - `evidence` hands the seals of the log out.
//! - `readiness` says whether the node may serve; `witness` remembers how far the database had come.
//! - `vault` looks after root keys and what is sealed with them.
//! - `telemetry` is the log, `metrics` the page for Prometheus, `traces` the export to a collector.
//! - `fuzzing` is the door for `crates/fuzz-targets`, and not there where the server is built alone.
//! - `adapters` are clock and randomness; `stores` opens the configured store, `notifier` the configured channel.

mod adapters;
mod cli;
mod commands;
mod config;
mod dev;
mod evidence;
mod failure;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod hangups;
mod jobs;
mod lifecycle;
mod listener;
mod metrics;
mod notifier;
mod problem;
mod readiness;
mod root_key;
mod secret_file;
mod span_fields;
mod standing;
mod stores;
mod streams;
mod telemetry;
mod tls;
mod tokens;
mod traces;
mod vault;
mod witness;

use clap::Parser;
use failure::Failure;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// How long threads that still work on something keep the program from ending. All that was acknowledged is durable.
const FAREWELL: Duration = Duration::from_secs(1);

/// The whole program: reads the command line, does what it says, and gives the status to exit with.
pub fn main() -> ExitCode {
    telemetry::tell_of_panics();
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS };
            // Whoever closed the stream does not want to read it.
            let _ = error.print();
            return code;
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let mut stderr = std::io::stderr().lock();
            for line in failure.lines() {
                // Files and services may be somebody else's: nothing in them speaks to the terminal.
                let line = line.replace(char::is_control, "\u{fffd}");
                let _ = writeln!(stderr, "countersign: {line}");
            }
            failure.exit_code()
        }
    }
}

/// Pages of two megabytes would hold a few small things each: resident memory doubles under load and nothing is quicker.
fn keep_pages_small() {
    // Where the kernel knows no such wish, memory is as it comes.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

fn run(cli: cli::Cli) -> Result<(), Failure> {
    keep_pages_small();
    telemetry::forbid_core_dumps().map_err(Failure::io("switching core dumps off"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::io("starting the runtime"))?;
    let result = runtime.block_on(commands::run(cli.command));
    runtime.shutdown_timeout(FAREWELL);
    result
}
