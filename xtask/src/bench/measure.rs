//! Running one step: the answers, and what they cost meanwhile.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::cast::{Disk, Population, Server};
use super::machine;
use super::plan::{Pace, Step, What};
use super::sample::{self, Answers, Cpu, Remarks, Sample};
use super::stage::{Stage, each};

/// A tenant has no more calls at work than this while another tenant is there, which it is for so long after its last
/// call: as the service comes (`limits.max_at_work_per_tenant`).
const SHARE: u32 = 32;
const PRESENT: Duration = Duration::from_secs(10);
/// How often the memory of a server is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Guesses in flight of a storm.
const STORM: u32 = 512;
/// The closed loop whose rate tells how many calls the open one makes.
const CLOSED: &str = "login-256";
/// What is expected of a closed loop that never ran: so many a second for each in flight, but not more than so many in all. Where
/// it is more, its codes may be used up before its time is, and what was measured by then is what there is.
const FIRST_GUESS: f64 = 1_000.0;
const FIRST_GUESS_AT_MOST: f64 = 8_000.0;

/// How long everything takes.
#[derive(Clone, Copy)]
pub(super) struct Times {
    /// How long a step is measured.
    pub(super) measured: Duration,
    pub(super) warm_up: Duration,
}

impl Times {
    /// How long a step runs.
    pub(super) fn all(self) -> Duration {
        self.measured + self.warm_up
    }
}

/// Takes the measurements, and remembers what was odd about them.
pub(super) struct Measure {
    times: Times,
    /// The last rate of each step, to know how many codes it will need.
    rates: BTreeMap<&'static str, f64>,
    /// The population that each server saw last, and until when.
    seen: BTreeMap<Server, (Population, Instant)>,
    /// What there is to say, each line with its step.
    pub(super) remarks: Remarks,
}

/// CPU time so far, in seconds.
struct Clock {
    server: f64,
    database: f64,
    client: f64,
    ours: f64,
    worked: f64,
    stolen: f64,
    at: Instant,
}

impl Measure {
    pub(super) fn new(times: Times) -> Self {
        Self { times, rates: BTreeMap::new(), seen: BTreeMap::new(), remarks: Remarks::default() }
    }

    /// Runs a step.
    pub(super) fn take(&mut self, stage: &mut Stage, step: &Step) -> Result<Sample> {
        self.await_absence(stage, step)?;
        self.await_codes(stage, step)?;
        self.clear_for_storm(stage, step)?;
        let sample = self.sample(stage, step, self.times, self.half_a_closed_loop())?;
        self.rates.insert(step.name, sample.answers.rate);
        Ok(sample)
    }

    /// Runs a step on, at once, for so long: an open loop with so many calls a second.
    pub(super) fn go_on(
        &mut self,
        stage: &mut Stage,
        step: &Step,
        seconds: u32,
        per_second: u32,
    ) -> Result<Sample> {
        self.sample(
            stage,
            step,
            Times { measured: Duration::from_secs(seconds.into()), warm_up: Duration::ZERO },
            per_second,
        )
    }

    fn sample(&mut self, stage: &mut Stage, step: &Step, times: Times, per_second: u32) -> Result<Sample> {
        let before = clock(stage, step);
        let (answers, resident_bytes) = match &step.what {
            What::Baseline { disk, clients } => (baseline(stage, *disk, *clients, times)?, None),
            What::Load { server, .. } => self.load(stage, step, *server, times, per_second)?,
        };
        let cpu = before.zip(clock(stage, step)).map(|(before, after)| used(&before, &after));
        Ok(Sample { answers, cpu, resident_bytes })
    }

    /// Calls a second of an open loop: half as many as a closed one had answered.
    pub(super) fn half_a_closed_loop(&self) -> u32 {
        let closed = self.rates.get(CLOSED).copied().unwrap_or(FIRST_GUESS_AT_MOST / 4.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand")]
        let half = (closed / 2.0).max(1.0) as u32;
        half
    }

    fn load(
        &mut self,
        stage: &mut Stage,
        step: &Step,
        server: Server,
        times: Times,
        per_second: u32,
    ) -> Result<(Answers, Option<u64>)> {
        let running = stage.running.get(&server);
        let pid = running.with_context(|| format!("{} does not run", server.name()))?.pid();
        let command = command(step, times, per_second)?;
        let (running, is_running) = mpsc::channel::<()>();
        let watcher = thread::spawn(move || {
            let mut most = machine::resident_bytes(pid);
            while is_running.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                most = most.max(machine::resident_bytes(pid));
            }
            most
        });
        let told = stage.load.tell(&command);
        drop(running);
        let most = watcher.join().ok().flatten();
        if let What::Load { population, .. } = &step.what {
            self.seen.insert(server, (*population, now()));
        }
        let (answers, remarks) = sample::read(&told?)?;
        let of_step = |what| format!("{}: {what}", step.name);
        self.remarks.wrong.extend(remarks.wrong.into_iter().map(of_step));
        self.remarks.odd.extend(remarks.odd.into_iter().map(of_step));
        Ok((answers, most))
    }

    /// Waits until the tenant of the step before is there no more, where that would take places away: each population is a
    /// tenant's.
    fn await_absence(&self, stage: &mut Stage, step: &Step) -> Result<()> {
        let What::Load { server, population, in_flight, .. } = &step.what else { return Ok(()) };
        let Some((other, until)) = self.seen.get(server) else { return Ok(()) };
        if other == population || *in_flight <= SHARE {
            return Ok(());
        }
        let left = PRESENT.saturating_sub(until.elapsed());
        stage.load.tell(&json!({ "do": "pause", "millis": u64::try_from(left.as_millis())? })).map(|_| ())
    }

    /// Has those log in who will be guessed at: what they were guessed at before then locks nobody.
    fn clear_for_storm(&mut self, stage: &mut Stage, step: &Step) -> Result<()> {
        let What::Load { server, storm: true, .. } = &step.what else { return Ok(()) };
        let users = stage.users.get(&Population::Stormed).copied().unwrap_or_default();
        let stormed = Population::Stormed.name();
        stage.load.tell(&json!({ "do": "await", "population": stormed, "codes": users }))?;
        let told = stage.load.tell(&each(*server, Population::Stormed, "check"))?;
        let wrong = sample::wrong(&told).into_iter();
        self.remarks.wrong.extend(wrong.map(|what| format!("{}, before it: {what}", step.name)));
        Ok(())
    }

    /// Waits until users have as many codes as the step will need, if they will ever have them.
    fn await_codes(&self, stage: &mut Stage, step: &Step) -> Result<()> {
        let What::Load { population, flow, in_flight, pace, .. } = &step.what else {
            return Ok(());
        };
        if !["check", "challenge", "mixed"].contains(flow) {
            return Ok(());
        }
        let guess = match *pace {
            Pace::Open => self.half_a_closed_loop().into(),
            Pace::Closed => FIRST_GUESS * f64::from(*in_flight),
            Pace::Paused(millis) => 1e3 / f64::from(millis) * f64::from(*in_flight),
        };
        let rate = self.rates.get(step.name).copied().unwrap_or(guess.min(FIRST_GUESS_AT_MOST));
        let users = stage.users.get(population).copied().unwrap_or_default();
        let needed = rate * self.times.all().as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred thousand")]
        let codes = (needed * 1.2).min(f64::from(users) * 2.5) as u64;
        let population = population.name();
        stage.load.tell(&json!({ "do": "await", "population": population, "codes": codes })).map(|_| ())
    }
}

fn baseline(stage: &Stage, disk: Disk, clients: u32, times: Times) -> Result<Answers> {
    let database = stage.databases.get(&disk).context("there is no such database")?;
    // Seconds are all that `pgbench` knows.
    let seconds = u32::try_from(times.measured.as_secs().max(1))?;
    database.pgbench.run(&database.server, clients, seconds)
}

fn command(step: &Step, times: Times, per_second: u32) -> Result<Value> {
    let What::Load { server, population, flow, in_flight, pace, storm } = &step.what else {
        anyhow::bail!("{} is no load", step.name);
    };
    let (pause_millis, per_second) = match *pace {
        Pace::Closed => (0, None),
        Pace::Paused(millis) => (millis, None),
        Pace::Open => (0, Some(per_second)),
    };
    Ok(json!({
        "do": "run", "server": server.name(), "population": population.name(), "flow": flow,
        "in_flight": in_flight,
        "millis": u64::try_from(times.measured.as_millis())?,
        "warm_up_millis": u64::try_from(times.warm_up.as_millis())?,
        "pause_millis": pause_millis, "per_second": per_second,
        "beside": storm.then(|| json!({
            "population": Population::Stormed.name(), "flow": "guess", "in_flight": STORM,
        })),
    }))
}

#[expect(clippy::disallowed_methods, reason = "this is the stopwatch")]
fn now() -> Instant {
    Instant::now()
}

fn clock(stage: &Stage, step: &Step) -> Option<Clock> {
    let own = machine::cpu_seconds(std::process::id())?;
    let load = machine::cpu_seconds(stage.load.pid())?;
    let databases: BTreeMap<Disk, f64> = stage
        .databases
        .iter()
        .filter_map(|(disk, it)| Some((*disk, machine::cpu_seconds_of_family(it.server.pid())?)))
        .collect();
    let servers: BTreeMap<Server, f64> = stage
        .running
        .iter()
        .filter_map(|(name, it)| Some((*name, machine::cpu_seconds(it.pid())?)))
        .collect();
    let (server, disk, client) = match &step.what {
        // `pgbench` has ended by then, and counts to us.
        What::Baseline { disk, .. } => (0.0, Some(*disk), own),
        What::Load { server, .. } => {
            let disk = server.place().map(|(disk, _)| disk);
            (*servers.get(server)?, disk, load)
        }
    };
    let database = disk.and_then(|disk| databases.get(&disk).copied()).unwrap_or_default();
    let ours = own + load + databases.values().sum::<f64>() + servers.values().sum::<f64>();
    let (worked, stolen) = machine::cpu_seconds_of_all()?;
    Some(Clock { server, database, client, ours, worked, stolen, at: now() })
}

fn used(before: &Clock, after: &Clock) -> Cpu {
    let cores = thread::available_parallelism()
        .map_or(1.0, |cores| f64::from(u32::try_from(cores.get()).unwrap_or(1)));
    let there_was = (after.at - before.at).as_secs_f64() * cores;
    let ours = after.ours - before.ours;
    let foreign = (after.worked - before.worked - ours).max(0.0) + after.stolen - before.stolen;
    Cpu {
        server: after.server - before.server,
        database: after.database - before.database,
        client: after.client - before.client,
        foreign: (foreign / there_was).clamp(0.0, 1.0),
    }
}
