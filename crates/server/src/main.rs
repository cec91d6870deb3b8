//! The binary `countersign`: configuration, wiring and life cycle. No rule lives here, no SQL, no contract.
//!
//! # Where to look
//! - `cli` is what may be asked, `commands` what is done about it; `commands::serve` puts everything together.
//! - `config` turns file, environment and flags into one checked value; `dev` makes the same value for development.
//! - `listener` and `tls` accept connections; the gRPC adapter takes over from there.
//! - `lifecycle` is from ready to stopped, `streams` ends what would not end by itself, `jobs` runs beside the calls.
//! - `vault` looks after root keys and what is sealed with them.
//! - `telemetry` is the log, `metrics` the page for Prometheus, `traces` the export to a collector.
//! - `adapters` are clock and randomness; `stores` opens the configured store, `notifier` the configured channel.

mod adapters;
mod cli;
mod commands;
mod config;
mod dev;
mod failure;
mod jobs;
mod lifecycle;
mod listener;
mod metrics;
mod notifier;
mod root_key;
mod stores;
mod streams;
mod telemetry;
mod tls;
mod tokens;
mod traces;
mod vault;

use clap::Parser;
use failure::Failure;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// How long threads that still work on something keep the program from ending. All that was acknowledged is durable.
const FAREWELL: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    telemetry::hide_panic_payloads();
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
                let _ = writeln!(stderr, "countersign: {line}");
            }
            failure.exit_code()
        }
    }
}

fn run(cli: cli::Cli) -> Result<(), Failure> {
    telemetry::forbid_core_dumps().map_err(Failure::io("switching core dumps off"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::io("starting the runtime"))?;
    let result = runtime.block_on(commands::run(cli.command));
    runtime.shutdown_timeout(FAREWELL);
    result
}
