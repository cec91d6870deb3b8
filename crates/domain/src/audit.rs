//! What makes the log of events provable (R56): the bytes of an event that seals cover, the seals, and how a log is
//! judged by them. Reading, keeping and signing are not done here.
//!
//! The encodings are described for other implementations in `docs/security/audit.md`; change neither without a new
//! version of it. **To add a column to the log:** give it a field in [`LoggedEvent`], and put it behind the last field of
//! [`LoggedEvent::hash`], only where it is not null: events that were sealed before have none.

mod claims;
mod event;
mod export;
mod seal;
mod verify;

#[cfg(test)]
mod tests;

pub use claims::{CLIENT_SALT_LEN, ERASED_CLIENT, client_commitment};
pub use event::{EventPosition, LoggedEvent};
pub use export::{ExportJudge, Manifest, Proved};
pub use seal::{Content, Entry, Hash, Head, Seal, Statement, root};
pub use verify::{Chain, CheckSignature, Erasures, Finding, Problem, Segment, TrustedKeys};
