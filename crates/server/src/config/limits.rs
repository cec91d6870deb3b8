//! What is refused as too much: ranges and defaults of the limits.

use super::raw::{RawLimits, RawRate};
use super::{Limits, Problem, Problems};
use countersign_api_grpc::{CallLimits, Rate};
use std::time::Duration;

/// Checks a rate; both of its numbers are given, or neither.
pub(super) fn rate(raw: &RawRate, key: &str, problems: &mut Problems) -> Option<Rate> {
    let per_second = raw.requests_per_second;
    for (name, value) in [("requests_per_second", per_second), ("burst", raw.burst)] {
        problems.number(format!("{key}.{name}"), value, &(1..=1_000_000));
    }
    if raw.burst.is_some() && per_second.is_none() {
        let text = "is missing; with a burst, write the calls a second in the long run too";
        problems.add(Problem::new(format!("{key}.requests_per_second"), text));
    }
    let per_second = per_second?;
    Some(Rate { per_second, burst: raw.burst.unwrap_or(per_second) })
}

/// Checks the limits; what is not said takes its default.
pub(super) fn validate(raw: &RawLimits, problems: &mut Problems) -> Limits {
    let caller = rate(&raw.caller, "limits.caller", problems);
    let (default, of_calls) = (Limits::default(), CallLimits::default());
    let mut number = |name: &str, value: Option<u32>, range: std::ops::RangeInclusive<u32>| {
        problems.number(format!("limits.{name}"), value, &range)
    };
    let millis = |value: u32| Duration::from_millis(value.into());
    let seconds = |value: u32| Duration::from_secs(value.into());
    let count = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
    let calls = CallLimits {
        max_request_bytes: number("max_request_bytes", raw.max_request_bytes, 1_024..=32_768)
            .map_or(of_calls.max_request_bytes, count),
        max_in_flight: number("max_in_flight", raw.max_in_flight, 1..=100_000)
            .map_or(of_calls.max_in_flight, count),
        max_at_work: number("max_at_work", raw.max_at_work, 1..=100_000).map_or(of_calls.max_at_work, count),
        max_at_work_per_tenant: number("max_at_work_per_tenant", raw.max_at_work_per_tenant, 1..=100_000)
            .map_or(of_calls.max_at_work_per_tenant, count),
        max_in_flight_per_tenant: number(
            "max_in_flight_per_tenant",
            raw.max_in_flight_per_tenant,
            1..=100_000,
        )
        .map_or(of_calls.max_in_flight_per_tenant, count),
        max_wait: number("max_wait_ms", raw.max_wait_ms, 1..=300_000).map_or(of_calls.max_wait, millis),
        rate: caller,
        default_deadline: number("default_deadline_ms", raw.default_deadline_ms, 10..=300_000)
            .map_or(of_calls.default_deadline, millis),
        max_deadline: number("max_deadline_ms", raw.max_deadline_ms, 10..=300_000)
            .map_or(of_calls.max_deadline, millis),
        ..of_calls
    };
    let limits = Limits {
        calls,
        max_connections: number("max_connections", raw.max_connections, 1..=100_000)
            .map_or(default.max_connections, count),
        handshake_timeout: number("handshake_timeout_ms", raw.handshake_timeout_ms, 100..=60_000)
            .map_or(default.handshake_timeout, millis),
        max_connection_age: number("max_connection_age_seconds", raw.max_connection_age_seconds, 10..=86_400)
            .map_or(default.max_connection_age, seconds),
        drain_timeout: number("drain_timeout_seconds", raw.drain_timeout_seconds, 1..=30)
            .map_or(default.drain_timeout, seconds),
    };
    if calls.default_deadline > calls.max_deadline {
        let text = "is longer than limits.max_deadline_ms; write at most that";
        problems.add(Problem::new("limits.default_deadline_ms", text));
    }
    limits
}
