//! Jobs whose rounds panic, and erasures that a log tells of which somebody edited.

mod by_the_clock;

use super::*;
use crate::metrics::Alarms;
use async_trait::async_trait;
use countersign_domain::ids::UserId;
use countersign_ports::EventPosition;
use countersign_testkit::fixtures;
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
            let (told, stopped) = (Told::default(), CancellationToken::new());
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
