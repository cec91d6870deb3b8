//! `cargo xtask fuzz`: libFuzzer on what reads bytes of others. The targets, and what each holds them to, stand in
//! `crates/fuzz/targets`; what a run begins with in `crates/fuzz/seeds`. What it found is kept below `target/fuzz`.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::run;

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
}

/// Runs them one after the other. False if one of them found something.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let root = run::root();
    let folder = root.join("target/fuzz");
    let host = host()?;
    let mut cargo = run::cargo();
    cargo.args([
        "build",
        "--release",
        "--locked",
        "--manifest-path",
        "crates/fuzz/Cargo.toml",
        "--target",
        &host,
    ]);
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

/// The machine's own target, named so that build scripts are not instrumented.
fn host() -> Result<String> {
    let told = Command::new("rustc").arg("-vV").output()?;
    let told = String::from_utf8(told.stdout)?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not tell its host")?.to_owned())
}
