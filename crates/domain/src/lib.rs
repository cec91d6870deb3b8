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
//! 1. Give it a field in [`policy::Policy`] with its range, a value in each preset, and refuse contradictions in
//!    `policy::validate`.
//! 2. Say in `policy::compare` when another value asks less of users. It does not compile before, because that is
//!    security: weakening needs a scope of its own (R37).
//! 3. Read it in the one command module that it governs; extend that module's table of cases.
//! 4. Teach the reference model in `tests/model` the same rule, in its own words.
//! 5. Store it in the ports' `document::policy`, and give it a field of the contract: api-grpc's `convert::policy` reads,
//!    writes and masks it.
//!
//! # To add an authenticator kind
//! Every match over kinds is exhaustive, so the compiler leads from the first step through the others.
//! 1. A variant in [`user::Credential`], [`user::PendingCredential`] and, for what its use changes, [`user::Usage`]: each
//!    carries exactly its own data.
//! 2. How it is proved: `proof::fits` (what a code is against a credential) and `proof::waits_for` (against a pending one);
//!    a kind that takes no codes fits none. Whether its budget closes it while locked: `login::methods`. Its word in
//!    `amr`: `login::amr_of`.
//! 3. Its begin and what confirms it in `enrollment`, in a file of its own; its default name in `enrollment::default_name`.
//! 4. Its columns in both stores: nullable, prefixed with the kind, in a migration that only adds, with a check that they belong
//!    to that kind; written and read in `rows` and in `credential_columns.rs` of `commit` (PostgreSQL) and `writes`
//!    (SQLite). In PostgreSQL that check is a case of the function `authenticators_check`, and the columns a part of its
//!    trigger (ADR 22). What is secret or personal is sealed by a `SealPurpose` of its own in the keyring, and is a `SealedColumn` in each store's
//!    `vault.rs`, so that rotation finds it.
//! 5. A line in the generators of testkit and `tests/panics`; the conformance suite then shows what a store lost.

pub mod actor;
pub mod audit;
pub mod authenticators;
pub mod change;
pub mod clients;
pub mod clock;
pub mod context;
pub mod coverage;
pub mod denial;
pub mod digest;
pub mod directory;
pub mod enrollment;
pub mod etag;
pub mod event;
pub mod explain;
pub mod ids;
pub mod incarnation;
pub mod login;
pub mod otp;
pub mod otpauth;
pub mod phone_number;
pub mod policy;
pub mod presented;
pub mod proof;
pub mod recovery;
pub mod recovery_code;
mod requirement;
pub mod restore;
pub mod secret;
pub mod security_key;
pub mod sms;
pub mod status;
pub mod team;
pub mod text;
pub mod time;
pub mod token;
pub mod user;
