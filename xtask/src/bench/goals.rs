//! The goals as data: which ratio, what it should be, and the floor that a change may not fall below.
//!
//! To add a goal, add it to [`GOALS`], and the step it needs to `plan`.

use super::figures::Spread;
use super::sample::{Round, Sample};

/// Is more better, or less?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Better {
    More,
    Less,
}

/// One goal.
pub(super) struct Goal {
    pub(super) id: &'static str,
    pub(super) what: &'static str,
    pub(super) unit: &'static str,
    pub(super) better: Better,
    /// What it should be.
    pub(super) target: f64,
    /// None where the goal is all there is.
    pub(super) floor: Option<f64>,
    /// The ratio of one round; none where it was not measured.
    ratio: fn(&Round) -> Option<f64>,
}

/// A goal and what came of it.
pub(super) struct Outcome {
    pub(super) goal: &'static Goal,
    /// None where it was not measured.
    pub(super) ratio: Option<Spread>,
}

/// How a ratio stands to its goal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    Met,
    /// Not met, and not below the floor.
    Short,
    /// Below the floor, or short where there is none.
    Missed,
    NotMeasured,
}

impl Outcome {
    /// How the median stands.
    pub(super) fn standing(&self) -> Standing {
        let Some(Spread { median, .. }) = self.ratio else { return Standing::NotMeasured };
        let reaches = |limit: f64| match self.goal.better {
            Better::More => median >= limit,
            Better::Less => median <= limit,
        };
        match self.goal.floor {
            _ if reaches(self.goal.target) => Standing::Met,
            Some(floor) if reaches(floor) => Standing::Short,
            _ => Standing::Missed,
        }
    }
}

/// What came of all goals.
pub(super) fn evaluate(rounds: &[Round]) -> Vec<Outcome> {
    let outcome =
        |goal: &'static Goal| Outcome { goal, ratio: Spread::of(rounds.iter().filter_map(goal.ratio)) };
    GOALS.iter().map(outcome).collect()
}

const fn goal(
    id: &'static str,
    what: &'static str,
    unit: &'static str,
    (better, target, floor): (Better, f64, Option<f64>),
    ratio: fn(&Round) -> Option<f64>,
) -> Goal {
    Goal { id, what, unit, better, target, floor, ratio }
}

use Better::{Less, More};

/// All of them.
pub(super) const GOALS: [Goal; 19] = [
    goal("P1", "256 in flight, against pgbench with 64 clients", "x", (More, 2.0, Some(1.3)), |round| {
        rates(round, "login-256", "pgbench-64")
    }),
    goal("P2", "256 in flight, against one transaction per request", "x", (More, 6.0, Some(4.0)), |round| {
        rates(round, "login-256", "one-by-one-256")
    }),
    goal("P3a", "8 in flight, against pgbench with 8 clients", "x", (More, 0.6, Some(0.4)), |round| {
        rates(round, "login-8", "pgbench-8")
    }),
    goal("P3b", "1 in flight, against pgbench with 1 client", "x", (More, 0.5, Some(0.3)), |round| {
        rates(round, "login-1", "pgbench-1")
    }),
    goal(
        "P4a",
        "flushes 4 ms longer, 64 in flight, against pgbench with 64 clients",
        "x",
        (More, 1.0, Some(0.8)),
        |round| rates(round, "slow-login-64", "slow-pgbench-64"),
    ),
    goal(
        "P4b",
        "flushes 4 ms longer, 1,024 in flight, against pgbench with 64 clients",
        "x",
        (More, 4.0, Some(3.0)),
        |round| rates(round, "slow-login-1024", "slow-pgbench-64"),
    ),
    goal("P5a", "p99 against p50, 256 in flight", "x", (Less, 2.0, Some(3.0)), |round| {
        Some(p99(round, "login-256")? / p50(round, "login-256")?)
    }),
    goal(
        "P5b",
        "p99 at 256 in flight, against pgbench's with 64 clients",
        "x",
        (Less, 2.0, Some(3.0)),
        |round| Some(p99(round, "login-256")? / p99(round, "pgbench-64")?),
    ),
    goal("P6", "SQLite: 256 in flight, against one commit at a time", "x", (More, 5.0, Some(4.0)), |round| {
        rates(round, "sqlite-256", "sqlite-1")
    }),
    goal("P7a", "challenge and answer, against one call", "x", (More, 0.8, None), |round| {
        rates(round, "challenge-256", "login-256")
    }),
    goal("P7b", "remembered client, against a code", "x", (More, 1.0, None), |round| {
        rates(round, "remembered-256", "login-256")
    }),
    goal("P7c", "a tenth wrong or replayed, against all right", "x", (More, 0.9, None), |round| {
        rates(round, "mixed-256", "login-256")
    }),
    goal("P8a", "resident memory, idle", "MB", (Less, 16.0, Some(32.0)), |round| megabytes(round.idle_bytes)),
    goal("P8b", "resident memory at 256 in flight", "MB", (Less, 40.0, Some(80.0)), |round| {
        megabytes(round.samples.get("login-256")?.resident_bytes)
    }),
    goal("P8c", "from start to listening", "ms", (Less, 100.0, Some(300.0)), |round| {
        Some(round.start_millis)
    }),
    goal("P9a", "beside a million users and ten million events", "x", (More, 0.9, Some(0.8)), |round| {
        rates(round, "grown-login-256", "login-256")
    }),
    goal("P9b", "a page of a million users, as its caller sees it", "ms", (Less, 10.0, None), |round| {
        Some(p50(round, "grown-list-1")? / 1e3)
    }),
    goal(
        "P9c",
        "the coverage of a million users, as its caller sees it",
        "ms",
        (Less, 10.0, None),
        |round| Some(p50(round, "grown-coverage-1")? / 1e3),
    ),
    goal("R66", "a login while another tenant is stormed, against alone", "x", (Less, 2.0, None), |round| {
        Some(p50(round, "storm-32")? / p50(round, "calm-32")?)
    }),
];

fn rates(round: &Round, ours: &str, reference: &str) -> Option<f64> {
    let rate = |step: &str| round.samples.get(step).map(|Sample { answers, .. }| answers.rate);
    Some(rate(ours)? / rate(reference)?)
}

fn p50(round: &Round, step: &str) -> Option<f64> {
    Some(micros(round.samples.get(step)?.answers.p50_micros))
}

fn p99(round: &Round, step: &str) -> Option<f64> {
    Some(micros(round.samples.get(step)?.answers.p99_micros))
}

#[expect(clippy::cast_precision_loss, reason = "times of calls are far below 2^52 microseconds")]
fn micros(micros: u64) -> f64 {
    micros as f64
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 bytes")]
fn megabytes(bytes: Option<u64>) -> Option<f64> {
    bytes.map(|bytes| bytes as f64 / 1e6)
}
