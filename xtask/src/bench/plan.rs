//! What is measured in every round, in one order. The order turns round after each round, so that what drifts (a disk
//! that warms up, a neighbour that wakes) does not favour one side.

/// Which PostgreSQL: with the disk as it is, or with flushes that take longer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Disk {
    AsIs,
    Slow,
}

/// A thing to measure.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) what: What,
}

pub(super) enum What {
    /// `pgbench` with so many clients.
    Baseline { disk: Disk, clients: u32 },
    /// The load generator.
    Load {
        /// A service of [`super::stage`].
        server: &'static str,
        /// Its users.
        population: &'static str,
        /// A flow of the load generator.
        flow: &'static str,
        in_flight: u32,
        /// How long each of them waits between two calls.
        pause_millis: u32,
    },
}

/// One after another without a pause.
const fn load(
    name: &'static str,
    server: &'static str,
    population: &'static str,
    flow: &'static str,
    in_flight: u32,
) -> Step {
    Step { name, what: What::Load { server, population, flow, in_flight, pause_millis: 0 } }
}

const fn baseline(name: &'static str, disk: Disk, clients: u32) -> Step {
    Step { name, what: What::Baseline { disk, clients } }
}

/// Everything with the disk as it is.
pub(super) const STEPS: [Step; 14] = [
    baseline("pgbench-64", Disk::AsIs, 64),
    load("login-256", "grouped", "users", "check", 256),
    load("one-by-one-256", "one-by-one", "users", "check", 256),
    load("login-64", "grouped", "users", "check", 64),
    baseline("pgbench-8", Disk::AsIs, 8),
    load("login-8", "grouped", "users", "check", 8),
    baseline("pgbench-1", Disk::AsIs, 1),
    load("login-1", "grouped", "users", "check", 1),
    Step {
        name: "login-idle",
        what: What::Load {
            server: "grouped",
            population: "users",
            flow: "check",
            in_flight: 1,
            pause_millis: 20,
        },
    },
    load("challenge-256", "grouped", "users", "challenge", 256),
    load("remembered-256", "grouped", "remembered-users", "remembered", 256),
    load("mixed-256", "grouped", "users", "mixed", 256),
    load("sqlite-256", "sqlite", "sqlite-users", "check", 256),
    load("sqlite-1", "sqlite", "sqlite-users", "check", 1),
];

/// The same statements where every flush takes longer.
pub(super) const SLOW_STEPS: [Step; 3] = [
    baseline("slow-pgbench-64", Disk::Slow, 64),
    load("slow-login-64", "slow", "slow-users", "check", 64),
    load("slow-login-1024", "slow", "slow-users", "check", 1_024),
];

/// The steps of a round, the first of which has number 0.
pub(super) fn steps(round: usize, slow: bool) -> Vec<&'static Step> {
    let mut steps: Vec<&Step> = STEPS.iter().collect();
    if slow {
        steps.extend(&SLOW_STEPS);
    }
    if round % 2 == 1 {
        steps.reverse();
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_measures_the_same_and_begins_at_the_other_end() {
        let names = |round| steps(round, true).iter().map(|step| step.name).collect::<Vec<_>>();
        let mut turned = names(1);
        turned.reverse();
        assert_eq!(names(0), turned);
        assert_eq!(names(0), names(2));
        assert!(!steps(0, false).iter().any(|step| step.name.starts_with("slow")));
    }
}
