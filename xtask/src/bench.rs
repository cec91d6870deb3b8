//! `cargo xtask bench`: how fast the service is, as ratios within one run on one machine, against named references.
//! The method and its reasons stand in docs/performance.md.
//!
//! - [`cast`] says which services and users there are, [`stage`] is everything that is measured, [`plan`] what is measured of it, [`measure`] does it.
//! - [`soak`] goes on for minutes.
//! - [`goals`] are the ratios, [`report`] and [`svg`] show them.

mod cast;
mod database;
mod figures;
mod goals;
mod growth;
mod load;
mod machine;
mod measure;
mod pgbench;
mod plan;
mod report;
mod sample;
mod service;
mod slow_disk;
mod soak;
mod stage;
mod svg;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use self::cast::Server;
use self::goals::Standing;
use self::measure::{Measure, Times};
use self::plan::Wanted;
use self::report::Report;
use self::sample::{Remarks, Round};
use self::stage::{Stage, Users};
use crate::build::{LOAD, Service};

/// Connections between the load generator and each service: a login service runs on a few nodes.
const CONNECTIONS: u32 = 2;

/// Users who are guessed at, for each second of a step: a storm makes up to some thousand guesses a second beside those who log
/// in, and each user stands two.
const STORMED_A_SECOND: u32 = 2_400;

/// As it is shipped.
const PROFILE: &str = "release";

/// What `cargo xtask bench` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Fewer and shorter rounds: a look, not a measurement; less than two minutes after the build
    #[arg(long)]
    quick: bool,
    /// Rounds; at least five say something [default: 5, with --quick 1]
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of each step [default: 5, with --quick 0.4; `pgbench` at least 1]
    #[arg(long)]
    seconds: Option<u32>,
    /// Only these steps, such as `pgbench-64,login-256`: to compare a change with what was before
    #[arg(long, value_name = "STEPS", value_delimiter = ',')]
    only: Vec<String>,
    /// Leave out the database whose flushes take 4 ms longer
    #[arg(long)]
    no_slow_disk: bool,
    /// Leave out the databases with ten thousand users, and with a million users and ten million events, which take minutes
    /// to make; --quick does
    #[arg(long)]
    no_growth: bool,
    /// After the rounds, so many minutes of logins that come at their own time; ten show what seconds hide
    #[arg(long, value_name = "MINUTES")]
    soak: Option<u32>,
    /// Write the figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the ratios against their goals
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Measures. False if an answer was wrong: such figures mean nothing.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let wanted = Wanted::named(&args.only)?;
    args.soak.map_or(Ok(()), |_| wanted.require_soak())?;
    let service = Service::build(PROFILE)?;
    let load = LOAD.build(PROFILE)?;
    let mut notes = Vec::new();
    let slow_disk = if args.no_slow_disk || !wanted.server(Server::Slow) {
        None
    } else {
        slow_disk::start().inspect_err(|error| notes.push(format!("P4 is not measured: {error:#}"))).ok()
    };
    println!("preparing");
    let slow = slow_disk.is_some();
    let wanted = if slow { wanted } else { wanted.without_slow_disk() };
    let grows = !args.no_growth && (!args.quick || !args.only.is_empty());
    let wanted = if grows { wanted } else { wanted.without_growth() };
    let mut stage = Stage::build(&service.path(), &load, slow_disk, &wanted)?;
    let times = Times {
        measured: match args.seconds {
            Some(seconds) => Duration::from_secs(seconds.into()),
            None => Duration::from_millis(if args.quick { 400 } else { 5_000 }),
        },
        warm_up: Duration::from_millis(if args.quick { 100 } else { 500 }),
    };
    stage.populate(users(args.quick, times), &wanted)?;
    let machine = machine::describe(&postgres(&stage)?);
    let mut measure = Measure::new(times);
    let mut rounds = Vec::new();
    let count = args.rounds.unwrap_or(if args.quick { 1 } else { 5 }).max(1);
    for number in 0..count {
        println!("round {} of {count}", number + 1);
        rounds.push(round(&mut stage, &mut measure, number, &wanted)?);
    }
    let soak = args.soak.map(|minutes| soak::run(&mut stage, &mut measure, minutes)).transpose()?;
    if count < 5 {
        notes.push(format!("{count} rounds are too few to say much"));
    }
    let outcomes = goals::evaluate(&rounds);
    let Remarks { wrong, odd } = &measure.remarks;
    notes.extend(odd.iter().cloned());
    let report = Report { machine, measured: times.measured, rounds: &rounds, outcomes, soak, wrong, notes };
    println!("{}", report.text());
    if let Some(file) = &args.json {
        write(file, &format!("{:#}\n", report.json()))?;
    }
    if let Some(file) = &args.svg {
        write(file, &svg::draw(&report.outcomes))?;
    }
    let missed = report.outcomes.iter().filter(|it| it.standing() == Standing::Missed).count();
    println!("{missed} below the floor, {} wrong", wrong.len());
    Ok(wrong.is_empty())
}

/// Every user has a new code each thirty seconds: so many that nobody has to wait long for codes. Of those who are guessed at
/// so many that their guesses last for a step.
fn users(quick: bool, times: Times) -> Users {
    let stormed = u128::from(STORMED_A_SECOND) * times.all().as_millis() / 1_000;
    let stormed = u32::try_from(stormed).unwrap_or(u32::MAX);
    if quick {
        Users {
            postgres: 8_000,
            remembered: 300,
            sqlite: 2_000,
            slow: 3_500,
            calm: 3_500,
            stormed,
            small: 3_000,
        }
    } else {
        Users {
            postgres: 120_000,
            remembered: 4_000,
            sqlite: 40_000,
            slow: 40_000,
            calm: 20_000,
            stormed,
            small: 10_000,
        }
    }
}

fn postgres(stage: &Stage) -> Result<String> {
    let database = stage.databases.values().next().context("there is no database")?;
    let version = database.server.query("postgres", "SHOW server_version")?;
    let version = version.split_whitespace().next().unwrap_or_default().to_owned();
    Ok(format!("PostgreSQL {version} with default settings"))
}

fn round(stage: &mut Stage, measure: &mut Measure, number: usize, wanted: &Wanted) -> Result<Round> {
    let mut round = Round::default();
    let fresh = stage.start(Server::Grouped)?;
    stage.load.connect("fresh", &fresh.address)?;
    round.start_millis = fresh.took.as_secs_f64() * 1e3;
    round.idle_bytes = machine::resident_bytes(fresh.pid());
    drop(fresh);
    for step in wanted.round(number) {
        let sample = measure.take(stage, step).with_context(|| step.name)?;
        println!("  {:16} {:8.0}/s", step.name, sample.answers.rate);
        round.samples.insert(step.name, sample);
    }
    Ok(round)
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
