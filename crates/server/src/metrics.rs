//! The page of metrics that Prometheus reads, and what is counted of the log. What the metrics are is written in
//! `docs/operations/metrics.md`; each is counted where it happens.

use crate::failure::{Failure, chain};
use countersign_api::error_reason_name;
use countersign_api::v1::ErrorReason;
use countersign_domain::event::EventType;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};
use std::net::SocketAddr;
use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Seconds, from a call on a warm machine to one that waited for its deadline.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 5.0, 30.0];
/// Calls in a batch.
const SIZES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// Steps that an accepted code was ahead of the server's clock.
const OFFSETS: [f64; 3] = [-1.0, 0.0, 1.0];

/// Panics of the process, and lines of the log with `alarm = true`.
pub(crate) const PANICS: &str = "countersign_panics_total";
const ALARMS: &str = "countersign_alarms_total";

/// Why callers are denied.
const DENIED: [ErrorReason; 4] = [
    ErrorReason::CallerCredentialsMissing,
    ErrorReason::CallerCredentialsInvalid,
    ErrorReason::CallerScopeMissing,
    ErrorReason::CallerTenantDenied,
];
/// Why calls are turned away that nothing is wrong with.
const TURNED_AWAY: [ErrorReason; 3] =
    [ErrorReason::Overloaded, ErrorReason::DeadlineExpired, ErrorReason::CallerRateExceeded];
/// Events that somebody is woken by, with what was found.
const EVENTS: [(EventType, &str); 3] = [
    (EventType::LoginRefused, "wrong"),
    (EventType::LoginRefused, "replayed"),
    (EventType::ClientTokenReused, ""),
];

/// Begins to count, and serves the page on `address` until `stop`.
///
/// # Errors
/// The address is taken, or metrics are counted already.
pub(crate) fn serve(address: SocketAddr, stop: CancellationToken) -> Result<(), Failure> {
    let failed =
        |error: BuildError| Failure::Internal(format!("serving metrics on {address}: {}", chain(&error)));
    let (recorder, page) = exporter(address).map_err(failed)?;
    metrics::set_global_recorder(recorder)
        .map_err(|_| Failure::Internal("metrics are counted already".to_owned()))?;
    begin();
    metrics::gauge!("countersign_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            // Its error has no text that says more than this.
            _ = page => tracing::error!(alarm = true, "metrics are no longer served"),
        }
    });
    tracing::info!(address = %address, "metrics are served");
    Ok(())
}

/// Counters that alarms are made of are there from the beginning: `increase()` does not see one whose first value is 1.
fn begin() {
    for counter in [PANICS, ALARMS] {
        metrics::counter!(counter).increment(0);
    }
    for reason in DENIED {
        metrics::counter!("countersign_denied_total", "reason" => error_reason_name(reason)).increment(0);
    }
    metrics::counter!("countersign_denied_total", "reason" => "unknown").increment(0);
    for reason in TURNED_AWAY {
        metrics::counter!("countersign_errors_total", "reason" => error_reason_name(reason)).increment(0);
    }
    for (kind, finding) in EVENTS {
        metrics::counter!("countersign_events_total", "type" => kind.name(), "finding" => finding)
            .increment(0);
    }
}

type Exporter =
    (metrics_exporter_prometheus::PrometheusRecorder, metrics_exporter_prometheus::ExporterFuture);

fn exporter(address: SocketAddr) -> Result<Exporter, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_batch_size".to_owned()), &SIZES)?
        .set_buckets_for_metric(Matcher::Full("countersign_totp_step_offset".to_owned()), &OFFSETS)?
        .with_http_listener(address)
        .build()
}

/// Counts log lines with `alarm = true`: whatever needs somebody to look, from wherever it comes, is one metric.
pub(crate) struct Alarms;

impl<S: Subscriber> Layer<S> for Alarms {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            let mut alarm = Alarm(false);
            event.record(&mut alarm);
            if alarm.0 {
                metrics::counter!(ALARMS).increment(1);
            }
        }
    }
}

/// Whether an event says `alarm = true`.
struct Alarm(bool);

impl Visit for Alarm {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0 |= value && field.name() == "alarm";
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use std::collections::BTreeSet;
    use tracing_subscriber::layer::SubscriberExt;

    /// The names of metrics in a text.
    fn names(text: &str) -> BTreeSet<String> {
        let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
        words.filter(|word| word.starts_with("countersign_")).map(str::to_owned).collect()
    }

    /// What the dashboard draws is what the page of metrics describes, so that no panel stays empty for a name that was
    /// changed or never was; and who was denied, who waits and who was turned away has a panel, and what works no more.
    #[test]
    fn the_dashboard_draws_metrics_that_there_are() {
        let page = include_str!("../../../docs/operations/metrics.md");
        let rows = page.lines().filter(|line| line.starts_with("| `countersign_"));
        let known: BTreeSet<_> =
            rows.flat_map(|row| names(row.split('|').nth(1).unwrap_or_default())).collect();
        let drawn = names(include_str!("../../../docs/operations/countersign.grafana.json"));
        for name in &drawn {
            let whole = ["_bucket", "_count", "_sum"].iter().find_map(|part| name.strip_suffix(part));
            assert!(known.contains(name) || whole.is_some_and(|whole| known.contains(whole)), "{name}");
        }
        for name in [
            "countersign_denied_total",
            "countersign_rpc_waiting",
            "countersign_rpc_wait_seconds_bucket",
            "countersign_job_failing_seconds",
            "countersign_audit_export_behind_seconds",
        ] {
            assert!(drawn.contains(name), "{name}");
        }
        // So for what alarms ask for; and one of them is for a node that is gone, which has no series at all.
        let (_, alarms) = page.split_once("## What to alarm on").unwrap();
        let (alarms, _) = alarms.split_once("\n## ").unwrap();
        for name in &names(alarms) {
            let whole = name.strip_suffix("_bucket").unwrap_or(name);
            assert!(known.contains(whole), "{name}");
        }
        for asked in
            ["up{job=\"countersign\"} == 0", "absent(countersign_ready)", "countersign_certificate_end"]
        {
            assert!(alarms.contains(asked), "{asked}");
        }
    }

    /// Every counter that an alarm of the page asks for is there before it first counts, with the labels that the alarm names.
    #[test]
    fn counters_of_alarms_are_there_from_the_beginning() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let page = recorder.handle();
        metrics::with_local_recorder(&recorder, begin);
        let told = page.render();
        let lines: Vec<_> = told.lines().filter(|line| line.ends_with(" 0")).collect();
        let alarms = include_str!("../../../docs/operations/metrics.md");
        let mut seen = 0;
        for row in alarms.lines().filter(|line| line.contains("`increase(") || line.contains("`rate(")) {
            let (_, asked) = row.split_once('(').unwrap();
            let (asked, _) = asked.split_once('[').unwrap();
            let (name, labels) = asked.split_once('{').unwrap_or((asked, ""));
            let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
            // Each label with the words that it may have.
            let labels = labels.map(|label| {
                let (label, words) = label.split_once('=').unwrap();
                (label, words.trim_matches(['~', '"']).replace('\\', ""))
            });
            let labels: Vec<_> = labels.collect();
            let has = |line: &str, label: &str, word: &str| line.contains(&format!("{label}=\"{word}\""));
            let fits = |line: &str| {
                let all = labels.iter().all(|(label, words)| words.split('|').any(|it| has(line, label, it)));
                all && line.starts_with(name)
            };
            assert!(lines.iter().any(|line| fits(line)), "{asked}: {told}");
            seen += 1;
        }
        assert!(seen >= 5, "the page has no alarms that count: {seen}");
        for reason in ["CALLER_SCOPE_MISSING", "unknown"] {
            assert!(told.contains(&format!("countersign_denied_total{{reason=\"{reason}\"}} 0")), "{told}");
        }
    }

    /// R50, R57: what is logged as an alarm is counted as one, and nothing else is.
    #[test]
    fn alarms_of_the_log_are_counted() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let page = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            tracing::subscriber::with_default(tracing_subscriber::registry().with(Alarms), || {
                tracing::error!(alarm = true, "somebody must look");
                tracing::error!(alarm = false, "nobody needs to");
                tracing::error!("nobody needs to");
                tracing::warn!(alarm = true, "not an error");
            });
        });
        assert!(page.render().contains("countersign_alarms_total 1\n"), "{}", page.render());
    }
}
