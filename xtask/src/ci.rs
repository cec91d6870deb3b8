//! `cargo xtask ci`: the tests, then every gate, each with its time; all run even if one fails. A summary closes it,
//! and the totals of the tests are the last line.

use std::iter;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::builder::PossibleValuesParser;

use crate::findings::Findings;
use crate::gates::{self, Gate};
use crate::test;

/// Of a failure so many lines are shown: the first say what is wrong.
const SHOWN_LINES: usize = 100;

/// The name of the tests among the gates on the command line.
const TEST: &str = "test";

/// What `cargo xtask ci` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these
    #[arg(value_parser = PossibleValuesParser::new(names()))]
    names: Vec<String>,
}

/// What may be named: the tests, and each gate.
fn names() -> impl Iterator<Item = &'static str> {
    iter::once(TEST).chain(gates::GATES.iter().map(|gate| gate.name))
}

struct Outcome {
    name: &'static str,
    good: bool,
    took: Duration,
}

/// Runs them. False if one failed; all is told by then.
pub(crate) fn run(args: &Args) -> bool {
    let wanted = |name: &str| args.names.is_empty() || args.names.iter().any(|it| it == name);
    let mut outcomes = Vec::new();
    let mut totals = None;
    if wanted(TEST) {
        println!("== {TEST}: every test, on both stores");
        let (tested, took) = timed(|| test::totals(&test::Args::default()));
        let tested = tested.unwrap_or_else(|error| {
            println!("{error:#}");
            test::Totals::default()
        });
        outcomes.push(outcome(TEST, tested.good(), took));
        totals = Some(tested);
    }
    outcomes.extend(gates::GATES.iter().filter(|gate| wanted(gate.name)).map(pass));
    println!("\n== summary");
    for Outcome { name, good, took } in &outcomes {
        println!("{} {name} ({:.1} s)", if *good { "ok    " } else { "FAILED" }, took.as_secs_f32());
    }
    if let Some(totals) = totals {
        println!("{totals}");
    }
    outcomes.iter().all(|outcome| outcome.good)
}

/// Runs one gate and prints its result.
fn pass(gate: &Gate) -> Outcome {
    println!("\n== {}: {}", gate.name, gate.about);
    let (found, took) = timed(gate.check);
    let text = failure(found);
    if let Some(text) = &text {
        println!("{}", shortened(text));
    }
    outcome(gate.name, text.is_none(), took)
}

fn outcome(name: &'static str, good: bool, took: Duration) -> Outcome {
    println!("== {name}: {} after {:.1} s", if good { "ok" } else { "FAILED" }, took.as_secs_f32());
    Outcome { name, good, took }
}

fn failure(found: Result<Findings>) -> Option<String> {
    match found {
        Ok(findings) if findings.is_empty() => None,
        Ok(findings) => Some(findings.join("\n")),
        Err(error) => Some(format!("{error:#}")),
    }
}

fn shortened(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() <= SHOWN_LINES {
        return text.to_owned();
    }
    format!("{}\n… and {} lines more", lines[..SHOWN_LINES].join("\n"), lines.len() - SHOWN_LINES)
}

#[expect(clippy::disallowed_methods, reason = "how long a gate takes is shown to people and decides nothing")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (work(), start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_fails_by_what_it_finds_and_by_not_being_able_to_look() {
        assert_eq!(failure(Ok(vec![])), None);
        assert_eq!(failure(Ok(vec!["a".to_owned(), "b".to_owned()])).unwrap(), "a\nb");
        assert_eq!(failure(Err(anyhow::anyhow!("no buf").context("proto"))).unwrap(), "proto: no buf");
    }

    #[test]
    fn only_gates_that_there_are_can_be_named() {
        let parsed = |names: &[&str]| {
            let command = <Args as clap::Args>::augment_args(clap::Command::new("ci").no_binary_name(true));
            command.try_get_matches_from(names).map(|_| ()).map_err(|error| error.to_string())
        };
        for name in names() {
            assert_eq!(parsed(&[name]), Ok(()));
        }
        assert_eq!(parsed(&[]), Ok(()));
        let error = parsed(&["fmt", "fnt"]).unwrap_err();
        assert!(error.contains("fnt") && error.contains("fmt"), "{error}");
    }

    #[test]
    fn of_a_long_failure_the_first_lines_are_shown() {
        let long: Vec<String> = (1..=SHOWN_LINES + 2).map(|n| n.to_string()).collect();
        let shown = shortened(&long.join("\n"));
        assert!(shown.starts_with("1\n2\n"));
        assert!(shown.ends_with("\n100\n… and 2 lines more"));
        assert_eq!(shortened("one\ntwo"), "one\ntwo");
    }
}
