//! `cargo xtask proto`: the contract's style, its format, and that it breaks no client of the last release.

use std::process::Command;

use anyhow::Result;

use crate::findings::{self, Findings};
use crate::{process, python};

/// What `cargo xtask proto` does; without a name, all of it.
#[derive(clap::Subcommand, Clone, Copy)]
pub(crate) enum Action {
    /// Names, comments and structure as buf.yaml asks
    Lint,
    /// No client of the last tag breaks
    Breaking,
    /// Rewrite the files in the one format
    Format,
}

/// Runs one of them, or checks all.
pub(crate) fn run(action: Option<Action>) -> Result<()> {
    findings::report(&match action {
        None => check()?,
        Some(Action::Lint) => lint()?,
        Some(Action::Breaking) => breaking()?,
        Some(Action::Format) => buf(&["format", "--write"])?,
    })
}

/// The gate: all, and nothing is rewritten.
pub(crate) fn check() -> Result<Findings> {
    let mut findings = lint()?;
    findings.extend(buf(&["format", "--diff", "--exit-code"])?);
    findings.extend(breaking()?);
    Ok(findings)
}

fn lint() -> Result<Findings> {
    buf(&["lint"])
}

/// Before the first tag there is nothing to keep.
fn breaking() -> Result<Findings> {
    let mut describe = Command::new("git");
    describe.current_dir(process::root()).args([
        "tag",
        "--list",
        "v*",
        "--sort=-version:refname",
        "--merged",
    ]);
    match process::output(&mut describe)?.lines().next() {
        None => Ok(Findings::new()),
        Some(tag) => buf(&["breaking", "--against", &format!("../.git#tag={tag},subdir=proto")]),
    }
}

/// What buf prints is what it found: one line, or one line of a difference, each.
fn buf(arguments: &[&str]) -> Result<Findings> {
    let mut buf = Command::new(python::program("buf")?);
    let output = buf.current_dir(process::root().join("proto")).args(arguments).output()?;
    if output.status.success() {
        return Ok(Findings::new());
    }
    let said = [output.stdout, output.stderr].concat();
    let mut findings = vec![format!("buf {} ended with {}", arguments.join(" "), output.status)];
    findings.extend(String::from_utf8_lossy(&said).lines().map(str::to_owned));
    Ok(findings)
}
