//! `cargo xtask proto`: the contract's style, its format, and that it breaks no client of the last release.

use std::process::Command;

use anyhow::{Result, ensure};

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
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        process::output(git.current_dir(process::root()).args(arguments))
    };
    let tags = git(&["tag", "--list", "v*", "--sort=-version:refname", "--merged"])?;
    let shallow = git(&["rev-parse", "--is-shallow-repository"])? == "true";
    match last_release(&tags, shallow)? {
        None => Ok(Findings::new()),
        Some(tag) => buf(&["breaking", "--against", &format!("../.git#tag={tag},subdir=proto")]),
    }
}

/// The newest of the tags, which come newest first. What is tried out before a release (`v1.2.0-rc.1`) promises nothing.
fn last_release(tags: &str, shallow: bool) -> Result<Option<&str>> {
    let release = tags.lines().find(|tag| !tag.contains('-'));
    ensure!(
        release.is_some() || !shallow,
        "this clone is shallow and has no tag of a release, so that nobody knows which contract must not break: \
         `git fetch --unshallow --tags`, and run this again"
    );
    Ok(release)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A clone that was cut off before the last release must not pass as one before the first.
    #[test]
    fn the_last_release_is_known_or_asked_for() {
        let known = |tags, shallow| last_release(tags, shallow).map_err(|error| error.to_string());
        assert_eq!(known("v1.10.0\nv1.9.0", false), Ok(Some("v1.10.0")));
        assert_eq!(known("v1.10.0\nv1.9.0", true), Ok(Some("v1.10.0")));
        assert_eq!(known("v2.0.0-rc.1\nv1.10.0", false), Ok(Some("v1.10.0")));
        assert_eq!(known("", false), Ok(None));
        assert_eq!(known("v1.0.0-rc.1", false), Ok(None));
        let error = known("", true).unwrap_err();
        assert!(error.contains("git fetch --unshallow --tags"), "{error}");
    }
}
