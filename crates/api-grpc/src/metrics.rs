//! What is counted of calls. Names and labels stand in `docs/operations/metrics.md`; labels are words of the contract,
//! never of a caller, so that their number is bounded and no secret becomes one (R53).

use countersign_api::error_reason_name;
use countersign_api::v1::ErrorReason;
use metrics::SharedString;
use std::sync::Arc;
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

/// A call ended: how, and how long after its headers came.
pub(crate) fn finished(method: Option<Arc<str>>, code: Code, latency: Duration) {
    let method = method.map_or(SharedString::const_str(UNKNOWN), SharedString::from_shared);
    metrics::histogram!("countersign_rpc_seconds", "method" => method.clone()).record(latency.as_secs_f64());
    metrics::counter!("countersign_rpc_total", "method" => method, "code" => name(code)).increment(1);
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
