//! `countersign doctor`: looks at everything that a node needs before it starts, changes nothing, and says what to do.

use super::tell;
use crate::adapters::{GuardedClock, SystemClock};
use crate::cli::DoctorArgs;
use crate::config::{self, AuditConfig, Config, Exposure, Keys, Sources, StoreConfig};
use crate::evidence;
use crate::failure::{Failure, chain};
use crate::stores::{self, Stores};
use crate::tls::{Standing, Validity};
use crate::vault;
use crate::witness::{self, Witness};
use countersign_domain::clock::{TOLERANCE, Trust};
use countersign_domain::digest::KeyId;
use countersign_domain::incarnation::Continuity;
use countersign_domain::time::Timestamp;
use countersign_keyring::Keyring;
use countersign_ports::{Clock, Release};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
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

    fn fail_with(&mut self, failure: &Failure) {
        for line in failure.lines() {
            self.fail(&line);
        }
    }

    fn line(&mut self, verdict: &str, what: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.lines, "{verdict:<5}{what}");
    }
}

/// Looks at everything. Fails where a node would not serve, or would serve with a certificate that callers refuse.
pub(super) async fn run(args: DoctorArgs) -> Result<(), Failure> {
    let sources = Sources { file: args.config, ..Sources::default() };
    let Config { store, witness, keys: Keys { keyring, retired }, audit, exposure, .. } =
        config::load(&sources)?;
    let mut report = Report::default();
    report.ok("configuration, certificates, callers, and the files of keys");
    if let Exposure::Production { tls: Some(served), .. } = &exposure {
        certificate(&mut report, served.validity(), SystemClock.now());
    }
    evidence(&mut report, &audit);
    let keyring = Arc::new(keyring);
    match open(store, &keyring).await {
        Ok(stores) => look(&mut report, &Looked { stores, keyring, retired, witness }).await,
        Err(problem) => report.fail(&problem),
    }
    tell(&report.lines)?;
    if report.failed {
        Err(Failure::Unavailable("a node would not serve; see above".to_owned()))
    } else {
        Ok(())
    }
}

/// Whether callers take the server's certificate. A node starts with one that they refuse, and nobody reaches it.
fn certificate(report: &mut Report, validity: Option<Validity>, now: Timestamp) {
    let renew = "put a new one at tls.certificate_file, and its key at tls.private_key_file";
    match validity.map(|validity| validity.at(now)) {
        Some(Standing::Counts) => report.ok("the server's certificate counts for seven days at least"),
        Some(Standing::EndsSoon) => {
            report.warn(&format!("the server's certificate ends in fewer than seven days; {renew}"));
        }
        Some(Standing::Over) => {
            report.fail(&format!("the server's certificate is over, and callers refuse it; {renew}"));
        }
        Some(Standing::Ahead) => {
            report.fail(&format!(
                "the server's certificate does not count yet, and callers refuse it; look at the clock, or {renew}"
            ));
        }
        None => report.warn("it does not read when the server's certificate ends; look yourself"),
    }
}

/// Where seals go. A node makes the folder where it is missing; looking at it does not.
fn evidence(report: &mut Report, audit: &AuditConfig) {
    let folder = audit.file.as_ref().map(|folder| (folder.display().to_string(), std::fs::metadata(folder)));
    match folder {
        Some((name, Err(error))) if error.kind() == io::ErrorKind::NotFound => {
            report.warn(&format!("there is no folder {name} for seals yet; a node makes it when it starts"));
        }
        _ => match evidence::exporters(audit) {
            Ok(exporters) if exporters.is_empty() => {}
            Ok(_) => report.ok("seals have somewhere to go"),
            Err(failure) => report.fail_with(&failure),
        },
    }
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

/// A store, and what a node of this configuration would serve it with.
struct Looked {
    stores: Stores,
    keyring: Arc<Keyring>,
    retired: BTreeSet<KeyId>,
    witness: Option<PathBuf>,
}

/// Looks at one thing after the other. One that cannot be looked at is told like what is wrong, and the others follow.
async fn look(report: &mut Report, at: &Looked) {
    match at.stores.maintenance.check().await {
        Ok(()) => {
            report.ok("the store answers, has the schema of this version, and keeps what it acknowledges");
        }
        Err(error) => report.fail(&chain(&error)),
    }
    for looked in [clock(report, at).await, continuity(report, at).await, keys(report, at).await] {
        if let Err(failure) = looked {
            report.fail_with(&failure);
        }
    }
}

async fn clock(report: &mut Report, at: &Looked) -> Result<(), Failure> {
    let (clock, store) = (GuardedClock::start(), at.stores.maintenance.as_ref());
    if store.time().await?.is_none() {
        report.ok("the store has no clock of its own");
    } else if clock.compare_with(store).await? == Trust::Trusted {
        report.ok("this machine's clock agrees with the database's");
    } else {
        let seconds = TOLERANCE.as_secs();
        report.fail(&format!(
            "this machine's clock is more than {seconds} s away from the database's; set up NTP on both"
        ));
    }
    Ok(())
}

async fn continuity(report: &mut Report, at: &Looked) -> Result<(), Failure> {
    if at.witness.is_none() {
        report.warn("this node would not notice a restored database; give it a store.witness_file");
    }
    let witness = Witness::open(at.witness.clone())?;
    let stored = at.stores.lifeline.incarnation(witness::fresh_id()).await?;
    match stored.judge(witness.seen().as_ref()) {
        Continuity::Continued => report.ok("the database goes on from where it was"),
        Continuity::Restored => {
            report.fail("the database was put back, or is another one; run `countersign post-restore`");
        }
        Continuity::Unfinished => report.fail("`countersign post-restore` was not finished; run it again"),
    }
    Ok(())
}

async fn keys(report: &mut Report, at: &Looked) -> Result<(), Failure> {
    let (keyring, vault, now) = (&at.keyring, at.stores.vault.as_ref(), SystemClock.now());
    let problems = vault::objections(vault, keyring, &at.retired, now).await?;
    if !problems.is_empty() {
        report.fail_with(&problems.into());
    }
    for one in vault.key_uses(now).await? {
        let told = format!("{} {} need root key {}", one.rows, one.what, one.key.0);
        let here = keyring.key_ids().any(|id| id == one.key);
        if here && one.key < keyring.newest() && one.release == Release::Resealed {
            report.warn(&format!("{told}, an older one; `countersign keys rotate` seals them again"));
        } else if !here && one.release != Release::Resealed && at.retired.contains(&one.key) {
            report.warn(&format!("{told}, and keys.retired gives them up"));
        }
    }
    report.ok(&format!("root key {} makes everything new", keyring.newest().0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_keyring::RootKey;
    use countersign_ports::StoreError;
    use countersign_testkit::{SeededRandom, Timed};
    use std::path::Path;

    fn keyring(id: u32, seed: u64) -> Arc<Keyring> {
        let root = RootKey::from_bytes(SeededRandom::new(seed).bytes()).unwrap();
        Arc::new(Keyring::new([(KeyId(id), root)].into()).unwrap())
    }

    /// A database in this folder, with this key.
    async fn at(folder: &Path, keyring: Arc<Keyring>) -> Looked {
        let path = folder.join("countersign.db");
        let stores = stores::open(StoreConfig::Sqlite { path }, Arc::clone(&keyring)).await.unwrap();
        Looked { stores, keyring, retired: BTreeSet::new(), witness: None }
    }

    async fn told(at: &Looked) -> String {
        let mut report = Report::default();
        look(&mut report, at).await;
        assert_eq!(report.failed, report.lines.contains("fail "), "{}", report.lines);
        report.lines
    }

    /// What was found before the store failed is told, and what can still be looked at too.
    #[tokio::test]
    async fn a_store_that_fails_meanwhile_loses_nothing_that_was_found() {
        let folder = tempfile::tempdir().unwrap();
        let mut at = at(folder.path(), keyring(1, 1)).await;
        let gone = || Err(StoreError::Unavailable("gone".into()));
        at.stores.maintenance = Arc::new(Timed(Arc::clone(&at.stores.maintenance), gone));
        let told = told(&at).await;
        let words = ["ok   the store answers", "fail the store is unavailable", "ok   the database goes on"];
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
    }

    /// R52: another key under an id that was used is found, as a node would find it; and looking changes nothing.
    #[tokio::test]
    async fn keys_are_judged_as_a_node_would_and_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let first = at(folder.path(), keyring(1, 1)).await;
        assert!(!told(&first).await.contains("fail"), "nothing is known yet");
        let vault = Arc::clone(&first.stores.vault);
        let now = SystemClock.now();
        assert!(vault.know_keys(&[], now).await.unwrap().is_empty(), "looking remembers no key");
        vault::admit(vault.as_ref(), &keyring(1, 1), &BTreeSet::new(), now).await.unwrap();
        let other = Looked { keyring: keyring(1, 2), ..first };
        let told = told(&other).await;
        assert!(told.contains("fail keys.*.1: is another key"), "{told}");
    }

    /// A certificate that callers refuse is found before they do, and one that ends soon.
    #[test]
    fn the_servers_certificate_is_looked_at() {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2030, 1, 1);
        params.not_after = rcgen::date_time_ymd(2030, 3, 1);
        let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let told = |(year, month, day)| {
            let now = Timestamp::from_unix_seconds(rcgen::date_time_ymd(year, month, day).unix_timestamp());
            let mut report = Report::default();
            self::certificate(&mut report, Validity::of(certificate.der()), now);
            assert_eq!(report.failed, report.lines.starts_with("fail "), "{}", report.lines);
            report.lines
        };
        for (day, word) in [
            ((2029, 12, 31), "fail "),
            ((2030, 2, 1), "ok "),
            ((2030, 2, 28), "warn "),
            ((2030, 3, 2), "fail "),
        ] {
            assert!(told(day).starts_with(word), "{day:?} {}", told(day));
        }
    }

    /// A folder of seals that is none is found; one that is missing is not made.
    #[test]
    fn the_folder_of_seals_is_looked_at_and_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let told = |name: &str| {
            let mut report = Report::default();
            let file = Some(folder.path().join(name));
            evidence(&mut report, &AuditConfig { file, ..AuditConfig::default() });
            report.lines
        };
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(told("file").starts_with("fail using "), "{}", told("file"));
        assert!(told("file/below").starts_with("fail using "), "{}", told("file/below"));
        assert!(told("missing").starts_with("warn "), "{}", told("missing"));
        assert!(!folder.path().join("missing").exists());
        assert!(told("").starts_with("ok "), "{}", told(""));
    }
}
