//! The SQLite adapter, the embedded default: the ports of `countersign-ports` on one file.
//!
//! No rule of the domain lives here, no clock, and no second copy of a state: rows are read, opened and given away.
//!
//! # How it fits together
//! - [`SqliteStore`] opens the file, brings its schema up to date and checks that what it acknowledges is durable.
//! - `writer` is the one that writes: it drains a bounded queue, makes one transaction of what waits, and answers each
//!   caller after the commit. A piece of work whose guard does not hold is undone alone.
//! - `commit` and `writes` turn a change set into a `script`: its statements, each with what it has to change, run at one go.
//!   `rows` turns rows back into values.
//! - `lifeline` says whether the database is the one that it was.
//! - `vault` says which rows need which root key, and seals them again.
//! - `loader` reads users: loads that come at the same time are one statement, and so one snapshot. Its connections are its own.
//! - All other reads go through a small pool. `event_log` says why none of them takes long.
//!
//! # To add a column or table
//! 1. A new file in `migrations/`, which the version before must be able to live with (R68): add, never rename or drop.
//! 2. The statement in `writes`, the column in `load.sql` and the row in `rows`, in the same order; the conformance suite shows what is missing.
//! 3. `cargo xtask db prepare` writes the query data in `.sqlx` anew.

mod arrays;
mod audit;
mod commit;
mod dead_letters;
mod durability;
mod erasure;
mod error;
mod event_log;
mod lifeline;
mod loader;
mod open;
mod outbox;
mod policies;
mod queries;
mod reader;
mod rows;
mod script;
mod seal;
mod seal_exports;
mod sends;
mod stop;
mod tallies;
mod upkeep;
mod users;
mod vault;
mod writer;
mod writes;

pub use open::SqliteStore;

#[cfg(test)]
mod tests;
