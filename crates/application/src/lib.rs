//! The use cases, a file for each matter of a kind of caller: load, decide, commit.
//!
//! Everything that changes users takes one road, the engine: load a snapshot, let the domain decide, commit the change
//! set at the loaded version, and on a conflict start over. Tenants and their policies have no state to decide on but the
//! policy in force: `tenants` compares, commits at its revision, and on a conflict starts over too. Both commit in a task of
//! their own, so that a caller who leaves neither saves nor loses a charge (R17), and end in `engine::settle`, as do
//! events that change nothing. What must not live here: rules (domain), SQL (stores), the contract (api-grpc).
//!
//! # To add a use case
//! 1. The decision in `domain`.
//! 2. A method on [`Application`], in the file of its matter, that draws what must be random and hands the decision to
//!    `self.change(…)`.
//! 3. Its method in `api-grpc`, and the event that it tells in the test that walks all mutating RPCs.

mod abilities;
mod account;
pub mod audit;
mod changed;
mod committed;
mod coverage;
mod denials;
mod deps;
mod directory;
mod engine;
mod error;
mod events;
mod explain;
mod fresh;
mod login;
mod measure;
mod notices;
mod policies;
mod queues;
mod restore;
mod seal_alarms;
mod sms;
mod team;
mod tenants;

pub use abilities::{Abilities, DelegatedAbility};
pub use account::Begun;
pub use changed::Changed;
pub use countersign_ports::{StoreError, error_chain};
pub use coverage::{MemberStatus, StatusFilter};
pub use denials::DeniedCall;
pub use deps::Deps;
pub use engine::{Answer, Application, Arguments, Done, Encode, Meta, REPEAT_FOR, Request};
pub use error::AppError;
pub use explain::Question;
pub use notices::{Dispatched, NoticeRules};
pub use team::{DelegatedCommand, MemberAction, Preview};
pub use tenants::{Impact, PolicyUpdate, Weakening};

// What use cases take and give as it crosses the ports.
pub use countersign_ports::{EventPosition, EventQuery, EventRecord, Look, StoredEvent, TenantRecord};
