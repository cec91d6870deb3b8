//! `cargo xtask torture`: the long form of the torture that runs with all tests in short. What is done and by which laws
//! it is judged stands in `crates/e2e/tests/torture`.

pub(crate) mod clock;

use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::build::{Service, TORTURE};
use crate::process::Guarded;

/// Optimised, and quicker to build than what is shipped.
const PROFILE: &str = "torture";

/// What `cargo xtask torture` takes. Every run ends by its number of calls.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Calls to make on each store, repeats not counted
    #[arg(long, default_value_t = 1_000_000)]
    calls: u64,
    /// Kills of nodes on each store, evenly over the calls
    #[arg(long, default_value_t = 200)]
    kills: u64,
    /// Kills of PostgreSQL, evenly over the calls
    #[arg(long, default_value_t = 20)]
    database_kills: u64,
    /// Jumps of nodes' clocks on each store, evenly over the calls
    #[arg(long, default_value_t = 60)]
    jumps: u64,
    /// Jumps of PostgreSQL's clock, evenly over the calls
    #[arg(long, default_value_t = 15)]
    database_jumps: u64,
    /// Changes of the root key on each store, evenly over the calls
    #[arg(long, default_value_t = 4)]
    rotations: u64,
    /// Calls at the same time
    #[arg(long, default_value_t = 64)]
    clients: u64,
    /// Users, each with an authenticator app and recovery codes
    #[arg(long, default_value_t = 5_000)]
    users: u64,
    /// What all chance comes from; drawn from the time where it is not given, and printed
    #[arg(long)]
    seed: Option<u64>,
    /// Only this store
    #[arg(long, value_parser = ["sqlite", "postgres"])]
    store: Option<String>,
}

/// Runs it. False if a law was broken.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let seed = args.seed.unwrap_or_else(seconds);
    let service = Service::build(PROFILE)?;
    let mut torture = Command::new(TORTURE.build(PROFILE)?);
    // One store after the other: each gets the whole machine.
    torture.args(["the_history_obeys_the_laws", "--nocapture", "--test-threads", "1"]);
    if let Some(store) = &args.store {
        torture.args(["--exact", &format!("{store}::the_history_obeys_the_laws")]);
    }
    for (name, value) in [
        ("SEED", seed),
        ("CALLS", args.calls),
        ("KILLS", args.kills),
        ("DATABASE_KILLS", args.database_kills),
        ("JUMPS", args.jumps),
        ("DATABASE_JUMPS", args.database_jumps),
        ("ROTATIONS", args.rotations),
        ("CLIENTS", args.clients),
        ("USERS", args.users),
    ] {
        torture.env(format!("COUNTERSIGN_TORTURE_{name}"), value.to_string());
    }
    torture.env("COUNTERSIGN_BIN", service.path());
    torture.env("COUNTERSIGN_XTASK", std::env::current_exe()?);
    let clock = clock::make()?;
    if let Some(clock) = &clock {
        torture.env("COUNTERSIGN_TEST_CLOCK", clock.library());
    }
    println!("seed {seed}");
    Ok(Guarded::start(torture.stdin(Stdio::null()))?.wait()?.success())
}

/// A seed that is another one each time.
#[expect(clippy::disallowed_methods, reason = "not the service: chance is wanted here, and it is printed")]
fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs())
}
