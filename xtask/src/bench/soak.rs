//! The long run: logins that come at their own time, minute after minute. Here shows what rounds of seconds hide:
//! autovacuum, checkpoints, the full pages that are logged after them, and what grows.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::{Value, json};

use super::figures::{Spread, count, millis};
use super::measure::Measure;
use super::plan::{Step, Wanted, What};
use super::sample::Sample;
use super::stage::Stage;

/// A user has a new code each thirty seconds, and is asked a little less often.
const SECONDS_A_CODE: u32 = 33;
const A_MINUTE: u32 = 60;

/// What came of it.
pub(super) struct Soak {
    per_second: u32,
    minutes: Vec<Sample>,
}

/// Runs so many minutes, at half of what a closed loop did, or as often as there are codes where that is less.
pub(super) fn run(stage: &mut Stage, measure: &mut Measure, minutes: u32) -> Result<Soak> {
    let step = Wanted::soak()?;
    let per_second = measure.half_a_closed_loop().min(most_per_second(stage, step)).max(1);
    println!("{minutes} minutes of {per_second} logins a second");
    // Begins as every step does: nobody else is there, and there are codes.
    measure.take(stage, step)?;
    let mut soak = Soak { per_second, minutes: Vec::new() };
    for minute in 1..=minutes {
        let sample = measure.go_on(stage, step, A_MINUTE, per_second)?;
        println!("  minute {minute:2} {:8.0}/s", sample.answers.rate);
        soak.minutes.push(sample);
    }
    Ok(soak)
}

fn most_per_second(stage: &Stage, step: &Step) -> u32 {
    let What::Load { population, .. } = &step.what else { return 0 };
    stage.users.get(population).copied().unwrap_or_default() / SECONDS_A_CODE
}

/// A figure of a minute, and how it is called.
type Figure = (&'static str, fn(&Sample) -> Option<f64>);

const FIGURES: [Figure; 7] = [
    ("rate", |it| Some(it.answers.rate)),
    ("p50_ms", |it| Some(millis(it.answers.p50_micros))),
    ("p99_ms", |it| Some(millis(it.answers.p99_micros))),
    ("p999_ms", |it| Some(millis(it.answers.p999_micros))),
    ("server_cpu_micros", |it| Some(it.cpu?.server * 1e6 / count(it.answers.all))),
    ("database_cpu_micros", |it| Some(it.cpu?.database * 1e6 / count(it.answers.all))),
    ("resident_mb", |it| Some(count(it.resident_bytes?) / 1e6)),
];

impl Soak {
    /// A line a minute, and the second half of them against the first.
    pub(super) fn text(&self) -> String {
        let names: Vec<_> = FIGURES.iter().map(|(name, _)| format!("{name:>20}")).collect();
        let mut text = format!("\nsoak, {} logins a second\nminute{}\n", self.per_second, names.concat());
        for (minute, sample) in (1..).zip(&self.minutes) {
            let figures = FIGURES.iter().map(|(_, figure)| cell(figure(sample)));
            line(&mut text, &format!("{minute:6}"), figures);
        }
        line(&mut text, "drift ", FIGURES.iter().map(|(_, figure)| cell(self.drift(*figure))));
        text
    }

    /// The same for machines.
    pub(super) fn json(&self) -> Value {
        let minute = |sample: &Sample| -> Value {
            FIGURES.iter().map(|(name, figure)| ((*name).to_owned(), json!(figure(sample)))).collect()
        };
        let drift: Value =
            FIGURES.iter().map(|(name, figure)| ((*name).to_owned(), json!(self.drift(*figure)))).collect();
        json!({
            "per_second": self.per_second,
            "minutes": self.minutes.iter().map(minute).collect::<Vec<_>>(),
            "drift": drift,
        })
    }

    /// The median of the second half of the minutes against that of the first; none where a half is empty.
    fn drift(&self, figure: fn(&Sample) -> Option<f64>) -> Option<f64> {
        let (first, second) = self.minutes.split_at(self.minutes.len() / 2);
        let median = |half: &[Sample]| Spread::of(half.iter().filter_map(figure)).map(|it| it.median);
        Some(median(second)? / median(first)?)
    }
}

fn cell(figure: Option<f64>) -> String {
    figure.map_or_else(|| "–".to_owned(), |figure| format!("{figure:.2}"))
}

fn line(text: &mut String, name: &str, cells: impl Iterator<Item = String>) {
    // Writing to a string does not fail.
    let _ = write!(text, "{name}");
    for cell in cells {
        let _ = write!(text, "{cell:>20}");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample::Answers;

    fn minute(p99_micros: u64) -> Sample {
        let answers = Answers { rate: 10.0, p50_micros: 1, p99_micros, p999_micros: 3, all: 600 };
        Sample { answers, cpu: None, resident_bytes: Some(5_000_000) }
    }

    #[test]
    fn drift_is_the_second_half_against_the_first() {
        let soak =
            |times: &[u64]| Soak { per_second: 10, minutes: times.iter().map(|it| minute(*it)).collect() };
        let p99: fn(&Sample) -> Option<f64> = |it| Some(millis(it.answers.p99_micros));
        assert_eq!(soak(&[10, 20, 30, 30, 40, 50]).drift(p99), Some(2.0));
        assert_eq!(soak(&[10]).drift(p99), None);
        let text = soak(&[1_000, 2_000]).text();
        assert!(text.contains("resident_mb") && text.contains("5.00") && text.contains("drift"), "{text}");
        assert_eq!(soak(&[1_000, 2_000]).json()["drift"]["p99_ms"], 2.0);
        assert!(soak(&[1_000]).json()["minutes"][0]["database_cpu_micros"].is_null());
    }
}
