//! What is printed, and the same as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::figures::{Spread, count, millis};
use super::goals::{Better, Outcome, Standing};
use super::plan::{self, Step};
use super::sample::{Round, Sample, over};
use super::soak::Soak;

/// A greater share of foreign CPU than this makes a figure doubtful.
const FOREIGN: f64 = 0.05;

/// What was measured, and where.
pub(super) struct Report<'r> {
    pub(super) machine: String,
    /// How long each step was measured.
    pub(super) measured: Duration,
    pub(super) rounds: &'r [Round],
    pub(super) outcomes: Vec<Outcome>,
    pub(super) soak: Option<Soak>,
    /// What must not have happened.
    pub(super) wrong: &'r [String],
    /// What makes the figures doubtful, or is missing.
    pub(super) notes: Vec<String>,
}

impl Report<'_> {
    /// Everything, for people.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "\n{}\nmedian of {} rounds of {:?} each, least and most in brackets\n\n",
            self.machine,
            self.rounds.len(),
            self.measured
        );
        self.goals(&mut text);
        self.steps(&mut text);
        text.extend(self.soak.as_ref().map(Soak::text));
        for line in self.wrong {
            line_of(&mut text, &format!("WRONG: {line}"));
        }
        for line in self.notes.iter().cloned().chain(self.disturbances()) {
            line_of(&mut text, &format!("note: {line}"));
        }
        text
    }

    fn goals(&self, text: &mut String) {
        for Outcome { goal, .. } in &self.outcomes[..1] {
            line_of(
                text,
                &format!(
                    "{:4}  {:>22}  {:>8}  {:>7}  {:8}",
                    "",
                    "",
                    "goal",
                    "floor",
                    goal.unit.replace('x', "")
                ),
            );
        }
        for outcome in &self.outcomes {
            let goal = outcome.goal;
            let sign = if goal.better == Better::More { "≥" } else { "≤" };
            let ratio = outcome.ratio.map_or_else(|| "–".to_owned(), |it| spread(it, 2));
            let floor = goal.floor.map_or_else(|| "–".to_owned(), |floor| format!("{sign} {floor}"));
            let standing = match outcome.standing() {
                Standing::Met => "met",
                Standing::Short => "SHORT",
                Standing::Missed => "MISSED",
                Standing::NotMeasured => "not measured",
            };
            let unit = if goal.unit == "x" { "×" } else { goal.unit };
            line_of(
                text,
                &format!(
                    "{:4}  {ratio:>22} {unit:2}  {:>7}  {floor:>6}  {standing:12}  {}",
                    goal.id,
                    format!("{sign} {}", goal.target),
                    goal.what
                ),
            );
        }
    }

    fn steps(&self, text: &mut String) {
        line_of(
            text,
            &format!(
                "\n{:16}  {:>26}  {:>10}  {:>24}  {:>27}  {:>7}",
                "step",
                "answers a second",
                "to pgbench",
                "p50 / p99 / p99.9 in ms",
                "CPU µs: server / db / client",
                "foreign"
            ),
        );
        for step in plan::all() {
            if let Some(row) = self.step(step) {
                line_of(text, &row);
            }
        }
    }

    fn step(&self, step: &Step) -> Option<String> {
        let of = |figure: &dyn Fn(&Sample) -> Option<f64>| over(self.rounds, step.name, figure);
        let rate = of(&|it| Some(it.answers.rate))?;
        let baseline = if step.name.starts_with("slow") { "slow-pgbench-64" } else { "pgbench-64" };
        let ratios = self.rounds.iter().filter_map(|round| {
            Some(round.samples.get(step.name)?.answers.rate / round.samples.get(baseline)?.answers.rate)
        });
        let ratio = Spread::of(ratios).map_or_else(String::new, |it| format!("{:.3}", it.median));
        let times = [
            of(&|it| Some(millis(it.answers.p50_micros))),
            of(&|it| Some(millis(it.answers.p99_micros))),
            of(&|it| Some(millis(it.answers.p999_micros))),
        ];
        let times: Vec<String> = times.iter().flatten().map(|it| format!("{:.2}", it.median)).collect();
        let micros = |share: fn(&super::sample::Cpu) -> f64| {
            let each = |it: &Sample| Some(share(it.cpu.as_ref()?) * 1e6 / count(it.answers.all));
            of(&each).map_or_else(|| "–".to_owned(), |it| format!("{:.0}", it.median))
        };
        let cpu =
            [micros(|cpu| cpu.server), micros(|cpu| cpu.database), micros(|cpu| cpu.client)].join(" / ");
        let foreign = of(&|it| Some(it.cpu?.foreign * 100.0));
        let foreign = foreign.map_or_else(|| "–".to_owned(), |it| format!("{:.0} %", it.median));
        Some(format!(
            "{:16}  {:>26}  {ratio:>10}  {:>24}  {cpu:>27}  {foreign:>7}",
            step.name,
            spread(rate, 0),
            times.join(" / ")
        ))
    }

    /// Steps that had less of the machine than they should.
    fn disturbances(&self) -> Vec<String> {
        let shares = plan::all()
            .filter_map(|step| Some((step.name, over(self.rounds, step.name, |it| Some(it.cpu?.foreign))?)));
        let disturbed: Vec<String> = shares
            .filter(|(_, share)| share.median > FOREIGN)
            .map(|(name, share)| format!("{name} {:.0} %", share.median * 100.0))
            .collect();
        if disturbed.is_empty() {
            return Vec::new();
        }
        vec![format!("something else used the CPU, so these figures are doubtful: {}", disturbed.join(", "))]
    }

    /// Everything, for machines.
    pub(super) fn json(&self) -> Value {
        json!({
            "machine": self.machine,
            "rounds": self.rounds.len(),
            "seconds": self.measured.as_secs_f64(),
            "goals": self.outcomes.iter().map(goal_json).collect::<Vec<_>>(),
            "steps": plan::all().filter_map(|step| self.step_json(step)).collect::<Vec<_>>(),
            "soak": self.soak.as_ref().map(Soak::json),
            "wrong": self.wrong,
            "notes": self.notes.iter().cloned().chain(self.disturbances()).collect::<Vec<_>>(),
        })
    }

    fn step_json(&self, step: &Step) -> Option<Value> {
        let figure = |figure: &dyn Fn(&Sample) -> Option<f64>| {
            over(self.rounds, step.name, figure)
                .map(|it| json!({ "median": it.median, "min": it.least, "max": it.most }))
        };
        Some(json!({
            "name": step.name,
            "rate": figure(&|it| Some(it.answers.rate))?,
            "p50_ms": figure(&|it| Some(millis(it.answers.p50_micros))),
            "p99_ms": figure(&|it| Some(millis(it.answers.p99_micros))),
            "p999_ms": figure(&|it| Some(millis(it.answers.p999_micros))),
            "answers": figure(&|it| Some(count(it.answers.all))),
            "cpu_seconds": {
                "server": figure(&|it| Some(it.cpu?.server)),
                "database": figure(&|it| Some(it.cpu?.database)),
                "client": figure(&|it| Some(it.cpu?.client)),
            },
            "foreign_cpu_share": figure(&|it| Some(it.cpu?.foreign)),
            "resident_bytes": figure(&|it| it.resident_bytes.map(count)),
        }))
    }
}

fn goal_json(outcome: &Outcome) -> Value {
    let goal = outcome.goal;
    json!({
        "id": goal.id,
        "what": goal.what,
        "ratio": outcome.ratio.map(|it| it.median),
        "min": outcome.ratio.map(|it| it.least),
        "max": outcome.ratio.map(|it| it.most),
        "goal": goal.target,
        "floor": goal.floor,
        "unit": goal.unit,
        "better": if goal.better == Better::More { "more" } else { "less" },
        "met": outcome.ratio.map(|_| outcome.standing() == Standing::Met),
    })
}

fn spread(it: Spread, digits: usize) -> String {
    format!("{:.digits$} ({:.digits$}–{:.digits$})", it.median, it.least, it.most)
}

fn line_of(text: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{}", line.trim_end());
}
