//! How the jobs are doing. A job that fails tries again by itself, so it is told when it begins to fail and when it is over;
//! one that fails for too long needs somebody, and is an alarm once.

use crate::failure::chain;
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a job may fail before somebody must look: longer than a database takes to start again.
pub(crate) const ALARM_AFTER: Duration = Duration::from_mins(10);

/// How one job is doing.
pub(crate) struct Standing {
    /// Its name.
    pub(crate) job: &'static str,
    /// What has not happened where it fails, as the beginning of a sentence.
    what: &'static str,
    alarm_after: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failing_since: Option<Instant>,
    /// Whether that was told as an alarm.
    alarmed: bool,
}

impl Standing {
    /// Of a job that has not failed yet.
    pub(crate) fn new(job: &'static str, what: &'static str, alarm_after: Duration) -> Self {
        let standing = Self { job, what, alarm_after, state: Mutex::default() };
        standing.measure(Duration::ZERO);
        standing
    }

    /// Takes note of what became of a round.
    pub(crate) fn note<E: Error>(&self, round: Result<(), E>) {
        let (job, what) = (self.job, self.what);
        // Nothing panics while it holds the lock.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Err(error) = round else {
            if state.failing_since.is_some() {
                tracing::info!(job, "a job works again");
            }
            *state = State::default();
            return self.measure(Duration::ZERO);
        };
        let error = chain(&error);
        let now = Instant::now();
        let since = *state.failing_since.get_or_insert_with(|| {
            tracing::warn!(job, error, "{what}; trying again");
            now
        });
        let failing = now.duration_since(since);
        self.measure(failing);
        if failing >= self.alarm_after && !state.alarmed {
            state.alarmed = true;
            let seconds = failing.as_secs();
            tracing::error!(alarm = true, job, seconds, error, "{what}; it has failed for too long");
        }
    }

    fn measure(&self, failing: Duration) {
        // Not `job`: that label is Prometheus' own.
        metrics::gauge!("countersign_job_failing_seconds", "name" => self.job).set(failing.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Alarms;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tracing_subscriber::layer::SubscriberExt as _;

    /// R48: a job that fails for good is measured, an alarm once when it is too long, and over with the first round that
    /// works.
    #[test]
    fn a_job_that_fails_for_good_is_an_alarm_once() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let page = recorder.handle();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let story = async {
            let standing = Standing::new("seal", "the log could not be sealed", ALARM_AFTER);
            let told = |seconds: u64, alarms: u64| {
                let page = page.render();
                let gauge = format!("countersign_job_failing_seconds{{name=\"seal\"}} {seconds}\n");
                assert!(page.contains(&gauge), "{seconds}: {page}");
                let counted = format!("countersign_alarms_total {alarms}\n");
                assert_eq!(page.contains("countersign_alarms_total"), alarms > 0, "{page}");
                assert!(alarms == 0 || page.contains(&counted), "{page}");
            };
            let round = async |minutes, works: bool| {
                tokio::time::advance(Duration::from_mins(minutes)).await;
                standing.note(if works { Ok(()) } else { Err(std::io::Error::other("down")) });
            };
            told(0, 0);
            round(1, false).await;
            told(0, 0);
            round(9, false).await;
            told(540, 0);
            round(1, false).await;
            told(600, 1);
            round(5, false).await;
            told(900, 1);
            round(1, true).await;
            told(0, 1);
            round(1, false).await;
            round(10, false).await;
            told(600, 2);
        };
        metrics::with_local_recorder(&recorder, || {
            tracing::subscriber::with_default(tracing_subscriber::registry().with(Alarms), || {
                runtime.unwrap().block_on(story);
            });
        });
    }
}
