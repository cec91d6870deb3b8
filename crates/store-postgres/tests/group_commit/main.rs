//! R17, R43, R60, R66, R67 and the design's group commit: changes and loads that come together are each answered for
//! themselves. What a store promises besides is the conformance suite's, which runs with group commit as well.
//!
//! - `batches`: how many share a statement, and that each of many has exactly what it committed;
//! - `neighbours`: what one change lacks is told to its caller alone;
//! - `locks`: rows that somebody else holds or moves, and two stores that want the same;
//! - `endings`: callers, sessions and stores that go in the middle, and a queue that is full;
//! - `loads`: the same for what is read;
//! - `tenants`: two tenants in one statement.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod batches;
mod endings;
mod group;
mod loads;
mod locks;
mod neighbours;
mod states;
#[path = "../support/mod.rs"]
mod support;
mod tenants;
