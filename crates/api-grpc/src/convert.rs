//! Between the contract's messages and the domain's values, both ways. Nothing here decides anything.
//!
//! Requests are parsed once, into types that cannot be wrong (`fields`, `parties`); outcomes become messages
//! (`decision`, `status`, `enrollment`, `recovery`, `team`, `event`). Policies and users of the directory go both ways.

pub(crate) mod decision;
pub(crate) mod directory;
pub(crate) mod enrollment;
pub(crate) mod enums;
pub(crate) mod event;
pub(crate) mod fields;
pub(crate) mod parties;
pub(crate) mod policy;
pub(crate) mod recovery;
pub(crate) mod status;
pub(crate) mod team;
pub(crate) mod time;
