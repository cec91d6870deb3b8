//! What is counted of calls. Names and labels stand in `docs/operations/metrics.md`; labels are words of the contract,
//! never of a caller, so that their number is bounded and no secret becomes one (R53).

use crate::caller::Method;
use countersign_api::error_reason_name;
use countersign_api::v1::ErrorReason;
use metrics::{Counter, Histogram, SharedString};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Code;

/// The method of a path that the contract does not have, and the reason to deny it.
const UNKNOWN: &str = "unknown";

/// A call that is being worked on; dropping it ends that.
pub(crate) struct InFlight(metrics::Gauge);

impl InFlight {
    /// One more.
    pub(crate) fn begin() -> Self {
        let gauge = metrics::gauge!("countersign_rpc_in_flight");
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// A call that waits for its turn; dropping it ends that, whether its turn came or its caller's patience ended.
pub(crate) struct Waiting {
    waiting: metrics::Gauge,
    /// By the runtime's clock: it measures, and decides nothing.
    start: Instant,
}

impl Waiting {
    /// One more.
    pub(crate) fn begin() -> Self {
        let waiting = metrics::gauge!("countersign_rpc_waiting");
        waiting.increment(1.0);
        Self { waiting, start: Instant::now() }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waiting.decrement(1.0);
        metrics::histogram!("countersign_rpc_wait_seconds").record(self.start.elapsed().as_secs_f64());
    }
}

/// What is counted of one method with every call, kept so that it is not looked up by its name and labels each time. Each
/// is looked up when it first counts, because a metric that was looked up is shown.
#[derive(Debug, Default)]
pub(crate) struct OfMethod {
    seconds: OnceLock<Histogram>,
    ok: OnceLock<Counter>,
}

/// A call ended: how, and how long after its headers came.
pub(crate) fn finished(method: Option<&Method>, code: Code, latency: Duration) {
    let label = || {
        let path = method.map(|method| Arc::clone(&method.path));
        path.map_or(SharedString::const_str(UNKNOWN), SharedString::from_shared)
    };
    let seconds = || metrics::histogram!("countersign_rpc_seconds", "method" => label());
    let total = || metrics::counter!("countersign_rpc_total", "method" => label(), "code" => name(code));
    let latency = latency.as_secs_f64();
    match method {
        Some(method) => method.counted.seconds.get_or_init(seconds).record(latency),
        None => seconds().record(latency),
    }
    match method.filter(|_| code == Code::Ok) {
        Some(method) => method.counted.ok.get_or_init(total).increment(1),
        None => total().increment(1),
    }
}

/// An error of the contract was told.
pub(crate) fn refused(reason: &'static str) {
    metrics::counter!("countersign_errors_total", "reason" => reason).increment(1);
}

/// A caller was denied what it asked for (R42); without a reason where it asked for what the contract does not have.
pub(crate) fn denied(reason: Option<ErrorReason>) {
    let reason = reason.map_or(UNKNOWN, error_reason_name);
    metrics::counter!("countersign_denied_total", "reason" => reason).increment(1);
}

/// Calls are welcome, or not.
pub(crate) fn ready(serving: bool) {
    metrics::gauge!("countersign_ready").set(f64::from(u8::from(serving)));
}

/// The name of a status, as gRPC writes it.
const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics_exporter_prometheus::PrometheusBuilder;

    /// R53: calls are counted by method and status, and what did not happen is not shown.
    #[test]
    fn calls_are_counted_by_method_and_status() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let page = recorder.handle();
        let method = Method {
            path: "/a.Service/Call".into(),
            scope: "call".to_owned(),
            is_streaming: false,
            tenant_field: None,
            user_field: None,
            challenge_field: None,
            counted: OfMethod::default(),
        };
        let told = |line: &str| page.render().lines().any(|told| told == line);
        ::metrics::with_local_recorder(&recorder, || {
            finished(Some(&method), Code::NotFound, Duration::from_millis(1));
            assert!(!page.render().contains("OK"), "{}", page.render());
            finished(Some(&method), Code::Ok, Duration::from_millis(1));
            finished(Some(&method), Code::Ok, Duration::from_millis(1));
            finished(None, Code::Ok, Duration::from_millis(1));
        });
        for line in [
            "countersign_rpc_total{method=\"/a.Service/Call\",code=\"NOT_FOUND\"} 1",
            "countersign_rpc_total{method=\"/a.Service/Call\",code=\"OK\"} 2",
            "countersign_rpc_total{method=\"unknown\",code=\"OK\"} 1",
            "countersign_rpc_seconds_count{method=\"/a.Service/Call\"} 3",
            "countersign_rpc_seconds_count{method=\"unknown\"} 1",
        ] {
            assert!(told(line), "{line}\n{}", page.render());
        }
    }
}
