//! The gates: each a name and a check that finds nothing, or what is wrong. Their order is the order they run in.
//!
//! To add a gate, write its check (a file of its own if it is more than a command) and add it to [`GATES`]; it has
//! then its place in `cargo xtask ci`, in its summary and on the command line.

use anyhow::Result;

use crate::findings::Findings;
use crate::{db, deny, fuzz, hygiene, layers, links, process, proto};

/// One gate.
pub(crate) struct Gate {
    /// Its name in the summary and on the command line.
    pub(crate) name: &'static str,
    /// What it looks at.
    pub(crate) about: &'static str,
    /// Looks. An error is a failure as well: a program's own words, or a check that could not run.
    pub(crate) check: fn() -> Result<Findings>,
}

/// All of them. The ones that compile come late, and `db` last: it makes cargo compile the stores anew.
pub(crate) const GATES: [Gate; 10] = [
    Gate { name: "fmt", about: "rustfmt has nothing to change", check: fmt },
    Gate { name: "hygiene", about: "tracked files carry nothing that must not ship", check: hygiene::run },
    Gate { name: "links", about: "relative links of Markdown files lead somewhere", check: links::run },
    Gate { name: "layers", about: "each crate depends only on what it may", check: layers::run },
    Gate { name: "fuzz", about: "the lock and the programs of the fuzz targets fit", check: fuzz::check },
    Gate { name: "deny", about: "dependencies: bans, floors, licences, sources", check: deny::run },
    Gate { name: "proto", about: "the contract: lint, format, compatibility", check: proto::check },
    Gate { name: "clippy", about: "no warning of the compiler or of clippy", check: clippy },
    Gate { name: "docs", about: "rustdoc builds without warnings", check: docs },
    Gate { name: "db", about: "the committed query data is what the migrations give", check: db::check },
];

fn fmt() -> Result<Findings> {
    process::output(process::cargo().args(["fmt", "--all", "--check"])).map(|_| Findings::new())
}

fn clippy() -> Result<Findings> {
    let mut cargo = process::cargo();
    cargo.args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    process::output(&mut cargo).map(|_| Findings::new())
}

fn docs() -> Result<Findings> {
    let mut cargo = process::cargo();
    cargo.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--quiet", "--workspace", "--no-deps"]);
    process::output(&mut cargo).map(|_| Findings::new())
}
