//! How large a run is: the short form, or what the environment says.

use crate::clocks::TURN;
use crate::harness::Store;
use std::fmt;

/// The size of a run.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    /// What all chance of the run comes from.
    pub(crate) seed: u64,
    /// Calls to make, repeats not counted.
    pub(crate) calls: usize,
    /// Nodes to kill, evenly over the calls, as everything below.
    pub(crate) kills: usize,
    /// Databases to kill; SQLite has none.
    pub(crate) database_kills: usize,
    /// Clocks of nodes to turn.
    pub(crate) jumps: usize,
    /// How often to turn the database's.
    pub(crate) database_jumps: usize,
    /// Root keys to change.
    pub(crate) rotations: usize,
    /// Nodes that serve at the same time.
    pub(crate) nodes: usize,
    /// Calls at the same time.
    pub(crate) clients: usize,
    /// Users, each with an authenticator app and recovery codes.
    pub(crate) users: usize,
}

impl Scale {
    /// What the environment says, and the short form where it says nothing.
    pub(crate) fn given(store: Store) -> Self {
        let number = |name: &str, short: u64| {
            let text = std::env::var(format!("COUNTERSIGN_TORTURE_{name}"));
            text.map_or(short, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
        };
        let count = |name: &str, short: u64| usize::try_from(number(name, short)).expect("it fits");
        let postgres = store == Store::Postgres;
        Self {
            seed: number("SEED", 1),
            calls: count("CALLS", 6_000),
            kills: count("KILLS", 6),
            database_kills: if postgres { count("DATABASE_KILLS", 2) } else { 0 },
            jumps: if TURN { count("JUMPS", 6) } else { 0 },
            database_jumps: if TURN && postgres { count("DATABASE_JUMPS", 3) } else { 0 },
            rotations: count("ROTATIONS", 1),
            nodes: if postgres { 3 } else { 1 },
            clients: count("CLIENTS", 32),
            users: count("USERS", 200),
        }
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, calls, kills, database_kills, nodes, clients, users, .. } = self;
        let Self { jumps, database_jumps, rotations, .. } = self;
        write!(
            f,
            "seed {seed}, {calls} calls of {clients} clients for {users} users, {nodes} nodes, {kills} kills of \
             nodes, {database_kills} of the database, {jumps} jumps of nodes' clocks, {database_jumps} of the \
             database's, {rotations} changes of the root key"
        )
    }
}
