//! `countersign doctor`: looks at everything that a node needs before it starts, changes nothing, and says what to do.

use super::tell;
use crate::adapters::{GuardedClock, SystemClock};
use crate::cli::DoctorArgs;
use crate::config::{self, Config, Keys, Sources, StoreConfig};
use crate::failure::{Failure, chain};
use crate::stores::{self, Stores};
use crate::witness::{self, Witness};
use countersign_domain::clock::Trust;
use countersign_domain::digest::KeyId;
use countersign_domain::incarnation::Continuity;
use countersign_keyring::Keyring;
use countersign_ports::{Clock, Release};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

/// What was found, a line each.
#[derive(Default)]
struct Report {
    lines: String,
    failed: bool,
}

impl Report {
    fn ok(&mut self, what: &str) {
        self.line("ok", what);
    }

    /// Something that a node starts with all the same.
    fn warn(&mut self, what: &str) {
        self.line("warn", what);
    }

    /// Something that a node does not serve with.
    fn fail(&mut self, what: &str) {
        self.failed = true;
        self.line("fail", what);
    }

    fn line(&mut self, verdict: &str, what: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.lines, "{verdict:<5}{what}");
    }
}

/// Looks at everything. Fails where a node would not serve.
pub(super) async fn run(args: DoctorArgs) -> Result<(), Failure> {
    let sources = Sources { file: args.config, ..Sources::default() };
    let Config { store, witness, keys: Keys { keyring, .. }, .. } = config::load(&sources)?;
    let mut report = Report::default();
    report.ok("configuration, certificates, callers, and the files of keys");
    let keyring = Arc::new(keyring);
    match open(store, &keyring).await {
        Ok(stores) => {
            look(&mut report, &stores, &keyring, witness).await?;
        }
        Err(problem) => report.fail(&problem),
    }
    tell(&report.lines)?;
    if report.failed { Err(Failure::Store("a node would not serve; see above".to_owned())) } else { Ok(()) }
}

async fn open(store: StoreConfig, keyring: &Arc<Keyring>) -> Result<Stores, String> {
    // Opening SQLite would create it.
    if let StoreConfig::Sqlite { path } = &store
        && !path.exists()
    {
        return Err(format!("there is no database at {}; run `countersign migrate`", path.display()));
    }
    stores::open(store, Arc::clone(keyring)).await.map_err(|error| chain(&error))
}

async fn look(
    report: &mut Report,
    stores: &Stores,
    keyring: &Keyring,
    witness: Option<PathBuf>,
) -> Result<(), Failure> {
    match stores.maintenance.check().await {
        Ok(()) => {
            report.ok("the store answers, has the schema of this version, and keeps what it acknowledges");
        }
        Err(error) => report.fail(&chain(&error)),
    }
    let clock = GuardedClock::start();
    match stores.maintenance.time().await? {
        None => report.ok("the store has no clock of its own"),
        Some(_) if clock.compare_with(stores.maintenance.as_ref()).await? == Trust::Trusted => {
            report.ok("this machine's clock agrees with the database's");
        }
        Some(_) => {
            report.fail("this machine's clock is more than 2 s away from the database's; set up NTP on both");
        }
    }
    if witness.is_none() {
        report.warn("this node would not notice a restored database; give it a store.witness_file");
    }
    let witness = Witness::open(witness)?;
    match stores.lifeline.incarnation(witness::fresh_id()).await?.judge(witness.seen().as_ref()) {
        Continuity::Continued => report.ok("the database goes on from where it was"),
        Continuity::Restored => {
            report.fail("the database was put back, or is another one; run `countersign post-restore`");
        }
        Continuity::Unfinished => report.fail("`countersign post-restore` was not finished; run it again"),
    }
    let here: Vec<KeyId> = keyring.key_ids().collect();
    for one in stores.vault.key_uses(SystemClock.now()).await? {
        let told = format!("{} {} need root key {}", one.rows, one.what, one.key.0);
        if !here.contains(&one.key) {
            report.fail(&format!("{told}, which is not configured; put it back, or see keys.retired"));
        } else if one.key < keyring.newest() && one.release == Release::Resealed {
            report.warn(&format!("{told}, an older one; `countersign keys rotate` seals them again"));
        }
    }
    report.ok(&format!("root key {} makes everything new", keyring.newest().0));
    Ok(())
}
