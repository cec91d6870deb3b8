//! The real binary over loopback, as a calling service sees it: each rule on SQLite and on PostgreSQL.
//!
//! What lives here: the rules that only a whole, running service can break (replay under load, kill -9, lost calls, logs).
//! Rules of the domain by themselves are tested where they are decided.
//!
//! Run with `cargo xtask test -p countersign-e2e`, which builds the binary and starts a PostgreSQL.
//!
//! # To add a rule
//! 1. An `async fn` in the module of its subject, which takes a [`harness::Store`] and starts a service on it.
//! 2. Its name in the `on_both_stores!` of that module.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and most of this is what tests share"
)]

mod contract;
mod durability;
mod evidence;
mod guessing;
mod harness;
mod notices;
mod operating;
mod repeats;
mod replay;
mod secrets;
mod service_role;
mod stories;
mod tampering;
mod telemetry;
mod vault;
mod walk;
mod watching;
