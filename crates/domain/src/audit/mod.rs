//! What makes the log of events provable (R56): the bytes of an event that seals cover. Which rows there are and who
//! signs is not decided here.
//!
//! The encoding is described for other implementations in `docs/security/audit.md`; change neither without a new
//! version of it.

mod claims;

pub use claims::{CLIENT_SALT_LEN, ERASED_CLIENT, client_commitment};
