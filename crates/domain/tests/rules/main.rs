//! Tables of cases, one module an area, each through one `check`-like function: the rules of a second factor as
//! users meet them. The property tests against a reference model are in `tests/model.rs`.

#[path = "../common/mod.rs"]
mod common;

mod enrolling;
mod proofs_to_enroll;
mod tickets;
