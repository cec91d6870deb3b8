//! Everything that is measured, set up: databases, services, users, and the load generator.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::cast::{Disk, Population, Server};
use super::database::Database;
use super::growth;
use super::load::Load;
use super::machine;
use super::plan::Wanted;
use super::sample;
use super::service::{CALLER, Running, SERVICE_ROLE, Service, Store};
use super::slow_disk::SlowDisk;
use crate::preload::Preload;

/// In flight while users are made, and where each gets a turn.
const PREPARING: u32 = 256;
/// A second in which the services took less CPU time than this is quiet, and so many of them are enough.
const IDLE_CPU_SECONDS: f64 = 0.05;
const QUIET_SECONDS: u32 = 3;
/// Longer is not waited for.
const MAX_SETTLING_SECONDS: u32 = 600;
/// A disk that does this part of what it did before much was written to it is as it was.
const RECOVERED: f64 = 0.7;

/// How many users each population has.
#[derive(Clone, Copy)]
pub(super) struct Users {
    pub(super) postgres: u32,
    pub(super) remembered: u32,
    pub(super) sqlite: u32,
    pub(super) slow: u32,
    pub(super) calm: u32,
    pub(super) stormed: u32,
    pub(super) small: u32,
}

impl Users {
    const fn of(self, population: Population) -> u32 {
        match population {
            Population::Users => self.postgres,
            Population::Remembered => self.remembered,
            Population::Sqlite => self.sqlite,
            Population::Slow => self.slow,
            Population::Calm => self.calm,
            Population::Stormed => self.stormed,
            Population::Newcomers => 0,
            Population::Small => self.small,
        }
    }
}

/// Everything. Fields are dropped in this order: who uses something goes before it.
pub(super) struct Stage {
    pub(super) load: Load,
    pub(super) running: BTreeMap<Server, Running>,
    pub(super) databases: BTreeMap<Disk, Database>,
    pub(super) users: BTreeMap<Population, u32>,
    services: BTreeMap<Server, Service>,
    /// For the database that has grown, until there is one.
    grown: Option<Service>,
    _slow_library: Option<Preload>,
    _folder: TempDir,
}

impl Stage {
    /// Starts databases and the load generator, and configures services. Nothing is served yet.
    pub(super) fn build(
        service: &Path,
        load: &Path,
        slow_disk: Option<SlowDisk>,
        wanted: &Wanted,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("countersign-bench-").tempdir()?;
        let path = folder.path();
        let mut load = Load::start(load)?;
        load.make_certificates(path, CALLER)?;
        Service::make_key(service, path)?;
        let mut databases = BTreeMap::from([(Disk::AsIs, Database::start(None)?)]);
        let slow_library = slow_disk.map(|SlowDisk { database, library }| {
            databases.insert(Disk::Slow, database);
            library
        });
        let (mut services, mut places) = (BTreeMap::new(), BTreeSet::new());
        for server in Server::ALL {
            if server == Server::Small && !wanted.server(server) {
                continue;
            }
            let place = match server.place() {
                None => None,
                Some((disk, name)) => match databases.get(&disk) {
                    None => continue,
                    Some(it) => Some((disk, name, &it.server)),
                },
            };
            let store = match place {
                None => Store::Sqlite(path.join("countersign.db")),
                Some((_, name, it)) => Store::Postgres {
                    url: it.url_of(SERVICE_ROLE, name),
                    group_commit: server != Server::OneByOne,
                },
            };
            let configured = Service::configure(service, path, server.name(), &store)?;
            // The database that has grown will be a copy.
            if let Some((disk, name, it)) = place
                && server != Server::Grown
                && places.insert((disk, name))
            {
                if server == Server::Small {
                    it.query("postgres", &format!("CREATE DATABASE {name}"))?;
                }
                configured.migrate(&it.database_url(name))?;
            }
            services.insert(server, configured);
        }
        let grown = services.remove(&Server::Grown);
        let (running, users) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self {
            load,
            running,
            databases,
            users,
            services,
            grown,
            _slow_library: slow_library,
            _folder: folder,
        })
    }

    /// Makes the users through the API that any step logs in, then starts every service afresh.
    pub(super) fn populate(&mut self, users: Users, wanted: &Wanted) -> Result<()> {
        self.start_all()?;
        for population in Population::ALL {
            if self.services.contains_key(&population.server()) && wanted.population(population) {
                self.enroll(population, users.of(population))?;
            }
        }
        if wanted.population(Population::Remembered) {
            let remembered = Population::Remembered;
            let told = self.load.tell(&each(remembered.server(), remembered, "remember"))?;
            let wrong = sample::wrong(&told);
            ensure!(wrong.is_empty(), "not every user is remembered: {}", wrong.join(", "));
        }
        self.settle()?;
        let before = self.as_is()?.flushes()?;
        if wanted.server(Server::Grown) {
            self.grow()?;
        }
        // What so much writing leaves to be tidied must not fall into the first rounds.
        for (disk, database) in &self.databases {
            let places = self.services.keys().filter_map(|server| server.place());
            let names: BTreeSet<_> = places.filter(|(on, _)| on == disk).map(|(_, name)| name).collect();
            for name in names {
                database.server.query(name, "VACUUM ANALYZE")?;
            }
            database.server.query("postgres", "CHECKPOINT")?;
        }
        if wanted.server(Server::Grown) {
            self.await_disk(before)?;
        }
        self.start_all()
    }

    /// Waits until the disk flushes as often as it did before ten million events were written to it: many disks are slow for
    /// minutes then.
    fn await_disk(&self, before: f64) -> Result<()> {
        println!("  waiting until the disk is as quick as before");
        let mut quick = 0;
        for _ in 0..MAX_SETTLING_SECONDS {
            quick = if self.as_is()?.flushes()? >= before * RECOVERED { quick + 1 } else { 0 };
            if quick == QUIET_SECONDS {
                return Ok(());
            }
        }
        println!("  the disk is still slower");
        Ok(())
    }

    /// The database on the disk as it is.
    fn as_is(&self) -> Result<&Database> {
        self.databases.get(&Disk::AsIs).context("there is no database")
    }

    /// Waits until the services have done what so many enrollments left to do: notices to send, a log to seal. It would go
    /// on beside what is measured.
    fn settle(&mut self) -> Result<()> {
        println!("  waiting until all of it is told and sealed");
        let (mut earlier, mut quiet) = (self.cpu_seconds(), 0);
        for _ in 0..MAX_SETTLING_SECONDS {
            self.load.tell(&json!({ "do": "pause", "millis": 1_000 }))?;
            let now = self.cpu_seconds();
            quiet = if now - earlier < IDLE_CPU_SECONDS { quiet + 1 } else { 0 };
            if quiet == QUIET_SECONDS {
                return Ok(());
            }
            earlier = now;
        }
        println!("  the services are still at it");
        Ok(())
    }

    /// What the services have taken so far.
    fn cpu_seconds(&self) -> f64 {
        self.running.values().filter_map(|running| machine::cpu_seconds(running.pid())).sum()
    }

    /// Makes the database that has grown from the one that the users are in.
    fn grow(&mut self) -> Result<()> {
        println!(
            "  {} users and {} events in all for a database that has grown",
            growth::USERS,
            growth::EVENTS
        );
        // A database that somebody is connected to cannot be copied.
        self.running.clear();
        let name = |server: Server| server.place().map(|(_, name)| name).context("it is not in PostgreSQL");
        let (from, to) = (name(Server::Grouped)?, name(Server::Grown)?);
        growth::grow(&self.as_is()?.server, from, to, Population::Users.tenant().0)?;
        self.services.extend(self.grown.take().map(|service| (Server::Grown, service)));
        Ok(())
    }

    /// Starts a service on a port of its own, whatever else runs of it.
    pub(super) fn start(&self, server: Server) -> Result<Running> {
        let service = self.services.get(&server);
        service.with_context(|| format!("there is no service {}", server.name()))?.start()
    }

    fn start_all(&mut self) -> Result<()> {
        self.running.clear();
        for (server, service) in &self.services {
            let running = service.start()?;
            self.load.connect(server.name(), &running.address)?;
            self.running.insert(*server, running);
        }
        Ok(())
    }

    fn enroll(&mut self, population: Population, count: u32) -> Result<()> {
        let (server, (tenant, preset)) = (population.server().name(), population.tenant());
        println!("  {count} users for {}", population.name());
        let create = json!({ "do": "create_tenant", "server": server, "tenant": tenant, "preset": preset });
        self.load.tell(&create)?;
        let enroll = json!({
            "do": "enroll", "server": server, "population": population.name(), "tenant": tenant,
            "count": count, "in_flight": PREPARING,
        });
        self.load.tell(&enroll)?;
        self.users.insert(population, count);
        Ok(())
    }
}

/// Has the load generator give each user of a population a turn.
pub(super) fn each(server: Server, population: Population, flow: &str) -> Value {
    let (server, population) = (server.name(), population.name());
    json!({ "do": "each", "server": server, "population": population, "flow": flow, "in_flight": PREPARING })
}
