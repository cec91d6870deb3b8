//! `cargo xtask test`: every test of the workspace, given what the tests need from outside: a PostgreSQL of their
//! own, the built binary, and independent implementations to hold the service against.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::build::Service;
use crate::packages::{self, Package};
use crate::postgres::Server;
use crate::preload::Preload;
use crate::process::{self, Guarded};
use crate::torture::clock;
use crate::{browser, python};

/// The only package whose tests drive the built binary.
const END_TO_END: &str = "countersign-e2e";

const OATHTOOL: Package =
    Package { apt: "oathtool", dnf: "oathtool", apk: "oath-toolkit-oathtool", brew: "oath-toolkit" };

/// What `cargo xtask test` takes.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Only tests whose name contains this
    #[arg(long)]
    filter: Option<String>,
    /// Only tests of this package; may be given several times
    #[arg(short, long)]
    package: Vec<String>,
}

/// How many tests came out how.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Totals {
    passed: u64,
    failed: u64,
}

impl Totals {
    /// Nothing failed, and something ran: a run that finds no test proves nothing.
    pub(crate) fn good(self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    /// Adds what a line of a test program reports, if it is such a line.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let count = |what: &str| -> u64 {
            let words: Vec<&str> = result.split(|c: char| c == ';' || c.is_whitespace()).collect();
            let number = words.windows(2).find(|pair| pair[1] == what).map(|pair| pair[0].parse());
            number.and_then(Result::ok).unwrap_or(0)
        };
        self.passed += count("passed");
        self.failed += count("failed");
    }

    /// A test program that crashed, or did not compile, reports nothing: its run still failed.
    fn after(mut self, succeeded: bool) -> Self {
        if !succeeded && self.failed == 0 {
            self.failed = 1;
        }
        self
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Runs the tests; the last line is `N passed, N failed`. False if that is not good.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let totals = totals(args)?;
    println!("{totals}");
    Ok(totals.good())
}

/// Runs the tests and counts.
pub(crate) fn totals(args: &Args) -> Result<Totals> {
    let python = python::interpreter()?;
    let mut cargo = process::cargo();
    without_updates(&mut cargo, env::vars_os().map(|(name, _)| name));
    cargo.args(["test", "--no-fail-fast"]);
    if args.package.is_empty() {
        cargo.arg("--workspace");
    }
    for package in &args.package {
        cargo.args(["--package", package]);
    }
    cargo.args(&args.filter);
    let all = args.package.is_empty() || args.package.iter().any(|package| package == END_TO_END);
    let driven = if all { Some(Driven::give(&mut cargo)?) } else { None };
    let server = Server::start(None)?;
    cargo.env("COUNTERSIGN_TEST_POSTGRES_URL", server.url());
    cargo.env("COUNTERSIGN_TEST_PYTHON", python);
    // A test that kills a database server starts one of its own: `$COUNTERSIGN_XTASK db up`.
    cargo.env("COUNTERSIGN_XTASK", std::env::current_exe()?);
    let tell = || driven.iter().flat_map(|driven| &driven.missing).for_each(|what| println!("{what}"));
    // At the beginning for who waits, at the end for who looks there for what failed.
    tell();
    let (totals, succeeded) = stream(&mut cargo)?;
    tell();
    Ok(totals.after(succeeded))
}

/// Takes out what would have tests write what they compare with: a run that agrees with itself proves nothing.
fn without_updates(cargo: &mut Command, names: impl Iterator<Item = OsString>) {
    for name in names {
        if name == "INSTA_UPDATE" || name.to_string_lossy().starts_with("UPDATE_") {
            cargo.env_remove(name);
        }
    }
}

/// What the end-to-end tests drive, for as long as they run.
struct Driven {
    _service: Service,
    _clock: Option<Preload>,
    /// What there is not, and what to do about it. The tests that need it fail, and all others run.
    missing: Vec<String>,
}

impl Driven {
    /// Makes all of it and tells the tests where it is.
    fn give(cargo: &mut Command) -> Result<Self> {
        let service = Service::build("dev")?;
        cargo.env("COUNTERSIGN_BIN", service.path());
        let mut missing = Vec::new();
        match browser::find_or_install() {
            Ok(browser) => {
                cargo.env("COUNTERSIGN_TEST_CHROMIUM", browser.chromium);
                cargo.env("COUNTERSIGN_TEST_CHROMEDRIVER", browser.driver);
            }
            Err(error) => {
                cargo.env_remove("COUNTERSIGN_TEST_CHROMIUM").env_remove("COUNTERSIGN_TEST_CHROMEDRIVER");
                missing.push(format!("NO BROWSER: the tests that need one will fail. {error:#}"));
            }
        }
        match oathtool() {
            Ok(oathtool) => {
                cargo.env("COUNTERSIGN_TEST_OATHTOOL", oathtool);
            }
            Err(error) => {
                cargo.env_remove("COUNTERSIGN_TEST_OATHTOOL");
                missing.push(format!("NO OATHTOOL: the test that needs it will fail. {error:#}"));
            }
        }
        // A test that turns the clocks of nodes has them load this.
        let clock = clock::make()?;
        if let Some(clock) = &clock {
            cargo.env("COUNTERSIGN_TEST_CLOCK", clock.library());
        }
        Ok(Self { _service: service, _clock: clock, missing })
    }
}

/// Passes the output on line by line and counts along.
fn stream(cargo: &mut Command) -> Result<(Totals, bool)> {
    let mut cargo = Guarded::start(cargo.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let output = cargo.output().context("cargo test has no output")?;
    let mut totals = Totals::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        totals.add(&without_colour(&line));
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{line}").and_then(|()| stdout.flush())?;
    }
    Ok((totals, cargo.wait()?.success()))
}

/// Colours come where the environment asks for them always.
fn without_colour(line: &str) -> String {
    let mut pieces = line.split('\u{1b}');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.split_once('m').map_or("", |(_, after)| after))
}

/// An implementation of codes that is nobody's here, to hold those of the tests against.
fn oathtool() -> Result<PathBuf> {
    const ADVICE: &str = "the tests hold their codes against oathtool's: install the package oathtool (Debian, Ubuntu), \
         oathtool (Fedora) or oath-toolkit (others)";
    if let Some(found) = process::find("oathtool") {
        return Ok(found);
    }
    packages::install(&OATHTOOL).context(ADVICE)?;
    process::find("oathtool").context(ADVICE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], succeeded: bool, expected: &str) {
        let mut totals = Totals::default();
        for line in lines {
            totals.add(&without_colour(line));
        }
        assert_eq!(totals.after(succeeded).to_string(), expected);
    }

    const GOOD: &str =
        "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s";
    const BAD: &str =
        "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s";
    const COLOURED: &str = "test result: \u{1b}[32mok\u{1b}(B\u{1b}[m. 5 passed; 0 failed; 0 ignored";

    #[test]
    fn totals_are_the_sum_over_all_test_programs() {
        check(&["running 12 tests", GOOD, "", BAD], false, "16 passed, 2 failed");
    }

    #[test]
    fn colours_do_not_hide_a_result() {
        check(&[COLOURED], true, "5 passed, 0 failed");
    }

    #[test]
    fn a_crash_is_a_failure_though_no_test_program_reports_it() {
        check(&[GOOD], false, "12 passed, 1 failed");
    }

    #[test]
    fn a_run_without_tests_is_not_good() {
        assert!(!Totals::default().good());
        assert!(!Totals::default().after(false).good());
        assert!(Totals { passed: 1, failed: 0 }.good());
    }

    #[test]
    fn no_test_is_told_to_write_what_it_compares_with() {
        let mut cargo = Command::new("cargo");
        let names = ["UPDATE_DOCS", "UPDATE_SEEDS", "INSTA_UPDATE", "PATH"];
        without_updates(&mut cargo, names.into_iter().map(OsString::from));
        let removed: Vec<_> = cargo.get_envs().map(|(name, value)| (name.to_str().unwrap(), value)).collect();
        assert_eq!(removed, [("INSTA_UPDATE", None), ("UPDATE_DOCS", None), ("UPDATE_SEEDS", None)]);
    }

    #[test]
    fn what_a_test_prints_about_results_is_not_counted() {
        check(&["the last test result: ok. 9 passed; 0 failed", GOOD], true, "12 passed, 0 failed");
    }
}
