//! `countersign events drop`: what a node does with `events.retention_days`, once. For whoever owns the tables, where the
//! role that serves owns none.

use super::{begin_log, tell};
use crate::adapters::GuardedClock;
use crate::cli::DropArgs;
use crate::config::{self, Config, Keys, Sources, StoreConfig};
use crate::failure::Failure;
use crate::problem::Problem;
use crate::stores::{self, Stores};
use crate::witness::{self, Witness};
use crate::{evidence, vault};
use countersign_application::Application;
use countersign_domain::clock::Trust;
use countersign_domain::digest::KeyId;
use countersign_keyring::Keyring;
use countersign_ports::{Clock, SealExporter};
use std::collections::BTreeSet;
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
    // Why nothing is dropped, such as a seal that has not left, is told in the log.
    begin_log();
    let exporters = evidence::exporters(&audit)?;
    let unit = match &store {
        StoreConfig::Postgres(_) => "months",
        StoreConfig::Sqlite { .. } => "events",
    };
    let keyring = Arc::new(keyring);
    let stores = stores::open(store, Arc::clone(&keyring)).await?;
    let dropping = Dropping { stores, keyring, retired, witness: Witness::open(witness)?, exporters };
    match dropping.run(age).await? {
        None => Err(Failure::Found(vec![
            "nothing was dropped: an exporter does not say how far seals have left; see above".to_owned(),
        ])),
        Some(0) => tell("nothing was dropped\n"),
        Some(count) => tell(&format!("{count} {unit} were dropped\n")),
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
    /// Drops what is older. Refuses whatever a node would not serve with. Returns how many months or events it was, or `None`
    /// where an exporter does not say how far seals have left.
    async fn run(self, age: Duration) -> Result<Option<u64>, Failure> {
        let Self { stores, keyring, retired, witness, exporters } = self;
        let clock = Arc::new(GuardedClock::start());
        // A mark that is signed with another key than it says would be a finding for ever.
        let objections = vault::objections(stores.vault.as_ref(), &keyring, &retired, clock.now()).await?;
        if !objections.is_empty() {
            return Err(objections.into());
        }
        // Of a database that was put back, what is left of the log is evidence of what it lost.
        witness.judge(&stores.lifeline.incarnation(witness::fresh_id()).await?)?;
        if clock.compare_with(stores.maintenance.as_ref()).await? != Trust::Trusted {
            return Err(Failure::Unavailable(
                "the clock is away from the database's; set up NTP on both".to_owned(),
            ));
        }
        let evidence = evidence::of(&stores, &keyring, exporters);
        let app = Application::new(stores.deps(keyring.digests(), clock));
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

    fn keyring(seed: u64) -> Arc<Keyring> {
        let root = RootKey::from_bytes(SeededRandom::new(seed).bytes()).unwrap();
        Arc::new(Keyring::new([(KeyId(1), root)].into()).unwrap())
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

    async fn drop_with(stores: &Stores, keyring: Arc<Keyring>) -> Result<Option<u64>, Failure> {
        let (stores, witness) = (stores.clone(), Witness::open(None)?);
        let dropping = Dropping { stores, keyring, retired: BTreeSet::new(), witness, exporters: Vec::new() };
        dropping.run(DAY * 30).await
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
        let tenant = fixtures::tenant("acme");
        assert_eq!(drop_with(&stores, keyring(1)).await.unwrap(), Some(0), "nothing is sealed");
        let when = SealWhen { events: 10, age: Duration::ZERO };
        let key = evidence::seal_key(&keyring(1));
        let sealed = seal_next(stores.audit.as_ref(), &tenant, &key, when, fixtures::START).await.unwrap();
        assert_eq!(sealed.unwrap().number, 1);

        let refused = drop_with(&stores, keyring(2)).await.unwrap_err();
        assert!(refused.lines()[0].contains("is another key"), "{:?}", refused.lines());
        assert_eq!((events(&stores).await, last(&stores).await), (1, 1));

        assert_eq!(drop_with(&stores, keyring(1)).await.unwrap(), Some(1));
        assert_eq!((events(&stores).await, last(&stores).await), (0, 2), "the mark is a seal of its own");
    }

    async fn last(stores: &Stores) -> u64 {
        stores.audit.last_seal(&fixtures::tenant("acme")).await.unwrap().unwrap().number
    }
}
