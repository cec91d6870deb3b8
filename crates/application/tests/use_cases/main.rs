//! The use cases over the memory store, with mocks for the clock, randomness and the notifier. What stores must do is
//! tested by the conformance suite, what is decided by the domain's own tests.

#![expect(
    unreachable_pub,
    clippy::expect_used,
    reason = "one crate of tests: its modules see one another, and a test fails by panicking"
)]

mod coverage;
mod delegation;
mod evidence;
mod outbox;
mod recovery_codes;
mod road;
mod tenants;
mod text_messages;
mod world;
