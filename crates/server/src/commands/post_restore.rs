//! `countersign post-restore`: makes a database safe that was put back from a backup (R64). What becomes of a user is
//! decided in the domain, and committed with its event like every other change.

use super::opened::Opened;
use super::tell;
use crate::adapters::GuardedClock;
use crate::cli::PostRestoreArgs;
use crate::failure::Failure;
use crate::stores::Stores;
use crate::vault;
use crate::witness::{self, Witness};
use countersign_application::{AppError, Application};
use countersign_domain::clock::{TOLERANCE, Trust};
use countersign_domain::digest::KeyId;
use countersign_keyring::Keyring;
use countersign_ports::{Clock, StoreError};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Users whose changes are under way at the same time.
const AT_ONCE: usize = 32;
/// Users read at a time.
const PAGE: u32 = 500;

/// Makes every user safe, then lets nodes serve again. May be run again where it was interrupted.
pub(super) async fn run(args: PostRestoreArgs) -> Result<(), Failure> {
    let Opened { stores, keyring, retired, witness } = Opened::open(&args.store).await?;
    let witness = Witness::open(witness)?;
    let restore = Restore { stores, keyring, retired, witness, recovery_codes: args.void_recovery_codes };
    restore.run(&Arc::new(GuardedClock::start())).await
}

/// A database that is made safe, and what with.
struct Restore {
    stores: Stores,
    keyring: Arc<Keyring>,
    retired: BTreeSet<KeyId>,
    witness: Witness,
    /// Whether all recovery codes are voided.
    recovery_codes: bool,
}

impl Restore {
    async fn run(&self, clock: &Arc<GuardedClock>) -> Result<(), Failure> {
        let lifeline = &self.stores.lifeline;
        lifeline.incarnation(witness::fresh_id()).await?;
        self.compare(clock).await?;
        // Where a key is missing, rows that need it do not open, and their users would be left as they are (R52).
        vault::admit(self.stores.vault.as_ref(), &self.keyring, &self.retired, clock.now()).await?;
        lifeline.begin_restore().await?;
        let counts = self.all_users(clock).await?;
        // Above every number that a witness can have seen: later restores have later times.
        let number = clock.trusted_now().ok_or_else(untrusted)?.unix_seconds();
        let above = self.witness.seen().map_or(0, |seen| seen.number.saturating_add(1));
        let number = u64::try_from(number).unwrap_or(0).max(above);
        self.witness.remember(lifeline.finish_restore(witness::fresh_id(), number).await?).await?;
        tell(&format!("{} users are safe; nodes may serve again\n", counts.safe))?;
        if counts.broken > 0 {
            tell(&format!(
                "{} users have rows that do not open or make no sense; they are refused, and their rows are alarms\n",
                counts.broken
            ))?;
        }
        if !self.recovery_codes {
            tell(
                "recovery codes that were used since the backup was taken are good again: --void-recovery-codes voids all\n",
            )?;
        }
        Ok(())
    }

    async fn all_users(&self, clock: &Arc<GuardedClock>) -> Result<Counts, Failure> {
        let app = Application::new(self.stores.deps_of_command(self.keyring.digests(), clock.clone()));
        let (mut after, mut counts) = (None, Counts::default());
        let mut under_way: JoinSet<Result<(), AppError>> = JoinSet::new();
        loop {
            let page = self.stores.lifeline.all_users(after.as_ref(), PAGE).await?;
            let Some(last) = page.last().cloned() else { break };
            after = Some(last);
            for user in page {
                while under_way.len() >= AT_ONCE {
                    counts.finish_one(&mut under_way).await?;
                }
                let (app, codes) = (app.clone(), self.recovery_codes);
                under_way.spawn(async move { app.make_safe_after_restore(user, codes).await });
            }
            self.compare(clock).await?;
            // A terminal that is gone must not leave half of them as they were.
            let _ = tell(&format!("{} users\n", counts.safe));
        }
        while !under_way.is_empty() {
            counts.finish_one(&mut under_way).await?;
        }
        Ok(counts)
    }

    /// Compares the clock with the database's. Steps that were consumed by a clock that is ahead cannot be given back: apps
    /// would be refused until their time has come (R65).
    async fn compare(&self, clock: &GuardedClock) -> Result<(), Failure> {
        let trust = clock.compare_with(self.stores.maintenance.as_ref()).await?;
        if trust == Trust::Trusted { Ok(()) } else { Err(untrusted()) }
    }
}

fn untrusted() -> Failure {
    let seconds = TOLERANCE.as_secs();
    Failure::Unavailable(format!(
        "the clock jumped, or is more than {seconds} s away from the database's; set up NTP on both and run this again"
    ))
}

/// What became of users so far.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    safe: u64,
    broken: u64,
}

impl Counts {
    /// Waits for one change. Users of tenants that are deleted and not swept yet are safe as they are. Users whose rows do
    /// not open or make no sense are counted apart: nobody can sign in as them, so they are safe as they are, and must not
    /// keep all others from signing in.
    async fn finish_one(&mut self, under_way: &mut JoinSet<Result<(), AppError>>) -> Result<(), Failure> {
        match under_way.join_next().await {
            Some(Ok(Ok(()) | Err(AppError::TenantNotFound))) => self.safe += 1,
            Some(Ok(Err(AppError::Store(StoreError::SealBroken { .. } | StoreError::Corrupt { .. })))) => {
                self.broken += 1;
            }
            Some(Ok(Err(AppError::ClockUntrusted))) => return Err(untrusted()),
            Some(Ok(Err(error))) => return Err(error.into()),
            Some(Err(_)) => {
                return Err(Failure::Internal("making a user safe was interrupted".to_owned()));
            }
            None => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StoreConfig;
    use crate::stores;
    use async_trait::async_trait;
    use countersign_domain::ids::{EventId, TenantId, UserRef};
    use countersign_domain::policy::Preset;
    use countersign_domain::user::{Credential, UserState};
    use countersign_keyring::RootKey;
    use countersign_ports::{ChangeSet, Commit, Loaded, RequestKey, UserStore};
    use countersign_testkit::{SeededRandom, Timed, fixtures};
    use std::time::Duration;
    use tempfile::TempDir;

    fn keyring(id: u32) -> Arc<Keyring> {
        let root = RootKey::from_bytes(SeededRandom::new(u64::from(id)).bytes()).unwrap();
        Arc::new(Keyring::new([(KeyId(id), root)].into()).unwrap())
    }

    /// A database with a few users under root key 1, and the folder that it is in.
    async fn put_back(users: &[(&str, &str)]) -> (TempDir, Restore) {
        let (folder, keyring) = (tempfile::tempdir().unwrap(), keyring(1));
        let path = folder.path().join("countersign.db");
        let stores = stores::open(StoreConfig::Sqlite { path }, Arc::clone(&keyring)).await.unwrap();
        let now = fixtures::START;
        vault::admit(stores.vault.as_ref(), &keyring, &BTreeSet::new(), now).await.unwrap();
        let random = SeededRandom::new(7);
        for (tenant, name) in users {
            let record = fixtures::tenant_record(&fixtures::tenant(tenant), Preset::SelfServiceCode);
            let created = fixtures::policy_change(&random, &record);
            // Of a tenant that is there already this is a conflict.
            let _ =
                stores.policies.put_policy(record, created, countersign_ports::Tell::Nobody).await.unwrap();
            let (user, state) = (fixtures::user(tenant, name), fixtures::user_with_totp(&random));
            let change = fixtures::change_set(&random, &user, None, &UserState::default(), &state);
            assert_eq!(stores.users.commit(change).await.unwrap(), Commit::Done);
        }
        let witness = Witness::open(None).unwrap();
        (folder, Restore { stores, keyring, retired: BTreeSet::new(), witness, recovery_codes: false })
    }

    impl Restore {
        async fn result(&self) -> Result<(), Failure> {
            self.run(&Arc::new(GuardedClock::start())).await
        }

        async fn is_begun(&self) -> bool {
            self.stores.lifeline.incarnation(witness::fresh_id()).await.unwrap().restoring
        }

        /// Whether no code of the app that may have been used serves again.
        async fn is_safe(&self, user: &UserRef) -> bool {
            let loaded = self.stores.users.load(user, None).await.unwrap().unwrap();
            let Credential::Totp(totp) = &loaded.state.authenticators[0].credential else { return false };
            totp.last_step.number() > 0
        }
    }

    /// R65, R64: by a clock that is a day ahead of the database's no step is consumed: it could not be given back.
    #[tokio::test]
    async fn nothing_is_begun_by_a_clock_apart_from_the_databases() {
        let (_folder, mut restore) = put_back(&[("acme", "ann")]).await;
        let clock = GuardedClock::start();
        let behind = clock.now().minus(Duration::from_hours(24));
        let maintenance = Arc::clone(&restore.stores.maintenance);
        restore.stores.maintenance = Arc::new(Timed(maintenance, move || Ok(Some(behind))));
        assert!(matches!(restore.result().await, Err(Failure::Unavailable(told)) if told.contains("clock")));
        assert!(!restore.is_begun().await);
        assert!(!restore.is_safe(&fixtures::user("acme", "ann")).await);
    }

    /// R52, R64: without a key that is still needed its users could not be made safe, and would come back with it.
    #[tokio::test]
    async fn nothing_is_begun_without_a_key_that_is_needed() {
        let (_folder, mut restore) = put_back(&[("acme", "ann")]).await;
        restore.keyring = keyring(2);
        let Err(Failure::Config(told)) = restore.result().await else { panic!("it is refused") };
        assert!(told.to_string().contains("keys.*.1: is missing"), "{told}");
        assert!(!restore.is_begun().await);
    }

    /// Rows of one user that make no sense.
    struct Nonsense(Arc<dyn UserStore>, UserRef);

    #[async_trait]
    impl UserStore for Nonsense {
        async fn load(&self, user: &UserRef, of: Option<&RequestKey>) -> Result<Option<Loaded>, StoreError> {
            if *user == self.1 {
                return Err(StoreError::Corrupt {
                    entity: "user",
                    id: String::new(),
                    problem: "makes no sense",
                });
            }
            self.0.load(user, of).await
        }

        async fn commit(&self, change: ChangeSet) -> Result<Commit, StoreError> {
            self.0.commit(change).await
        }

        async fn is_committed(&self, tenant: &TenantId, event: EventId) -> Result<bool, StoreError> {
            self.0.is_committed(tenant, event).await
        }
    }

    /// R64: neither a tenant that is deleted and not swept yet nor a row that makes no sense is a dead end, while no node
    /// serves that could mend it.
    #[tokio::test]
    async fn neither_a_deleted_tenant_nor_a_corrupt_row_is_a_dead_end() {
        let (_folder, mut restore) = put_back(&[("acme", "ann"), ("acme", "bob"), ("gone", "cid")]).await;
        let random = SeededRandom::new(8);
        let record = fixtures::tenant_record(&fixtures::tenant("gone"), Preset::SelfServiceCode);
        let deleted = fixtures::policy_change(&random, &record);
        let deleted = restore.stores.policies.delete_tenant(record.revision, deleted).await.unwrap();
        assert_eq!(deleted, Commit::Done);
        let users = Arc::clone(&restore.stores.users);
        restore.stores.users = Arc::new(Nonsense(users, fixtures::user("acme", "bob")));
        let listed = restore.stores.lifeline.all_users(None, 10).await.unwrap();
        assert_eq!(listed.len(), 3, "those of the deleted tenant too");

        let counts = restore.all_users(&Arc::new(GuardedClock::start())).await.unwrap();
        assert_eq!(counts, Counts { safe: 2, broken: 1 });
        restore.result().await.unwrap();
        assert!(!restore.is_begun().await, "it is finished");
        assert!(restore.is_safe(&fixtures::user("acme", "ann")).await);
    }
}
