//! What is measured in every round, in one order. The order turns round after each round, so that what drifts (a disk
//! that warms up, a neighbour that wakes) does not favour one side.

use anyhow::{Context as _, Result, bail};

use super::cast::{Disk, Population, Server};

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
        server: Server,
        population: Population,
        /// A flow of the load generator.
        flow: &'static str,
        in_flight: u32,
        pace: Pace,
        /// Whether another tenant's users are guessed at meanwhile.
        storm: bool,
    },
}

/// When calls come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Each at once after the answer to the one before it.
    Closed,
    /// Each so many milliseconds after the answer to the one before it.
    Paused(u32),
    /// At their own time and not after answers, half as many as were answered in a closed loop.
    Open,
}

/// One after another without a pause.
const fn load(
    name: &'static str,
    server: Server,
    population: Population,
    flow: &'static str,
    in_flight: u32,
) -> Step {
    Step { name, what: What::Load { server, population, flow, in_flight, pace: Pace::Closed, storm: false } }
}

const fn baseline(name: &'static str, disk: Disk, clients: u32) -> Step {
    Step { name, what: What::Baseline { disk, clients } }
}

/// Everything with the disk as it is.
pub(super) const STEPS: [Step; 20] = [
    baseline("pgbench-64", Disk::AsIs, 64),
    load("login-256", Server::Grouped, Population::Users, "check", 256),
    load("one-by-one-256", Server::OneByOne, Population::Users, "check", 256),
    load("echo-64", Server::Grouped, Population::Users, "health", 64),
    load("login-64", Server::Grouped, Population::Users, "check", 64),
    baseline("pgbench-8", Disk::AsIs, 8),
    load("login-8", Server::Grouped, Population::Users, "check", 8),
    baseline("pgbench-1", Disk::AsIs, 1),
    load("echo-1", Server::Grouped, Population::Users, "health", 1),
    load("login-1", Server::Grouped, Population::Users, "check", 1),
    Step {
        name: "login-idle",
        what: What::Load {
            server: Server::Grouped,
            population: Population::Users,
            flow: "check",
            in_flight: 1,
            pace: Pace::Paused(20),
            storm: false,
        },
    },
    Step {
        name: "login-open",
        what: What::Load {
            server: Server::Grouped,
            population: Population::Users,
            flow: "check",
            // As many as the service works on at a time: where the disk stalls, further calls begin late and are not refused.
            in_flight: 256,
            pace: Pace::Open,
            storm: false,
        },
    },
    load("challenge-256", Server::Grouped, Population::Users, "challenge", 256),
    load("mixed-256", Server::Grouped, Population::Users, "mixed", 256),
    load("calm-32", Server::Grouped, Population::Calm, "check", 32),
    Step {
        name: "storm-32",
        what: What::Load {
            server: Server::Grouped,
            population: Population::Calm,
            flow: "check",
            in_flight: 32,
            pace: Pace::Closed,
            storm: true,
        },
    },
    load("enroll-32", Server::Grouped, Population::Newcomers, "enroll", 32),
    load("sqlite-256", Server::Sqlite, Population::Sqlite, "check", 256),
    load("sqlite-1", Server::Sqlite, Population::Sqlite, "check", 1),
    load("remembered-256", Server::Grouped, Population::Remembered, "remembered", 256),
];

/// The same statements where every flush takes longer.
pub(super) const SLOW_STEPS: [Step; 3] = [
    baseline("slow-pgbench-64", Disk::Slow, 64),
    load("slow-login-64", Server::Slow, Population::Slow, "check", 64),
    load("slow-login-1024", Server::Slow, Population::Slow, "check", 1_024),
];

/// The same statements with fewer users, and beside many more users and events. `login-256` stands between them.
pub(super) const GROWTH_STEPS: [Step; 4] = [
    load("small-login-256", Server::Small, Population::Small, "check", 256),
    load("grown-login-256", Server::Grown, Population::Users, "check", 256),
    load("grown-list-1", Server::Grown, Population::Users, "list", 1),
    load("grown-coverage-1", Server::Grown, Population::Users, "coverage", 1),
];

/// All steps there are.
pub(super) fn all() -> impl Iterator<Item = &'static Step> {
    STEPS.iter().chain(&SLOW_STEPS).chain(&GROWTH_STEPS)
}

/// The steps that were asked for, in the order of the plan.
pub(super) struct Wanted(Vec<&'static Step>);

impl Wanted {
    /// Those with these names; all where none is given.
    pub(super) fn named(names: &[String]) -> Result<Self> {
        if let Some(unknown) = names.iter().find(|name| !all().any(|step| step.name == **name)) {
            let known: Vec<_> = all().map(|step| step.name).collect();
            bail!("there is no step {unknown}; there are {}", known.join(", "));
        }
        Ok(Self(
            all().filter(|step| names.is_empty() || names.iter().any(|name| name == step.name)).collect(),
        ))
    }

    /// The same where no disk can be made slow.
    pub(super) fn without_slow_disk(self) -> Self {
        self.without(&SLOW_STEPS)
    }

    /// The same where there is no time to let a database grow.
    pub(super) fn without_growth(self) -> Self {
        self.without(&GROWTH_STEPS)
    }

    fn without(mut self, steps: &[Step]) -> Self {
        self.0.retain(|step| !steps.iter().any(|other| other.name == step.name));
        self
    }

    /// Whether users are guessed at in any step.
    fn storm(&self) -> bool {
        self.0.iter().any(|step| matches!(step.what, What::Load { storm: true, .. }))
    }

    /// Whether any step asks that service. The slow one stands for its database as well.
    pub(super) fn server(&self, wanted: Server) -> bool {
        self.0.iter().any(|step| match step.what {
            What::Load { server, .. } => server == wanted,
            What::Baseline { disk, .. } => disk == Disk::Slow && wanted == Server::Slow,
        })
    }

    /// Whether any step needs these users.
    pub(super) fn population(&self, wanted: Population) -> bool {
        let logs_in =
            |step: &&Step| matches!(step.what, What::Load { population, .. } if population == wanted);
        self.0.iter().any(logs_in) || (wanted == Population::Stormed && self.storm())
    }

    /// The step that a soak goes on with, and whose users it needs.
    pub(super) fn soak() -> Result<&'static Step> {
        all()
            .find(|step| matches!(step.what, What::Load { pace: Pace::Open, .. }))
            .context("no step is an open loop")
    }

    /// Refuses a soak whose step is not wanted: nobody would be there to log in.
    pub(super) fn require_soak(&self) -> Result<()> {
        let step = Self::soak()?;
        if !self.0.iter().any(|wanted| wanted.name == step.name) {
            bail!("a soak goes on with {}, which --only does not name", step.name);
        }
        Ok(())
    }

    /// The steps of a round, the first of which has number 0.
    pub(super) fn round(&self, number: usize) -> Vec<&'static Step> {
        let mut steps = self.0.clone();
        if number % 2 == 1 {
            steps.reverse();
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_measures_the_same_and_begins_at_the_other_end() {
        let all = Wanted::named(&[]).unwrap();
        let names = |round| all.round(round).iter().map(|step| step.name).collect::<Vec<_>>();
        let mut turned = names(1);
        turned.reverse();
        assert_eq!(names(0), turned);
        assert_eq!(names(0), names(2));
        assert!(!all.without_slow_disk().round(0).iter().any(|step| step.name.starts_with("slow")));
    }

    #[test]
    fn only_named_steps_are_measured_and_a_misspelled_one_is_named() {
        let named =
            |names: &[&str]| Wanted::named(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        let two = named(&["login-256", "pgbench-64"]).unwrap();
        let order: Vec<_> = two.round(0).iter().map(|step| step.name).collect();
        assert_eq!(order, ["pgbench-64", "login-256"]);
        assert!(two.server(Server::Grouped) && two.population(Population::Users));
        assert!(
            !two.server(Server::Sqlite)
                && !two.server(Server::Slow)
                && !two.population(Population::Remembered)
        );
        assert!(named(&["slow-pgbench-64"]).unwrap().server(Server::Slow));
        assert!(named(&["login-open"]).unwrap().require_soak().is_ok());
        assert!(two.require_soak().unwrap_err().to_string().contains("login-open"));
        let error = named(&["login-265"]).err().unwrap().to_string();
        assert!(error.contains("login-265") && error.contains("login-256"), "{error}");
    }
}
