//! The PostgreSQL adapter: schema, SQL, row types, and what may be believed of a commit.
//!
//! No rule of the domain lives here: what a store must do beyond its types is the conformance suite's, in
//! `countersign-testkit`. Sealing is the keyring's, JSON documents are `countersign_ports::document`'s.
//!
//! # Where to look
//! - [`PostgresStore`] in `store`: what it is made of. Each port is implemented in the module of its matter.
//! - `migrations/`: the schema. `schema` runs them; `.sqlx/` is what the query macros know of it, written by
//!   `cargo xtask db prepare`, so that a build needs no database.
//! - `load`: the statements that load a user, which `users` and `loader` send. `rows`: from columns to domain types.
//! - `commit`: guards, then what they guard; `commit::hot` is the change of a login by a code alone
//!   in one statement, `commit::batch` any others together.
//! - `coalesce`: calls that come at the same time, done together: commits by `writer`, loads by `loader`.
//! - `event_log`: positions, and why a reader stays below a horizon.
//! - `audit`: raw rows of the log, and the seals over them.
//! - `erasure`: the one change of rows of the log.
//! - `queries`: lists and counts of users, over facts that stand in columns.
//! - `lifeline`: whether the database is the one that it was.
//! - `tenancy`: whose rows a session shows; `grant`: the rights of a role that serves and owns nothing.
//! - `vault`: which rows need which root key, and sealing them again.
//! - `pool`, `durability`, `error`, `convert`: connections, R61, SQL errors, numbers and times; each in one place.
//!
//! # Invariants
//! - Every statement names its tenant, but for the outbox's, the sweeper's and the folding of tallies, which serve all tenants.
//! - The guard is in the statement, and its row count is looked at.
//! - What belongs to a user changes only while the user's row is locked and its version raised; sealing again, which changes
//!   no state, is no exception: statements of logins look for rows where they were when they began.
//! - No text of the server leaves this crate: details of errors quote rows.

mod audit;
mod coalesce;
mod commit;
mod convert;
mod dead_letters;
mod durability;
mod erasure;
mod error;
mod event_log;
mod grant;
mod lifeline;
mod load;
mod loader;
mod options;
mod outbox;
mod policies;
mod pool;
mod queries;
mod reset_requests;
mod rows;
mod schema;
mod seal_exports;
mod sends;
mod store;
mod tallies;
mod tenancy;
mod upkeep;
mod users;
mod vault;
mod writer;

pub use coalesce::CoalesceStats;
pub use grant::grant;
pub use options::PostgresOptions;
pub use schema::migrate;
pub use store::{GroupStats, PostgresStore};
