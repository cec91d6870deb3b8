//! `cargo xtask fuzz`: libFuzzer on what reads bytes of others. The targets, and what each holds them to, stand in
//! `crates/fuzz-targets`, which also makes what a run begins with: `crates/fuzz/seeds`. What it found is kept below
//! `target/fuzz`.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::{MetadataCommand, Package};

use crate::findings::Findings;
use crate::process;

/// What libFuzzer is given, in a workspace of its own.
const MANIFEST: &str = "crates/fuzz/Cargo.toml";

/// In the order of the manifest.
const TARGETS: [&str; 9] =
    ["codes", "config", "cursors", "documents", "jwt", "requests", "sealed", "tokens", "webauthn"];

/// What makes the compiler count where a run has been. Part of the stable compiler: our code has no `unsafe`, so that the
/// sanitizers, which are not, would find little.
const INSTRUMENTED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// What `cargo xtask fuzz` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this target
    #[arg(value_parser = TARGETS)]
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Runs nothing, and writes the seeds of all targets anew
    #[arg(long, conflicts_with_all = ["target", "minutes"])]
    seeds: bool,
}

/// Runs them one after the other. False if one of them found something.
pub(crate) fn run(args: &Args) -> Result<bool> {
    if args.seeds {
        return write_seeds();
    }
    let root = process::root();
    let folder = root.join("target/fuzz");
    let host = host()?;
    let mut cargo = process::cargo();
    cargo.args(["build", "--release", "--locked", "--manifest-path", MANIFEST, "--target", &host]);
    cargo.arg("--target-dir").arg(&folder).env("RUSTFLAGS", INSTRUMENTED);
    ensure!(cargo.status()?.success(), "the targets do not build");
    let mut sound = true;
    for target in TARGETS {
        if args.target.as_deref().is_some_and(|only| only != target) {
            continue;
        }
        let corpus = folder.join("corpus").join(target);
        std::fs::create_dir_all(&corpus)?;
        let mut fuzzer = Command::new(folder.join(&host).join("release").join(target));
        fuzzer.arg(&corpus).arg(root.join("crates/fuzz/seeds").join(target));
        fuzzer.arg(format!("-max_total_time={}", args.minutes * 60));
        fuzzer.arg(format!("-artifact_prefix={}/{target}-", folder.display()));
        fuzzer.args(["-max_len=8192", "-timeout=10", "-print_final_stats=1"]);
        println!("fuzz: {target}");
        sound &= fuzzer.status().with_context(|| format!("running {target}"))?.success();
    }
    Ok(sound)
}

/// Has the test that compares the seeds write them: built as all tests are, without instrumentation.
fn write_seeds() -> Result<bool> {
    let mut cargo = process::cargo();
    cargo.args(["test", "--quiet", "--workspace", "--test", "fuzz_seeds"]).env("UPDATE_SEEDS", "1");
    Ok(cargo.status()?.success())
}

/// The gate: what a run is built from fits together, as far as it can be told without building. That the seeds are those of
/// the code is told by a test of `fuzz-targets`.
pub(crate) fn check() -> Result<Findings> {
    let mut command = MetadataCommand::new();
    // A lock that does not fit is an error here, as it is at the beginning of a run.
    command.manifest_path(process::root().join(MANIFEST)).other_options(["--locked".to_owned()]);
    let metadata = command.exec()?;
    let programs = metadata.root_package().map(programs).unwrap_or_default();
    Ok(unlike(&programs))
}

fn programs(package: &Package) -> Vec<&str> {
    package.targets.iter().filter(|target| target.is_bin()).map(|target| target.name.as_str()).collect()
}

/// The programs that are not run, and the targets without a program, one line each.
fn unlike(programs: &[&str]) -> Findings {
    let unknown = programs.iter().filter(|name| !TARGETS.contains(name));
    let missing = TARGETS.iter().filter(|name| !programs.contains(name));
    let unknown =
        unknown.map(|name| format!("{MANIFEST}: `{name}` is not among TARGETS in xtask/src/fuzz.rs"));
    unknown.chain(missing.map(|name| format!("{MANIFEST}: has no program `{name}`"))).collect()
}

/// The machine's own target, named so that build scripts are not instrumented.
fn host() -> Result<String> {
    let told = Command::new("rustc").arg("-vV").output()?;
    let told = String::from_utf8(told.stdout)?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not tell its host")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_run_and_every_target_has_one() {
        assert_eq!(unlike(&TARGETS), Findings::new());
        let found = unlike(&[&TARGETS[1..], &["another"]].concat());
        assert_eq!(
            found,
            [
                "crates/fuzz/Cargo.toml: `another` is not among TARGETS in xtask/src/fuzz.rs",
                "crates/fuzz/Cargo.toml: has no program `codes`"
            ]
        );
    }
}
