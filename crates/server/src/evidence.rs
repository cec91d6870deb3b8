//! Seals on their way out: the configured exporters, and the job that hands them what they have not taken. What leaves
//! is decided by `application::audit`.

use crate::adapters::SystemClock;
use crate::config::AuditConfig;
use crate::failure::{Failure, chain};
use crate::jobs::{Job, every};
use crate::problem::Problem;
use crate::stores::Stores;
use countersign_application::audit::{Evidence, Export, ExportFailure, SealKey};
use countersign_domain::ids::TenantId;
use countersign_domain::time::Timestamp;
use countersign_keyring::Keyring;
use countersign_notify::{FileSeals, LogSeals, SettingProblem, WebhookSeals};
use countersign_ports::{Clock, SealExporter, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// How often new seals are looked for; more often where `seal_after` is shorter.
const EXPORT_EVERY: Duration = Duration::from_secs(10);
/// Tenants read at once.
const TENANTS: u32 = 200;
/// Failures after which a round ends: an exporter that is down is not asked for every tenant.
const MAX_FAILURES: u32 = 8;

/// The exporters that are configured. Nothing is connected.
pub(crate) fn exporters(config: &AuditConfig) -> Result<Vec<Arc<dyn SealExporter>>, Failure> {
    let mut exporters: Vec<Arc<dyn SealExporter>> = Vec::new();
    if let Some(folder) = &config.file {
        let exporter = FileSeals::new(folder);
        exporters.push(Arc::new(exporter.map_err(Failure::io(format!("using {}", folder.display())))?));
    }
    if let Some(settings) = &config.webhook {
        let unfit = |refused: SettingProblem| {
            Failure::from(Problem::new("audit.webhook", format!("{}: {refused}", refused.setting)))
        };
        let clock = Arc::new(SystemClock);
        exporters.push(Arc::new(WebhookSeals::new(settings.clone(), clock).map_err(unfit)?));
    }
    if config.log {
        exporters.push(Arc::new(LogSeals::new(Arc::new(SystemClock))));
    }
    Ok(exporters)
}

/// The key that the service signs seals with.
pub(crate) fn seal_key(keyring: &Arc<Keyring>) -> SealKey {
    let id = keyring.newest();
    let public_key = keyring.audit_public_key(id).unwrap_or_default();
    let keyring = Arc::clone(keyring);
    SealKey { key: (id, public_key), sign: Arc::new(move |statement| keyring.sign_audit(statement)) }
}

/// What proves the log of this store.
pub(crate) fn of(stores: &Stores, keyring: &Arc<Keyring>, exporters: Vec<Arc<dyn SealExporter>>) -> Evidence {
    let (log, progress) = (Arc::clone(&stores.audit), Arc::clone(&stores.progress));
    Evidence { log, progress, key: seal_key(keyring), exporters }
}

/// A job for each exporter: one that is down holds up no other.
pub(crate) fn jobs(evidence: &Evidence, config: &AuditConfig, stop: &CancellationToken) -> Vec<Job> {
    let job = |exporter: &Arc<dyn SealExporter>| -> Job {
        let handing = Arc::new(Handing {
            evidence: evidence.clone(),
            exporter: Arc::clone(exporter),
            alarm_after: config.alarm_after,
            clock: Arc::new(SystemClock),
            stop: stop.clone(),
            state: Mutex::default(),
        });
        Box::pin(every(EXPORT_EVERY.min(config.seal_after), stop.clone(), "export", move || {
            let handing = Arc::clone(&handing);
            async move { handing.round().await }
        }))
    };
    evidence.exporters.iter().map(job).collect()
}

/// One exporter and how it is doing.
struct Handing {
    evidence: Evidence,
    exporter: Arc<dyn SealExporter>,
    alarm_after: Duration,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Since when something waits that should have left.
    behind_since: Option<Timestamp>,
    /// Whether that was told as an alarm.
    alarmed: bool,
    /// Where the next round begins: behind the tenant at which the last one ended early.
    begin: Option<TenantId>,
}

/// What a round could not hand out.
#[derive(Default)]
struct Stuck {
    failures: u32,
    /// When the oldest seal was made that is known to wait.
    oldest: Option<Timestamp>,
    last: Option<ExportFailure>,
}

impl Handing {
    async fn round(&self) {
        let mut state = self.state.lock().await;
        let mut stuck = Stuck::default();
        if let Err(error) = self.all(&mut state.begin, &mut stuck).await {
            stuck.failures += 1;
            stuck.last = Some(error.into());
        }
        self.tell(&mut state, &stuck);
    }

    /// Goes through all tenants once, from `begin` on; where it ends early, the next round begins there.
    async fn all(&self, begin: &mut Option<TenantId>, stuck: &mut Stuck) -> Result<(), StoreError> {
        let mut after = begin.take();
        loop {
            let tenants = self.evidence.log.audited_tenants(after.as_ref(), TENANTS).await?;
            if tenants.is_empty() {
                return Ok(());
            }
            for tenant in tenants {
                if self.stop.is_cancelled() {
                    return Ok(());
                }
                self.tenant(&tenant, stuck).await;
                after = Some(tenant);
                if stuck.failures >= MAX_FAILURES {
                    *begin = after;
                    return Ok(());
                }
            }
        }
    }

    async fn tenant(&self, tenant: &TenantId, stuck: &mut Stuck) {
        let export = Export {
            log: self.evidence.log.as_ref(),
            progress: self.evidence.progress.as_ref(),
            exporter: self.exporter.as_ref(),
        };
        let handed = export.catch_up(tenant).await;
        metrics::counter!("countersign_audit_exported_total", "exporter" => self.exporter.name())
            .increment(handed.seals);
        let Some((made, failure)) = handed.stuck else { return };
        let (exporter, error) = (self.exporter.name(), chain(&failure));
        if matches!(failure, ExportFailure::Diverged { .. }) {
            tracing::error!(alarm = true, tenant_id = %tenant, exporter, error, "seals are not exported");
        }
        stuck.failures += 1;
        stuck.oldest = [stuck.oldest, made].into_iter().flatten().min();
        stuck.last = Some(failure);
    }

    fn tell(&self, state: &mut State, stuck: &Stuck) {
        let (exporter, now) = (self.exporter.name(), self.clock.now());
        let behind = match &stuck.last {
            None => {
                if state.behind_since.take().is_some() && state.begin.is_none() {
                    tracing::info!(exporter, "the export of seals has caught up");
                }
                state.alarmed = false;
                Duration::ZERO
            }
            Some(failure) => {
                let since = [state.behind_since, stuck.oldest].into_iter().flatten().min();
                // A seal may have been made by a clock that was ahead; it waits all the same.
                let since = since.unwrap_or(now).min(now);
                if state.behind_since.replace(since).is_none() {
                    tracing::warn!(
                        exporter,
                        error = chain(failure),
                        "seals could not be exported; trying again"
                    );
                }
                now.since(since)
            }
        };
        metrics::gauge!("countersign_audit_export_behind_seconds", "exporter" => exporter)
            .set(behind.as_secs_f64());
        if behind >= self.alarm_after && !state.alarmed {
            state.alarmed = true;
            let error = stuck.last.as_ref().map(|failure| chain(failure)).unwrap_or_default();
            let seconds = behind.as_secs();
            tracing::error!(alarm = true, exporter, seconds, error, "the export of seals has fallen behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Alarms;
    use async_trait::async_trait;
    use countersign_application::audit::{SealWhen, seal_next};
    use countersign_domain::audit::Seal;
    use countersign_domain::digest::KeyId;
    use countersign_ports::{ExportError, Kept};
    use countersign_testkit::conformance::StoreUnderTest;
    use countersign_testkit::{ManualClock, MemoryStore, fixtures};
    use metrics_exporter_prometheus::PrometheusBuilder;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tracing_subscriber::layer::SubscriberExt as _;

    /// An exporter that can be down, or hang.
    #[derive(Default)]
    struct Switch {
        down: AtomicBool,
        hangs: bool,
    }

    #[async_trait]
    impl SealExporter for Switch {
        fn name(&self) -> &'static str {
            "switch"
        }

        async fn kept(&self, _: &TenantId) -> Result<Kept, ExportError> {
            Ok(Kept::InStore)
        }

        async fn export(&self, _: &TenantId, _: &Seal) -> Result<(), ExportError> {
            match (self.down.load(Ordering::SeqCst), self.hangs) {
                (false, _) => Ok(()),
                (true, false) => Err(ExportError("down".into())),
                (true, true) => std::future::pending().await,
            }
        }
    }

    /// Hands out one seal, made so long after the clock's time, to an exporter that is down until `rounds` are over: after
    /// how many minutes each is, how many seconds the exporter is behind then, and whether that was an alarm.
    fn check(ahead: Duration, hangs: bool, rounds: &[(u64, u64, bool)]) {
        let recorder = PrometheusBuilder::new().build_recorder();
        let page = recorder.handle();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let story = async {
            let (store, clock) = (Arc::new(MemoryStore::new()), Arc::new(ManualClock::at(fixtures::START)));
            let tenant = StoreUnderTest::sharing(Arc::clone(&store)).create_tenant("acme").await;
            let key = SealKey { key: (KeyId(1), [9; 32]), sign: Arc::new(|_| [7; 64]) };
            let when = SealWhen { events: 1, age: Duration::ZERO };
            let made = clock.now().plus(ahead);
            seal_next(store.as_ref(), &tenant, &key, when, made).await.unwrap().unwrap();
            let exporter = Arc::new(Switch { down: true.into(), hangs });
            let evidence =
                Evidence { log: store.clone(), progress: store, key, exporters: vec![exporter.clone()] };
            let handing = Handing {
                evidence,
                exporter: exporter.clone(),
                alarm_after: Duration::from_mins(10),
                clock: clock.clone(),
                stop: CancellationToken::new(),
                state: Mutex::default(),
            };
            let behind = async |minutes, seconds, alarms| {
                clock.advance(Duration::from_mins(minutes));
                handing.round().await;
                let page = page.render();
                let gauge = "countersign_audit_export_behind_seconds{exporter=\"switch\"}";
                assert!(page.contains(&format!("{gauge} {seconds}\n")), "{page}");
                assert_eq!(page.contains("countersign_alarms_total 1\n"), alarms, "{page}");
                assert!(!page.contains("countersign_alarms_total 2\n"), "{page}");
            };
            for (minutes, seconds, alarms) in rounds {
                behind(*minutes, *seconds, *alarms).await;
            }
            exporter.down.store(false, Ordering::SeqCst);
            behind(1, 0, true).await;
            assert!(page.render().contains("countersign_audit_exported_total{exporter=\"switch\"} 1\n"));
        };
        metrics::with_local_recorder(&recorder, || {
            tracing::subscriber::with_default(tracing_subscriber::registry().with(Alarms), || {
                runtime.unwrap().block_on(story);
            });
        });
    }

    /// R56: an exporter that takes nothing is behind by the age of the oldest seal, which is an alarm once when it is too
    /// long; when it has caught up it is behind no more.
    #[test]
    fn falling_behind_is_measured_and_an_alarm_once() {
        check(Duration::ZERO, false, &[(9, 540, false), (1, 600, true), (5, 900, true)]);
    }

    /// R56: so is one that neither takes a seal nor refuses it.
    #[test]
    fn an_exporter_that_hangs_has_fallen_behind() {
        check(Duration::ZERO, true, &[(9, 540, false), (1, 600, true), (5, 900, true)]);
    }

    /// R56: a seal from the future waits since it was first tried.
    #[test]
    fn a_seal_from_the_future_silences_no_alarm() {
        let rounds = [(0, 0, false), (9, 540, false), (1, 600, true), (60, 4_200, true)];
        check(Duration::from_hours(1), false, &rounds);
    }
}
