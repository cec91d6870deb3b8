//! One span for each call, and one line when it is over: method, caller, tenant, status, reason, latency.
//!
//! Never in it: user ids (they may be e-mail addresses), device addresses, codes, tokens (R53).

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use std::time::Duration;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Response};
use tonic::{Code, Status};
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The span of a call, continuing the caller's trace. Caller, tenant, reason, quota and status are filled in as they become
/// known. `otel.*` are the words that the export of traces takes for the span's own name and kind.
pub(crate) fn span(path: &str, headers: &HeaderMap, trace_id: &str) -> Span {
    // Paths that the contract does not have are the caller's words; their length is bounded here.
    let method = path.get(..path.len().min(128)).unwrap_or("");
    let span = tracing::info_span!(
        "rpc",
        otel.name = method,
        otel.kind = "server",
        rpc_method = method,
        trace_id,
        caller = Empty,
        tenant_id = Empty,
        reason = Empty,
        quota = Empty,
    );
    if let Some(parent) = header(headers).and_then(parse) {
        let context = opentelemetry::Context::new().with_remote_span_context(parent.context());
        // It fails where no traces are exported, and then there is nothing to continue.
        let _ = span.set_parent(context);
    }
    span
}

/// Marks an answer whose line is for debugging only.
#[derive(Debug, Clone, Copy)]
struct Untold;

/// The answer of a call that is one of too many to tell of each.
pub(crate) fn untold(status: Status) -> Response<Body> {
    let mut response = status.into_http();
    response.extensions_mut().insert(Untold);
    response
}

/// Tells how a call ended, and returns its status.
pub(crate) fn finished(response: &Response<Body>, latency: Duration) -> Code {
    let code = code(response);
    let (grpc_code, latency_us) = (code as i32, u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    match code {
        Code::Ok => tracing::debug!(grpc_code, latency_us, "answered"),
        _ if response.extensions().get::<Untold>().is_some() => {
            tracing::debug!(grpc_code, latency_us, "turned away");
        }
        Code::Internal | Code::Unknown | Code::DataLoss => {
            tracing::error!(grpc_code, latency_us, "failed");
        }
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Unauthenticated => {
            tracing::warn!(grpc_code, latency_us, "turned away");
        }
        _ => tracing::info!(grpc_code, latency_us, "refused"),
    }
    code
}

/// The status of an answer: in its headers where it has no body, else fine so far.
fn code(response: &Response<Body>) -> Code {
    response.headers().get("grpc-status").map_or(Code::Ok, |status| Code::from_bytes(status.as_bytes()))
}

/// The trace-id of `traceparent` (W3C Trace Context 1, section 3.2), or empty where there is none or it is malformed.
pub(crate) fn trace_id(headers: &HeaderMap) -> String {
    header(headers).and_then(parse).map(|parent| parent.trace.to_owned()).unwrap_or_default()
}

fn header(headers: &HeaderMap) -> Option<&str> {
    headers.get("traceparent").and_then(|value| value.to_str().ok())
}

/// A well-formed `traceparent`: lower-case hexadecimal digits.
struct Parent<'a> {
    trace: &'a str,
    span: &'a str,
    sampled: bool,
}

impl Parent<'_> {
    /// The same, as the export of traces takes it.
    fn context(&self) -> SpanContext {
        let trace = TraceId::from_hex(self.trace).unwrap_or(TraceId::INVALID);
        let span = SpanId::from_hex(self.span).unwrap_or(SpanId::INVALID);
        let flags = if self.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
        SpanContext::new(trace, span, flags, true, TraceState::NONE)
    }
}

fn parse(traceparent: &str) -> Option<Parent<'_>> {
    let is_hex = |text: &str, len| {
        text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
    };
    let mut parts = traceparent.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // Only later versions may say more behind the flags.
    let ends = parts.next().is_none() || version != "00";
    let well_formed = is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && is_hex(span, 16)
        && is_hex(flags, 2)
        && trace.bytes().any(|byte| byte != b'0')
        && span.bytes().any(|byte| byte != b'0');
    let sampled = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
    (ends && well_formed).then_some(Parent { trace, span, sampled })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// W3C Trace Context: a trace-id is taken from a well-formed header and from no other.
    #[test]
    fn trace_ids_come_from_well_formed_headers() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let table = [
            (format!("00-{trace}-00f067aa0ba902b7-01"), Some(trace)),
            (format!("cc-{trace}-00f067aa0ba902b7-01-what-comes"), Some(trace)),
            (format!("00-{trace}-00f067aa0ba902b7-01-more"), None),
            (format!("ff-{trace}-00f067aa0ba902b7-01"), None),
            (format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()), None),
            (format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None),
            (format!("00-{trace}-0000000000000000-01"), None),
            (format!("00-{trace}-00f067aa0ba902b7"), None),
            (String::new(), None),
        ];
        for (header, expected) in table {
            assert_eq!(parse(&header).map(|parent| parent.trace), expected, "{header}");
        }
    }
}
