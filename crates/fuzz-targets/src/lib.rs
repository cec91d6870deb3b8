//! What is fuzzed. A target is a function of bytes that panics where something does not hold that must, and says what it
//! took the bytes for; beside it stand its seeds, made by the code whose readers are fuzzed.
//!
//! An ordinary crate of the workspace, so that targets and seeds follow the code: its tests compare the seeds with those in
//! `crates/fuzz/seeds`, and check that the good ones are taken and the near misses are not. `crates/fuzz` hands the targets
//! to libFuzzer, in a workspace of its own, and knows nothing of what they do. What must not live here: libFuzzer.
//!
//! # To add a target
//! 1. A module here with `run` and `seeds`, and its line in [`TARGETS`].
//! 2. A file in `crates/fuzz/targets`, a `[[bin]]` in the manifest beside it, and its name in `xtask/src/fuzz.rs`.
//! 3. `cargo xtask fuzz --seeds`, and a line in the table of `docs/development.md`.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a target says by panicking that something does not hold; there is no production code in this crate"
)]

pub mod codes;
pub mod config;
pub mod cursors;
pub mod documents;
pub mod jwt;
pub mod requests;
pub mod sealed;
mod seed;
pub mod tokens;
pub mod webauthn;

pub use seed::{Seed, Taken};

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: that of its binary, and of the folder of its seeds.
    pub name: &'static str,
    /// Shows it an input. Says what the input was taken for, and panics where something does not hold that must.
    pub run: fn(&[u8]) -> Taken,
    /// Where a run begins: always the same.
    pub seeds: fn() -> Vec<Seed>,
}

/// All of them, in the order of the manifest of `crates/fuzz`.
pub const TARGETS: [Target; 9] = [
    Target { name: "codes", run: codes::run, seeds: codes::seeds },
    Target { name: "config", run: config::run, seeds: config::seeds },
    Target { name: "cursors", run: cursors::run, seeds: cursors::seeds },
    Target { name: "documents", run: documents::run, seeds: documents::seeds },
    Target { name: "jwt", run: jwt::run, seeds: jwt::seeds },
    Target { name: "requests", run: requests::run, seeds: requests::seeds },
    Target { name: "sealed", run: sealed::run, seeds: sealed::seeds },
    Target { name: "tokens", run: tokens::run, seeds: tokens::seeds },
    Target { name: "webauthn", run: webauthn::run, seeds: webauthn::seeds },
];
