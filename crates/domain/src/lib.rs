//! The pure policy: what a user's second factor is and what may happen to it.
//!
//! Every rule of the service lives here, as a function of state, policy, command and time. What must not live here:
//! async, I/O, a clock, randomness, serialisation, SQL, gRPC. `cargo xtask layers` checks it.
//!
//! # How to read it
//! [`user::UserState`] is what one user owns. A module per command (`login`, `enrollment`, `authenticators`,
//! `recovery`, `status`) turns state, policy and command into a [`change::Decision`]: an outcome, the next state, the
//! events that tell it and the notices that go to the owner. A negative outcome is an outcome: a wrong code decides
//! `Refused` **with** a next state that carries the charge, so that no `?` can drop it.
//!
//! # To add a policy rule
//! 1. Give it a field in [`policy::Policy`] with its range, and refuse contradictions in `policy::validate`.
//! 2. Read it in the one command module that it governs; extend that module's table of cases.
//! 3. Teach the reference model in `tests/model` the same rule, in its own words.
//!
//! # To add an authenticator kind
//! 1. A variant in [`user::Credential`] (and in [`user::PendingCredential`]) that carries exactly its own data.
//! 2. Its evaluation in `proof`, its begin and confirm in `enrollment`.
//! 3. A column set and its row mapping in both stores; the conformance suite shows what is missing.

pub mod actor;
pub mod audit;
pub mod authenticators;
pub mod change;
pub mod clients;
pub mod context;
pub mod coverage;
pub mod denial;
pub mod digest;
pub mod directory;
pub mod enrollment;
pub mod event;
pub mod explain;
pub mod ids;
pub mod login;
pub mod otp;
pub mod otpauth;
pub mod policy;
pub mod presented;
pub mod proof;
pub mod recovery;
pub mod recovery_code;
mod requirement;
pub mod secret;
pub mod security_key;
pub mod status;
pub mod team;
pub mod text;
pub mod time;
pub mod token;
pub mod user;
