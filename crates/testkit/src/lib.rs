//! What tests of every crate build on: a store in memory, a clock that tests turn, randomness that repeats, an
//! authenticator app and a security key in software, ready-made tenants and users, and the suite that defines what a store is.
//!
//! For tests only: nothing here is fast, keeps anything, or is fit to be served. No rule of the domain lives here.
//!
//! # To test a store
//! `countersign_testkit::store_conformance!(factory)` in a test file of its own, where `factory` is an async function
//! or closure that gives a fresh, empty [`conformance::StoreUnderTest`]. See [`conformance`] for what is promised.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking; there is no production code in this crate"
)]

mod clock;
pub mod conformance;
pub mod fixtures;
pub mod generate;
mod logged_errors;
mod memory;
mod random;
mod service;
mod software_key;
mod timed;
mod virtual_authenticator;

pub use clock::ManualClock;
pub use logged_errors::LoggedErrors;
pub use memory::MemoryStore;
pub use random::SeededRandom;
pub use software_key::{Page, SoftwareKey};
pub use timed::Timed;
pub use virtual_authenticator::VirtualAuthenticator;
