//! Jobs whose rounds panic, what no job does by a clock that jumped, and erasures that a log tells of which somebody edited.

mod by_the_clock;

use super::*;
use crate::metrics::Alarms;
use async_trait::async_trait;
use countersign_application::audit::SealKey;
use countersign_domain::digest::KeyId;
use countersign_domain::ids::UserId;
use countersign_ports::{AuditLog as _, EventPosition};
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::{ManualClock, MemoryStore, fixtures};
use metrics_exporter_prometheus::PrometheusBuilder;
use std::cell::Cell;
use std::sync::Mutex;
use tracing_subscriber::layer::SubscriberExt as _;

/// Erasures that are to be carried out. Whose user is `corrupt` cannot be, and whose is `stays` is, and stays.
struct Log(Mutex<Vec<Erasing>>);

impl Log {
    fn of(users: &[&str]) -> Self {
        let erasing = |(number, user): (u64, &&str)| Erasing {
            tenant: fixtures::tenant("acme"),
            user: UserId::parse(user).unwrap(),
            told: EventPosition { transaction: 1, number },
            after: None,
        };
        Self(Mutex::new((0..).zip(users).map(erasing).collect()))
    }

    fn left(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|erasing| erasing.user.to_string()).collect()
    }
}

#[async_trait]
impl ClaimErasure for Log {
    async fn pending_erasure(&self, after: Option<&Erasing>) -> Result<Option<Erasing>, StoreError> {
        let log = self.0.lock().unwrap();
        Ok(log.iter().find(|it| after.is_none_or(|after| it.told > after.told)).cloned())
    }

    async fn erase_claims(&self, erasing: &Erasing, _: u32) -> Result<Option<Erasing>, StoreError> {
        match erasing.user.as_str() {
            "corrupt" => Err(StoreError::Corrupt { entity: "row", id: String::new(), problem: "is none" }),
            "stays" => Ok(None),
            _ => {
                self.0.lock().unwrap().retain(|it| it != erasing);
                Ok(None)
            }
        }
    }
}

/// R48, R58: an erasure that cannot be carried out, or that does not end, holds up no other one, and is an alarm once.
#[test]
fn an_erasure_that_fails_holds_up_no_other() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        tracing::subscriber::with_default(tracing_subscriber::registry().with(Alarms), || {
            let log = Log::of(&["ann", "corrupt", "bob", "stays", "eve"]);
            let (told, stopped) = (ToldOnce::default(), CancellationToken::new());
            for _ in 0..3 {
                runtime.block_on(erase_all(&log, &told, &stopped)).unwrap();
                assert_eq!(log.left(), ["corrupt", "stays"]);
            }
        });
    });
    let alarms = handle.render();
    assert!(alarms.contains("countersign_alarms_total 2"), "{alarms}");
}

/// R48: a job whose rounds panic does not work, and its gauge says so until a round works again.
#[test]
fn a_job_whose_rounds_panic_is_failing() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let page = recorder.handle();
    let failing = |seconds: u64| {
        let page = page.render();
        let gauge = format!("countersign_job_failing_seconds{{name=\"sweep\"}} {seconds}\n");
        assert!(page.contains(&gauge), "{seconds}: {page}");
    };
    let story = async {
        let (count, stop) = (Cell::new(0), CancellationToken::new());
        let standing = Standing::new("sweep", "expired rows could not be deleted", ALARM_AFTER);
        // Each round begins when what became of the one before was noted.
        let round = || {
            count.set(count.get() + 1);
            match count.get() {
                1 | 2 => failing(0),
                3 => failing(SWEEP_EVERY.as_secs()),
                _ => stop.cancel(),
            }
            let works = count.get() == 3;
            async move {
                assert!(works, "this round panics");
                Ok::<_, StoreError>(())
            }
        };
        every_told(SWEEP_EVERY, stop.clone(), standing, round).await;
        assert_eq!(count.get(), 4);
        failing(0);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    metrics::with_local_recorder(&recorder, || runtime.unwrap().block_on(story));
}

/// R65, R56: a seal says when it was made, and is signed: none is made by a clock that is not relied on.
#[tokio::test]
async fn nothing_is_sealed_by_a_clock_that_is_not_relied_on() {
    let (store, clock) = (Arc::new(MemoryStore::new()), ManualClock::at(fixtures::START));
    let tenant = StoreUnderTest::sharing(Arc::clone(&store)).create_tenant("acme").await;
    let key = SealKey { key: (KeyId(1), [9; 32]), sign: Arc::new(|_| [7; 64]) };
    let evidence = Evidence { log: store.clone(), progress: store.clone(), key, exporters: Vec::new() };
    let when = SealWhen { events: 1, age: Duration::ZERO };
    for trusted in [false, true] {
        clock.trust(trusted);
        seal_all(&evidence, when, &clock, &CancellationToken::new()).await.unwrap();
        assert_eq!(store.last_seal(&tenant).await.unwrap().is_some(), trusted);
    }
}
