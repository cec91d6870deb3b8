//! The adapter as callers meet it: a real HTTP/2 connection in memory, the store, the clock and randomness of the
//! testkit behind it. Rules of the domain are tested there; here is tested what the wire says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

mod administration;
mod bounds;
mod denials;
mod errors;
mod etags;
mod fairness;
mod flow;
mod gate;
mod health;
mod idempotency;
mod limits;
mod lists;
mod malformed;
mod refused;
mod text_messages;
mod uniform;
