//! Everything that is measured, set up: databases, services, users, and the load generator.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::database::{DATABASE, Database};
use super::growth;
use super::load::Load;
use super::machine;
use super::plan::{Disk, Wanted};
use super::sample;
use super::service::{CALLER, Running, SERVICE_ROLE, Service, Store};
use super::slow_disk::SlowDisk;
use crate::preload::Preload;

/// A copy of our database with many more users and events.
const GROWN: &str = "grown";
/// One with few users.
const SMALL: &str = "small";
/// The tenant whose users are always asked for a code, and its preset.
const TENANT: (&str, &str) = ("always-asked", "self-service-code");
/// The tenant whose users are asked on unknown clients only, and its preset.
const REMEMBERING: (&str, &str) = ("remembering", "mandatory-managed");
/// The tenant whose users log in beside a storm, and the one that is stormed.
const CALM: (&str, &str) = ("calm", "self-service-code");
const STORMY: (&str, &str) = ("stormy", "self-service-code");
/// The users who are guessed at.
pub(super) const STORMED: &str = "stormed-users";
/// The tenant that users join while it is measured, and its preset.
const JOINED: (&str, &str) = ("joined", "self-service-code");
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

/// Everything. Fields are dropped in this order: who uses something goes before it.
pub(super) struct Stage {
    pub(super) load: Load,
    pub(super) running: BTreeMap<&'static str, Running>,
    pub(super) databases: BTreeMap<Disk, Database>,
    pub(super) users: BTreeMap<&'static str, u32>,
    services: BTreeMap<&'static str, Service>,
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
        let postgres = |disk: Disk, name, group_commit| {
            let url = databases.get(&disk).map(|it| it.server.url_of(SERVICE_ROLE, name));
            url.map(|url| Store::Postgres { url, group_commit })
        };
        let grown = postgres(Disk::AsIs, GROWN, true);
        let grown = grown.map(|store| Service::configure(service, path, "grown", &store)).transpose()?;
        let small = if wanted.server("small") { databases.get(&Disk::AsIs) } else { None };
        if let Some(database) = small {
            database.server.query("postgres", &format!("CREATE DATABASE {SMALL}"))?;
        }
        let stores = [
            ("grouped", postgres(Disk::AsIs, DATABASE, true)),
            ("one-by-one", postgres(Disk::AsIs, DATABASE, false)),
            ("sqlite", Some(Store::Sqlite(path.join("countersign.db")))),
            ("slow", postgres(Disk::Slow, DATABASE, true)),
            ("small", small.and_then(|_| postgres(Disk::AsIs, SMALL, true))),
        ];
        let mut services = BTreeMap::new();
        for (name, store) in stores {
            if let Some(store) = store {
                services.insert(name, Service::configure(service, path, name, &store)?);
            }
        }
        for (name, disk, database) in
            [("grouped", Disk::AsIs, DATABASE), ("slow", Disk::Slow, DATABASE), ("small", Disk::AsIs, SMALL)]
        {
            if let (Some(service), Some(it)) = (services.get(name), databases.get(&disk)) {
                service.migrate(&it.server.database_url(database))?;
            }
        }
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
        let populations = [
            ("grouped", "users", TENANT, users.postgres),
            ("grouped", "remembered-users", REMEMBERING, users.remembered),
            ("sqlite", "sqlite-users", TENANT, users.sqlite),
            ("slow", "slow-users", TENANT, users.slow),
            ("grouped", "calm-users", CALM, users.calm),
            ("grouped", STORMED, STORMY, users.stormed),
            ("grouped", "newcomers", JOINED, 0),
            ("small", "small-users", TENANT, users.small),
        ];
        for (server, population, tenant, count) in populations {
            let is_wanted = wanted.population(population) || (population == STORMED && wanted.storm());
            if self.services.contains_key(server) && is_wanted {
                self.enroll(server, population, tenant, count)?;
            }
        }
        if wanted.population("remembered-users") {
            let told = self.load.tell(&each("grouped", "remembered-users", "remember"))?;
            let wrong = sample::wrong(&told);
            ensure!(wrong.is_empty(), "not every user is remembered: {}", wrong.join(", "));
        }
        self.settle()?;
        let before = self.as_is()?.flushes()?;
        if wanted.server("grown") {
            self.grow()?;
        }
        // What so much writing leaves to be tidied must not fall into the first rounds.
        for (disk, database) in &self.databases {
            database.server.query(DATABASE, "VACUUM ANALYZE")?;
            for (service, name) in [("grown", GROWN), ("small", SMALL)] {
                if self.services.contains_key(service) && *disk == Disk::AsIs {
                    database.server.query(name, "VACUUM ANALYZE")?;
                }
            }
            database.server.query(DATABASE, "CHECKPOINT")?;
        }
        if wanted.server("grown") {
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
        growth::grow(&self.as_is()?.server, DATABASE, GROWN, TENANT.0)?;
        self.services.extend(self.grown.take().map(|service| ("grown", service)));
        Ok(())
    }

    /// Starts a service on a port of its own, whatever else runs of it.
    pub(super) fn start(&self, name: &str) -> Result<Running> {
        self.services.get(name).with_context(|| format!("there is no service {name}"))?.start()
    }

    fn start_all(&mut self) -> Result<()> {
        self.running.clear();
        for (name, service) in &self.services {
            let running = service.start()?;
            self.load.connect(name, &running.address)?;
            self.running.insert(name, running);
        }
        Ok(())
    }

    fn enroll(
        &mut self,
        server: &'static str,
        population: &'static str,
        (tenant, preset): (&str, &str),
        count: u32,
    ) -> Result<()> {
        println!("  {count} users for {population}");
        let create = json!({ "do": "create_tenant", "server": server, "tenant": tenant, "preset": preset });
        self.load.tell(&create)?;
        let enroll = json!({
            "do": "enroll", "server": server, "population": population, "tenant": tenant,
            "count": count, "in_flight": PREPARING,
        });
        self.load.tell(&enroll)?;
        self.users.insert(population, count);
        Ok(())
    }
}

/// Has the load generator give each user of a population a turn.
pub(super) fn each(server: &str, population: &str, flow: &str) -> Value {
    json!({ "do": "each", "server": server, "population": population, "flow": flow, "in_flight": PREPARING })
}
