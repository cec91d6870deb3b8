//! Tables of cases, one module an area, each through one `check`-like function: the rules of a second factor as
//! users meet them. The property tests against a reference model are in `tests/model`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails right there")]

#[path = "../common/mod.rs"]
mod common;

mod challenges;
mod directory;
mod enrolling;
mod explaining;
mod lockout;
mod logging_in;
mod policy_directions;
mod proofs_to_enroll;
mod recovery_codes;
mod remembered;
mod requirement;
mod restored;
mod security_keys;
mod status;
mod switching_off;
mod teams;
mod text_messages;
mod tickets;
mod writes;
