//! Which jobs a node has, wired to what they work with.

use super::{Job, dispatch, erase, fold, keep_events, reseal, seal, sweep, sweep_dead_letters, tell_denials};
use crate::adapters::GuardedClock;
use crate::config::AuditConfig;
use crate::evidence;
use crate::stores::Stores;
use countersign_application::audit::Evidence;
use countersign_application::{Application, NoticeRules};
use countersign_ports::{Clock, Notifier};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What the jobs of a node work with.
pub(crate) struct Work<'a> {
    /// The use cases.
    pub(crate) app: &'a Application,
    /// The store's upkeep.
    pub(crate) stores: &'a Stores,
    /// The time.
    pub(crate) clock: &'a Arc<GuardedClock>,
    /// Who delivers notices.
    pub(crate) notifier: Arc<dyn Notifier>,
    /// When it tries again.
    pub(crate) notice_rules: NoticeRules,
    /// How long notices are kept that were given up.
    pub(crate) keep_dead_letters: Duration,
    /// How long security events are kept; for ever where this is `None`.
    pub(crate) retention: Option<Duration>,
    /// What proves the log: nothing is dropped before it does.
    pub(crate) evidence: &'a Evidence,
    /// When the log is sealed, and when it is late.
    pub(crate) audit: &'a AuditConfig,
    /// Ends the jobs.
    pub(crate) stop: &'a CancellationToken,
}

impl Work<'_> {
    /// The jobs; none begins before it is waited for.
    pub(crate) fn jobs(self) -> Vec<Job> {
        let Self { app, stores, clock, notifier, notice_rules, keep_dead_letters, .. } = self;
        let Self { retention, evidence, audit, stop, .. } = self;
        let stop = || stop.clone();
        let clock = || Arc::clone(clock) as Arc<dyn Clock>;
        let maintenance = || Arc::clone(&stores.maintenance);
        let dead_letters = Arc::clone(&stores.dead_letters);
        let mut jobs: Vec<Job> = vec![
            Box::pin(dispatch(app.clone(), notifier, notice_rules, stop())),
            Box::pin(sweep_dead_letters(dead_letters, keep_dead_letters, clock(), stop())),
            Box::pin(tell_denials(app.clone(), stop())),
            Box::pin(keep_events(app.clone(), maintenance(), retention, evidence.clone(), stop())),
            Box::pin(sweep(maintenance(), clock(), stop())),
            Box::pin(fold(maintenance(), stop())),
            Box::pin(reseal(Arc::clone(&stores.vault), stop())),
            Box::pin(erase(Arc::clone(&stores.erasure), stop())),
            Box::pin(seal(evidence.clone(), audit.seal_after, audit.alarm_after, clock(), stop())),
        ];
        jobs.extend(evidence::jobs(evidence, audit, &stop()));
        jobs
    }
}
