//! Whether this node may serve: store, witness and clock looked at now and then, and health kept in step with them.

use crate::adapters::GuardedClock;
use crate::failure::{Failure, chain};
use crate::witness::Witness;
use countersign_api_grpc::Health;
use countersign_domain::clock::Trust;
use countersign_ports::{Lifeline, Maintenance, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How often store, witness and clock are checked.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// A store or a disk that takes longer to answer is not ready.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// What readiness rests on.
pub(crate) struct LookedAt {
    /// The store.
    pub(crate) store: Arc<dyn Maintenance>,
    /// Whether it is the store that it was.
    pub(crate) lifeline: Arc<dyn Lifeline>,
    /// What this node has seen of it.
    pub(crate) witness: Arc<Witness>,
    /// The clock.
    pub(crate) clock: Arc<GuardedClock>,
}

/// Keeps health in step: not serving while the store does not answer or is not durable, its witness cannot be written, or
/// the clocks disagree. Nothing is said after `stop`, so that the one who stops has the last word. Fails where the database
/// is not the one that it was, and only there: a node must not serve on it any longer.
pub(crate) async fn check(at: LookedAt, health: Health, stop: CancellationToken) -> Result<(), Failure> {
    let at = Arc::new(at);
    let mut ready = true;
    let mut ticks = interval(CHECK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let result = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            result = check_once(&at) => result,
        };
        let problem = match result {
            Ok(Trust::Trusted) => None,
            Ok(Trust::Jumped) => Some("the time of day jumped".to_owned()),
            Ok(Trust::Apart) => Some("the clock is apart from the database's".to_owned()),
            Err(Unfit::ForNow(problem)) => Some(problem),
            Err(Unfit::ForGood(failure)) => {
                health.set_serving(false).await;
                return Err(failure);
            }
        };
        match (&problem, ready) {
            (Some(problem), true) => {
                let text = "store, witness or clock is not trustworthy; not ready";
                tracing::error!(alarm = true, error = problem, "{text}");
            }
            (None, false) => tracing::info!("store, witness and clock are trustworthy again; ready"),
            _ => {}
        }
        ready = problem.is_none();
        health.set_serving(ready).await;
    }
}

/// Why a node is not ready.
#[derive(Debug)]
enum Unfit {
    /// It may be when it is looked at again.
    ForNow(String),
    /// The database is not the one that it was.
    ForGood(Failure),
}

impl From<StoreError> for Unfit {
    fn from(error: StoreError) -> Self {
        Self::ForNow(chain(&error))
    }
}

async fn look(at: &LookedAt) -> Result<Trust, Unfit> {
    at.store.check().await?;
    let come = at.lifeline.advance().await?;
    at.witness.judge(&come).map_err(Unfit::ForGood)?;
    // A disk that is full says nothing about the database.
    at.witness.remember(come).await.map_err(|failure| Unfit::ForNow(failure.lines().join("; ")))?;
    Ok(at.clock.compare_with(at.store.as_ref()).await?)
}

/// Looks once, in a task of its own, so that a panic ends this look and not all that would follow.
async fn check_once(at: &Arc<LookedAt>) -> Result<Trust, Unfit> {
    let at = Arc::clone(at);
    let look = AbortOnDropHandle::new(tokio::spawn(async move { look(&at).await }));
    match timeout(CHECK_TIMEOUT, look).await {
        Ok(Ok(looked)) => looked,
        Ok(Err(_)) => Err(Unfit::ForNow("looking at the store panicked".to_owned())),
        Err(_) => {
            let seconds = CHECK_TIMEOUT.as_secs();
            Err(Unfit::ForNow(format!("neither store nor witness answered within {seconds} s")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::SystemClock;
    use crate::config::StoreConfig;
    use crate::metrics::Alarms;
    use crate::{stores, witness};
    use async_trait::async_trait;
    use countersign_api_grpc::{Callers, Options};
    use countersign_application::Application;
    use countersign_domain::digest::KeyId;
    use countersign_domain::ids::UserRef;
    use countersign_domain::incarnation::Incarnation;
    use countersign_domain::time::Timestamp;
    use countersign_keyring::{Keyring, RootKey};
    use countersign_ports::Clock as _;
    use countersign_testkit::{ManualClock, MemoryStore, SeededRandom, Timed, deps_in_memory};
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
    use tracing_subscriber::layer::SubscriberExt as _;
    use uuid::Uuid;

    /// A node with a database and a witness in this folder.
    async fn node(folder: &Path) -> LookedAt {
        let root = RootKey::from_bytes(SeededRandom::new(1).bytes()).unwrap();
        let keyring = Arc::new(Keyring::new([(KeyId(1), root)].into()).unwrap());
        let path = folder.join("countersign.db");
        let stores = stores::open(StoreConfig::Sqlite { path }, keyring).await.unwrap();
        stores.lifeline.incarnation(witness::fresh_id()).await.unwrap();
        let witness = Arc::new(Witness::open(Some(folder.join("witness"))).unwrap());
        let clock = Arc::new(GuardedClock::start());
        LookedAt { store: stores.maintenance, lifeline: stores.lifeline, witness, clock }
    }

    /// R64: a witness that cannot be written makes a node unready until it can be, and does not end it; a database that is
    /// not as far as it was does.
    #[tokio::test]
    async fn a_witness_that_cannot_be_written_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let at = Arc::new(node(folder.path()).await);
        assert_eq!(check_once(&at).await.unwrap(), Trust::Trusted);
        // A folder where the new file would come.
        let in_the_way = folder.path().join("witness.new");
        std::fs::create_dir(&in_the_way).unwrap();
        for _ in 0..2 {
            let Err(Unfit::ForNow(told)) = check_once(&at).await else { panic!("it cannot be written") };
            assert!(told.contains("writing the witness"), "{told}");
        }
        std::fs::remove_dir(&in_the_way).unwrap();
        assert_eq!(check_once(&at).await.unwrap(), Trust::Trusted);

        let mut further = at.witness.seen().unwrap();
        further.mark += 1_000;
        at.witness.remember(further).await.unwrap();
        let Err(Unfit::ForGood(told)) = check_once(&at).await else { panic!("it was put back") };
        assert!(told.lines()[0].contains("post-restore"), "{told:?}");
    }

    /// R48: a look that panics is one at a node that is not ready, and is followed by others.
    #[tokio::test]
    async fn a_look_that_panics_is_followed_by_others() {
        let folder = tempfile::tempdir().unwrap();
        let mut at = node(folder.path()).await;
        let panicked = AtomicBool::new(false);
        at.store = Arc::new(Timed(at.store, move || {
            assert!(panicked.swap(true, Ordering::SeqCst), "the first look");
            Ok(None)
        }));
        let at = Arc::new(at);
        let Err(Unfit::ForNow(told)) = check_once(&at).await else { panic!("it panicked") };
        assert!(told.contains("panicked"), "{told}");
        assert_eq!(check_once(&at).await.unwrap(), Trust::Trusted);
    }

    /// A database that goes on and on, at hand at once.
    struct GoesOn;

    #[async_trait]
    impl Lifeline for GoesOn {
        async fn incarnation(&self, _: Uuid) -> Result<Incarnation, StoreError> {
            self.advance().await
        }

        async fn advance(&self) -> Result<Incarnation, StoreError> {
            Ok(Incarnation { id: Uuid::nil(), number: 0, mark: 0, restoring: false })
        }

        async fn begin_restore(&self) -> Result<(), StoreError> {
            Ok(())
        }

        async fn finish_restore(&self, _: Uuid, _: u64) -> Result<Incarnation, StoreError> {
            self.advance().await
        }

        async fn all_users(&self, _: Option<&UserRef>, _: u32) -> Result<Vec<UserRef>, StoreError> {
            Ok(Vec::new())
        }
    }

    /// R65: a node whose clock is not the database's is not ready, raises one alarm for it, and is ready again when they
    /// agree.
    #[test]
    fn a_node_with_another_time_than_its_database_is_not_ready() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let page = recorder.handle();
        let counted = |ready: u8, alarms: u8| {
            let page = page.render();
            let shown = |line: String| assert!(page.lines().any(|it| it == line), "{line}: {page}");
            shown(format!("countersign_ready {ready}"));
            shown(format!("countersign_alarms_total {alarms}"));
        };
        let story = async {
            let store = Arc::new(MemoryStore::new());
            let deps =
                deps_in_memory!(store, Arc::new(ManualClock::default()), Arc::new(SeededRandom::new(1)));
            let options = Options::new(Callers::Loopback);
            let health = countersign_api_grpc::service(Application::new(deps), options).unwrap().health();
            let off = Arc::new(AtomicI64::new(0));
            let shown = Arc::clone(&off);
            let time = move || {
                let micros = SystemClock.now().unix_micros() + shown.load(Ordering::SeqCst) * 1_000_000;
                Ok(Some(Timestamp::from_unix_micros(micros)))
            };
            let at = LookedAt {
                store: Arc::new(Timed(Arc::new(MemoryStore::new()), time)),
                lifeline: Arc::new(GoesOn),
                witness: Arc::new(Witness::open(None).unwrap()),
                clock: Arc::new(GuardedClock::start()),
            };
            let mut checking = std::pin::pin!(check(at, health, CancellationToken::new()));
            metrics::counter!("countersign_alarms_total").increment(0);
            for (seconds, ready, alarms) in [(0, 1, 0), (86_400, 0, 1), (0, 1, 1), (-86_400, 0, 2), (0, 1, 2)]
            {
                off.store(seconds, Ordering::SeqCst);
                // Two looks and a half: the clock of the runtime stands still while anything is to be done.
                let looks = timeout(CHECK_EVERY * 5 / 2, &mut checking).await;
                assert!(looks.is_err(), "it ended");
                counted(ready, alarms);
            }
        };
        let alarms = tracing_subscriber::registry().with(Alarms);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        metrics::with_local_recorder(&recorder, || {
            tracing::subscriber::with_default(alarms, || runtime.unwrap().block_on(story));
        });
    }
}
