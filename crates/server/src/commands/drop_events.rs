//! `countersign events drop`: what a node does with `events.retention_days`, once. For whoever owns the tables, where the
//! role that serves owns none.

use super::{begin_log, tell};
use crate::adapters::GuardedClock;
use crate::cli::DropArgs;
use crate::config::{self, AuditConfig, Config, Keys, Sources, StoreConfig};
use crate::failure::Failure;
use crate::problem::Problem;
use crate::stores::{self, Stores};
use crate::witness::{self, Witness};
use crate::{evidence, vault};
use countersign_application::Application;
use countersign_application::audit::{Dropped, HeldUp};
use countersign_domain::clock::Trust;
use countersign_domain::digest::KeyId;
use countersign_keyring::Keyring;
use countersign_ports::{Clock, SealExporter};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

/// Drops what is old enough, sealed, and has left; says how much that was.
pub(super) async fn run(args: DropArgs) -> Result<(), Failure> {
    let sources = Sources { file: args.config, ..Sources::default() };
    let Config { store, witness, keys: Keys { keyring, retired }, audit, retention, .. } =
        config::load(&sources)?;
    let asked = args.older_than_days.map(|days| DAY * days);
    let age = asked.or(retention).ok_or_else(|| {
        Problem::new(
            "--older-than-days",
            "is missing, and events.retention_days is not set; write 30 to 36500",
        )
    })?;
    // Why nothing is dropped, such as an exporter that does not answer, is told in the log.
    begin_log();
    let exporters = exporters(&audit)?;
    let unit = match &store {
        StoreConfig::Postgres(_) => "months",
        StoreConfig::Sqlite { .. } => "events",
    };
    let keyring = Arc::new(keyring);
    let stores = stores::open(store, Arc::clone(&keyring)).await?;
    let dropping = Dropping { stores, keyring, retired, witness: Witness::open(witness)?, exporters };
    tell(&told(dropping.run(age).await?, unit)?)
}

/// Those of a node. Refuses a folder of seals that is not there: a node makes it and fills it; one that is made here is
/// empty, and nothing would ever have left by it.
fn exporters(audit: &AuditConfig) -> Result<Vec<Arc<dyn SealExporter>>, Failure> {
    let folder = audit.file.as_ref().map(std::fs::metadata);
    if matches!(folder, Some(Err(error)) if error.kind() == io::ErrorKind::NotFound) {
        let text =
            "is not there, and says how far seals have left; run this on a machine whose node fills it";
        return Err(Problem::new("audit.file.folder", text).into());
    }
    evidence::exporters(audit)
}

/// What is said of it. That nothing may go is found, and not what somebody wants who drops every day.
fn told(Dropped { pieces, held_up }: Dropped, unit: &str) -> Result<String, Failure> {
    let why = match held_up {
        None => None,
        Some(HeldUp::Unsealed) => {
            Some("events that are old enough are not sealed; nodes seal them".to_owned())
        }
        Some(HeldUp::NotLeft(exporter)) => Some(format!(
            "seals of what is old enough have not left by the exporter {exporter}; run this where a node has it, or see in \
             the log of that node why they stay"
        )),
        Some(HeldUp::Unknown(exporter)) => {
            Some(format!("the exporter {exporter} does not say how far seals have left; see above"))
        }
    };
    match (pieces, why) {
        (0, None) => Ok("nothing was dropped\n".to_owned()),
        (0, Some(why)) => Err(Failure::Found(vec![format!("nothing was dropped: {why}")])),
        (_, None) => Ok(format!("{pieces} {unit} were dropped\n")),
        (_, Some(why)) => Ok(format!("{pieces} {unit} were dropped, and more would be: {why}\n")),
    }
}

/// A log that is kept in bounds, and what with.
struct Dropping {
    stores: Stores,
    keyring: Arc<Keyring>,
    retired: BTreeSet<KeyId>,
    witness: Witness,
    exporters: Vec<Arc<dyn SealExporter>>,
}

impl Dropping {
    /// Drops what is older. Refuses whatever a node would not serve with.
    async fn run(self, age: Duration) -> Result<Dropped, Failure> {
        let Self { stores, keyring, retired, witness, exporters } = self;
        let clock = Arc::new(GuardedClock::start());
        // Of a database that was put back, what is left of the log is evidence of what it lost.
        witness.judge(&stores.lifeline.incarnation(witness::fresh_id()).await?)?;
        if clock.compare_with(stores.maintenance.as_ref()).await? != Trust::Trusted {
            return Err(Failure::Unavailable(
                "the clock is away from the database's; set up NTP on both".to_owned(),
            ));
        }
        // A mark that is signed with another key than it says would be a finding for ever: the key that signs is refused
        // where it is another than it was, and remembered, so that no other can take its id later (R52).
        vault::admit(stores.vault.as_ref(), &keyring, &retired, clock.now()).await?;
        let evidence = evidence::of(&stores, &keyring, exporters);
        let app = Application::new(stores.deps_of_command(keyring.digests(), clock));
        Ok(app.keep_sealed_events(stores.maintenance.as_ref(), Some(age), &evidence).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_application::audit::{SealWhen, seal_next};
    use countersign_domain::policy::Preset;
    use countersign_keyring::RootKey;
    use countersign_ports::{Commit, EventQuery, Tell};
    use countersign_testkit::{SeededRandom, fixtures};
    use std::path::Path;

    /// Root keys: the id of each, and what it is drawn from.
    fn keys<const N: usize>(keys: [(u32, u64); N]) -> Arc<Keyring> {
        let root = |seed| RootKey::from_bytes(SeededRandom::new(seed).bytes()).unwrap();
        Arc::new(Keyring::new(keys.map(|(id, seed)| (KeyId(id), root(seed))).into()).unwrap())
    }

    fn keyring(seed: u64) -> Arc<Keyring> {
        keys([(1, seed)])
    }

    /// The log of a tenant that was made long ago, under the first of two keys that share an id.
    async fn long_ago(folder: &Path) -> Stores {
        let store = StoreConfig::Sqlite { path: folder.join("countersign.db") };
        let stores = stores::open(store, keyring(1)).await.unwrap();
        let now = fixtures::START;
        vault::admit(stores.vault.as_ref(), &keyring(1), &BTreeSet::new(), now).await.unwrap();
        let random = SeededRandom::new(7);
        let record = fixtures::tenant_record(&fixtures::tenant("acme"), Preset::SelfServiceCode);
        let created = fixtures::policy_change(&random, &record);
        assert_eq!(stores.policies.put_policy(record, created, Tell::Nobody).await.unwrap(), Commit::Done);
        stores
    }

    async fn drop_with(stores: &Stores, keyring: Arc<Keyring>) -> Result<Dropped, Failure> {
        drop_by(stores, keyring, Vec::new()).await
    }

    async fn drop_by(
        stores: &Stores,
        keyring: Arc<Keyring>,
        exporters: Vec<Arc<dyn SealExporter>>,
    ) -> Result<Dropped, Failure> {
        let (stores, witness) = (stores.clone(), Witness::open(None)?);
        let dropping = Dropping { stores, keyring, retired: BTreeSet::new(), witness, exporters };
        dropping.run(DAY * 30).await
    }

    /// Seals the log of the tenant; the number of the seal.
    async fn seal(stores: &Stores) -> u64 {
        let (tenant, key) = (fixtures::tenant("acme"), evidence::seal_key(&keyring(1)));
        let when = SealWhen { events: 10, age: Duration::ZERO };
        let sealed = seal_next(stores.audit.as_ref(), &tenant, &key, when, fixtures::START).await.unwrap();
        sealed.unwrap().number
    }

    async fn events(stores: &Stores) -> usize {
        let tenant = fixtures::tenant("acme");
        let query = EventQuery {
            tenant,
            user: None,
            kinds: Vec::new(),
            start_time: None,
            end_time: None,
            after: None,
            limit: 10,
        };
        stores.events.events(&query).await.unwrap().len()
    }

    /// R56, R52: what is not sealed stays; what is sealed goes, announced by a mark; and a key that is another than it was
    /// under its id signs none.
    #[tokio::test]
    async fn what_is_sealed_goes_and_is_announced() {
        let folder = tempfile::tempdir().unwrap();
        let stores = long_ago(folder.path()).await;
        let none = Dropped { pieces: 0, held_up: Some(HeldUp::Unsealed) };
        assert_eq!(drop_with(&stores, keyring(1)).await.unwrap(), none);
        assert_eq!(seal(&stores).await, 1);

        let refused = drop_with(&stores, keyring(2)).await.unwrap_err();
        assert!(refused.lines()[0].contains("is another key"), "{:?}", refused.lines());
        assert_eq!((events(&stores).await, last(&stores).await), (1, 1));

        let one = Dropped { pieces: 1, held_up: None };
        assert_eq!(drop_with(&stores, keyring(1)).await.unwrap(), one);
        assert_eq!((events(&stores).await, last(&stores).await), (0, 2), "the mark is a seal of its own");
    }

    /// R52: the key that signed a mark is remembered, before any node has it: no other one can take its id.
    #[tokio::test]
    async fn the_key_that_signs_a_mark_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let stores = long_ago(folder.path()).await;
        seal(&stores).await;
        assert_eq!(drop_with(&stores, keys([(1, 1), (2, 2)])).await.unwrap().pieces, 1);
        let (vault, other) = (stores.vault.as_ref(), keys([(1, 1), (2, 3)]));
        let told = vault::objections(vault, &other, &BTreeSet::new(), fixtures::START).await.unwrap();
        assert!(told.to_string().contains("keys.*.2: is another key"), "{told}");
    }

    /// R56: a folder of seals that is not there is refused and not made; by one that is empty nothing has left, so nothing
    /// may go, and that is found.
    #[tokio::test]
    async fn seals_that_have_not_left_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let seals = folder.path().join("seals");
        let audit = AuditConfig { file: Some(seals.clone()), ..AuditConfig::default() };
        let Err(Failure::Config(refused)) = exporters(&audit) else { panic!("it is not there") };
        assert!(refused.to_string().starts_with("audit.file.folder: is not there"), "{refused}");
        assert!(!seals.exists());

        std::fs::create_dir(&seals).unwrap();
        let stores = long_ago(folder.path()).await;
        seal(&stores).await;
        let kept = drop_by(&stores, keyring(1), exporters(&audit).unwrap()).await.unwrap();
        assert_eq!(kept, Dropped { pieces: 0, held_up: Some(HeldUp::NotLeft("file")) });
        let Err(Failure::Found(found)) = told(kept, "events") else { panic!("it is found") };
        assert!(found[0].contains("have not left by the exporter file"), "{found:?}");
        assert_eq!((events(&stores).await, last(&stores).await), (1, 1));
    }

    /// What was dropped is told, and what holds up the rest.
    #[test]
    fn what_was_dropped_is_told() {
        let said = |pieces, held_up| told(Dropped { pieces, held_up }, "months").map_err(|it| it.lines());
        assert_eq!(said(0, None), Ok("nothing was dropped\n".to_owned()));
        assert_eq!(said(2, None), Ok("2 months were dropped\n".to_owned()));
        let more = said(2, Some(HeldUp::NotLeft("log"))).unwrap();
        assert!(more.starts_with("2 months were dropped, and more would be"), "{more}");
        for held_up in [HeldUp::Unsealed, HeldUp::Unknown("webhook")] {
            assert!(said(0, Some(held_up)).is_err(), "{held_up:?}");
        }
    }

    async fn last(stores: &Stores) -> u64 {
        stores.audit.last_seal(&fixtures::tenant("acme")).await.unwrap().unwrap().number
    }
}
