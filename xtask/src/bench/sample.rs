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

/// What there is to say of a run beside its figures.
#[derive(Default)]
pub(super) struct Remarks {
    /// What must not have happened, one line each: such figures mean nothing.
    pub(super) wrong: Vec<String>,
    /// What may happen, and who reads the figures should know.
    pub(super) odd: Vec<String>,
}

/// What a service says that has no place for one more call: a storm may be told so, by its own tenant's limits.
const OVERLOADED: &str = "OVERLOADED";
/// A storm that lasted for this part of the run was there for all of it, but for how tasks end.
const ALL_OF_IT: f64 = 0.98;

/// What the load generator tells of a run: the answers, and what there is to say.
pub(super) fn read(told: &Value) -> Result<(Answers, Remarks)> {
    let number = |name: &str| told.get(name).and_then(Value::as_u64).with_context(|| format!("no {name}"));
    let seconds = seconds(told)?;
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds are far below 2^52")]
    let rate = number("answers")? as f64 / seconds;
    let answers = Answers {
        rate,
        p50_micros: number("p50_micros")?,
        p99_micros: number("p99_micros")?,
        p999_micros: number("p999_micros")?,
        all: number("all_answers")?,
    };
    let mut remarks = Remarks { wrong: wrong(told), odd: Vec::new() };
    if let Some(beside) = told.get("beside").filter(|beside| !beside.is_null()) {
        remarks.of_storm(beside, seconds)?;
    }
    Ok((answers, remarks))
}

/// The answers that were not what they had to be, each with its count.
pub(super) fn wrong(told: &Value) -> Vec<String> {
    bad(told).map(|(what, count)| format!("{count} × {what}")).collect()
}

fn bad(told: &Value) -> impl Iterator<Item = (&String, &Value)> {
    told.get("bad").and_then(Value::as_object).into_iter().flatten()
}

fn seconds(told: &Value) -> Result<f64> {
    told.get("seconds").and_then(Value::as_f64).context("no seconds")
}

impl Remarks {
    /// Of what went on beside a run: guesses, each of which has to be evaluated and refused. Who is locked costs next to
    /// nothing, and who is told an error costs less.
    fn of_storm(&mut self, beside: &Value, run_seconds: f64) -> Result<()> {
        for (what, count) in bad(beside) {
            let list = if what == OVERLOADED { &mut self.odd } else { &mut self.wrong };
            list.push(format!("of the storm {count} × {what}"));
        }
        if beside.get("all_answers").and_then(Value::as_u64) == Some(0) {
            self.wrong.push("there was no storm".to_owned());
        }
        let storm_seconds = seconds(beside)?;
        if storm_seconds < run_seconds * ALL_OF_IT {
            let line =
                format!("no guess was left after {storm_seconds:.1} of {run_seconds:.1} s of the storm");
            self.odd.push(line);
        }
        Ok(())
    }
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
        let (answers, remarks) = read(&told).unwrap();
        assert!((answers.rate - 200.0).abs() < 1e-9);
        assert_eq!((answers.p99_micros, answers.all), (20, 400));
        assert_eq!(remarks.wrong, ["2 × refused"]);
        assert!(remarks.odd.is_empty());
        assert!(read(&json!({ "answers": 300 })).is_err());
    }

    /// R66: a storm whose guesses are not evaluated is none, and says nothing about those who log in beside it.
    #[test]
    fn a_storm_of_anything_but_refused_guesses_is_wrong() {
        let check = |seconds: f64, refused: u64, bad: Value| {
            let told = json!({
                "answers": 300, "seconds": 5.0, "p50_micros": 10, "p99_micros": 20, "p999_micros": 30,
                "all_answers": 400, "bad": {},
                "beside": { "seconds": seconds, "all_answers": refused, "bad": bad },
            });
            let remarks = read(&told).unwrap().1;
            (remarks.wrong, remarks.odd)
        };
        let one = |line: &str| vec![line.to_owned()];
        assert_eq!(check(5.0, 9_000, json!({})), (vec![], vec![]));
        assert_eq!(
            check(5.0, 9, json!({ "locked out": 8_991 })),
            (one("of the storm 8991 × locked out"), vec![])
        );
        assert_eq!(
            check(5.0, 9, json!({ "STORE_UNAVAILABLE": 3 })),
            (one("of the storm 3 × STORE_UNAVAILABLE"), vec![])
        );
        assert_eq!(check(5.0, 0, json!({})), (one("there was no storm"), vec![]));
        // These may be, and are told.
        assert_eq!(check(5.0, 9, json!({ "OVERLOADED": 2 })), (vec![], one("of the storm 2 × OVERLOADED")));
        let over = "no guess was left after 3.1 of 5.0 s of the storm";
        assert_eq!(check(3.1, 9, json!({})), (vec![], one(over)));
    }
}
