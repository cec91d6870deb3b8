//! What the load generator can be told to do. Doing it is in `session`.

use std::path::PathBuf;

use serde::Deserialize;

use crate::flow::Flow;

/// One line of input. Servers and populations are named by whoever gives the commands.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Command {
    /// Make an authority and the certificates of server and caller, and keep the caller's for `connect`.
    Certificates {
        /// Where `ca.pem`, `server.pem` and `server.key` are written.
        folder: PathBuf,
        /// The caller's DNS name.
        caller: String,
    },
    /// Open connections to a server.
    Connect {
        /// What to call it from now on; a name that is taken moves on to the new server.
        server: String,
        /// IP address and port.
        address: String,
        /// How many; calls are spread over them.
        connections: usize,
    },
    /// Create a tenant.
    CreateTenant { server: String, tenant: String, preset: String },
    /// Add users with an authenticator app each to a population.
    Enroll {
        server: String,
        /// The population; made by its first users.
        population: String,
        tenant: String,
        count: usize,
        in_flight: usize,
    },
    /// Give each user of a population one turn of a flow, such as to be remembered on their client.
    Each { server: String, population: String, flow: Flow, in_flight: usize },
    /// Do nothing for so long.
    Pause { millis: u64 },
    /// Wait until the population has so many unused codes, but not longer than it takes for each user to have all.
    Await { population: String, codes: usize },
    /// Run a flow and measure it.
    Run {
        server: String,
        population: String,
        flow: Flow,
        in_flight: usize,
        /// How long to measure.
        millis: u64,
        /// How long to run before that.
        warm_up_millis: u64,
        /// How long each of those in flight waits before its next call.
        #[serde(default)]
        pause_millis: u64,
        /// An open loop: so many calls begin each second, whether or not earlier ones are answered, as long as no more than
        /// `in_flight` are. None for a closed loop, where an answer is followed by the next call.
        #[serde(default)]
        per_second: Option<u32>,
        /// What else is asked of the same server meanwhile. It is not measured, and ends with the run.
        #[serde(default)]
        beside: Option<Beside>,
    },
}

/// Something that goes on beside a run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Beside {
    pub(crate) population: String,
    pub(crate) flow: Flow,
    pub(crate) in_flight: usize,
}
