//! What one step gave, and what several rounds of steps gave.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::figures::Spread;

/// What whoever asked saw.
#[derive(Clone)]
pub(super) struct Answers {
    /// Good answers a second.
    pub(super) rate: f64,
    pub(super) p50_micros: u64,
    pub(super) p99_micros: u64,
    pub(super) p999_micros: u64,
    /// All answers, those of the warming up as well.
    pub(super) all: u64,
}

/// What the load generator tells of a run: the answers, and what was wrong.
pub(super) fn read(told: &Value) -> Result<(Answers, Vec<String>)> {
    let number = |name: &str| told.get(name).and_then(Value::as_u64).with_context(|| format!("no {name}"));
    let seconds = told.get("seconds").and_then(Value::as_f64).context("no seconds")?;
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds are far below 2^52")]
    let rate = number("answers")? as f64 / seconds;
    let answers = Answers {
        rate,
        p50_micros: number("p50_micros")?,
        p99_micros: number("p99_micros")?,
        p999_micros: number("p999_micros")?,
        all: number("all_answers")?,
    };
    let bad = told.get("bad").and_then(Value::as_object).into_iter().flatten();
    Ok((answers, bad.map(|(what, count)| format!("{count} × {what}")).collect()))
}

/// CPU time of a step in seconds, by whose it was.
#[derive(Clone, Copy)]
pub(super) struct Cpu {
    pub(super) server: f64,
    pub(super) database: f64,
    pub(super) client: f64,
    /// Of everybody else on this machine, as a share of all that there was, 0 to 1.
    pub(super) foreign: f64,
}

/// One step of one round.
#[derive(Clone)]
pub(super) struct Sample {
    pub(super) answers: Answers,
    /// None where the kernel does not tell.
    pub(super) cpu: Option<Cpu>,
    /// The most memory that the server had meanwhile.
    pub(super) resident_bytes: Option<u64>,
}

/// One round: a fresh start of the service, and every step by its name.
#[derive(Clone, Default)]
pub(super) struct Round {
    pub(super) samples: BTreeMap<&'static str, Sample>,
    /// From the start to listening.
    pub(super) start_millis: f64,
    /// Memory of a service that did nothing yet but connect.
    pub(super) idle_bytes: Option<u64>,
}

/// One figure of one step over all rounds.
pub(super) fn over(rounds: &[Round], step: &str, figure: impl Fn(&Sample) -> Option<f64>) -> Option<Spread> {
    Spread::of(rounds.iter().filter_map(|round| figure(round.samples.get(step)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_good_answers_make_the_rate_and_bad_ones_are_named() {
        let told = json!({
            "answers": 300, "seconds": 1.5, "p50_micros": 10, "p99_micros": 20, "p999_micros": 30,
            "all_answers": 400, "coincidences": 0, "bad": { "refused": 2 },
        });
        let (answers, bad) = read(&told).unwrap();
        assert!((answers.rate - 200.0).abs() < 1e-9);
        assert_eq!((answers.p99_micros, answers.all), (20, 400));
        assert_eq!(bad, ["2 × refused"]);
        assert!(read(&json!({ "answers": 300 })).is_err());
    }
}
