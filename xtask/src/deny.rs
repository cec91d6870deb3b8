//! The gate of dependencies: `cargo deny` with deny.toml, without the network. The advisory database cannot be had
//! everywhere, so `cargo deny check advisories` is a step of its own; see docs/development.md.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::findings::Findings;
use crate::process;

/// Pinned, so that a gate does not change its mind by itself.
const VERSION: &str = "0.20.2";

/// Checks bans with the floors of versions, licences, and sources.
pub(crate) fn run() -> Result<Findings> {
    let mut deny = Command::new(program()?);
    deny.current_dir(process::root()).args(["--log-level", "error", "--color", "never", "check"]);
    deny.args(["--hide-inclusion-graph", "bans", "licenses", "sources"]);
    process::output(&mut deny).map(|_| Findings::new())
}

/// The one on the machine, or one built here: a minute or two, once.
fn program() -> Result<PathBuf> {
    let tools = process::target_dir().join("tools");
    let built = tools.join("bin/cargo-deny");
    let known = [process::find("cargo-deny"), Some(built.clone())];
    if let Some(program) = known.into_iter().flatten().find(is_pinned) {
        return Ok(program);
    }
    eprintln!("building cargo-deny {VERSION} into target/tools");
    let mut cargo = process::cargo();
    // It has a second of work to do: building it quickly counts for more than running it quickly.
    cargo.args(["install", "--quiet", "--locked", "--debug", "--force", "cargo-deny", "--version", VERSION]);
    process::output(cargo.arg("--root").arg(tools)).context("the gate needs cargo-deny")?;
    Ok(built)
}

fn is_pinned(program: &PathBuf) -> bool {
    let version = process::output(Command::new(program).arg("--version"));
    version.is_ok_and(|version| version.ends_with(VERSION))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The floors of R72, which are not lowered: what is denied of each crate. A fix was carried back to older lines of rand.
    const FLOORS: [&str; 8] = [
        "h2:<0.4.16",
        "rand:<0.8.6",
        "rand:>=0.10.0, <0.10.1",
        "rand:>=0.9.0, <0.9.3",
        "rustls-webpki:<0.103.13",
        "rustls:<0.23.46",
        "sqlx:<0.8.1",
        "tonic:<0.12.3",
    ];

    /// R72: each floor stands in deny.toml, in the one spelling that cargo-deny takes for a range.
    #[test]
    fn every_floor_is_a_range_that_cargo_deny_understands() {
        let text = fs::read_to_string(process::root().join("deny.toml")).unwrap();
        let denied: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("crate = \"")?.strip_suffix('"')).collect();
        let name = |spec: &str| spec.split(':').next().map(str::to_owned);
        let ruled = |spec: &&str| FLOORS.iter().any(|floor| name(floor) == name(spec));
        let mut floors: Vec<&str> = denied.iter().copied().filter(ruled).collect();
        floors.sort_unstable();
        assert_eq!(floors, FLOORS);
        assert!(denied.iter().all(|spec| !spec.contains("@<")), "not a range: {denied:?}");
    }
}
