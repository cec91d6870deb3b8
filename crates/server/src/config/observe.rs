//! What is told of the service while it runs, beside its log: the page of metrics and the export of traces.

use super::raw::{RawMetrics, RawTraces};
use super::{Problem, Problems};
use std::net::SocketAddr;

/// Where metrics are served and traces go; nowhere by default.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Observe {
    /// Where Prometheus reads metrics, plain text.
    pub(crate) metrics: Option<SocketAddr>,
    /// Where traces go.
    pub(crate) traces: Option<Traces>,
}

/// The export of traces.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Traces {
    /// The collector, as `http://HOST:PORT` or `https://HOST:PORT`.
    pub(crate) endpoint: String,
    /// Of the traces that begin here, 0 to 1.
    pub(crate) sample_ratio: f64,
}

/// Checks it.
pub(super) fn validate(metrics: RawMetrics, traces: RawTraces, problems: &mut Problems) -> Observe {
    let address = metrics.address.and_then(|address| {
        let fix = "is no address; write an IP address and a port, such as 127.0.0.1:9464";
        problems.take(address.parse().map_err(|_| Problem::new("metrics.address", fix)))
    });
    let ratio = traces.sample_ratio.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&ratio) {
        problems.add(Problem::new("traces.sample_ratio", "is out of range; write 0 to 1"));
    }
    let traces = match traces.endpoint {
        Some(endpoint) if is_endpoint(&endpoint) => Some(Traces { endpoint, sample_ratio: ratio }),
        Some(_) => {
            let fix =
                "is no endpoint; write http://HOST:PORT or https://HOST:PORT of an OTLP collector (gRPC)";
            problems.add(Problem::new("traces.endpoint", fix));
            None
        }
        None if traces.sample_ratio.is_some() => {
            let fix = "is missing; write where traces go, or leave traces.sample_ratio away";
            problems.add(Problem::new("traces.endpoint", fix));
            None
        }
        None => None,
    };
    Observe { metrics: address, traces }
}

/// Scheme, host and port, and nothing that could carry a password.
fn is_endpoint(text: &str) -> bool {
    let Ok(uri) = text.parse::<tonic::transport::Uri>() else { return false };
    let user_info = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.port().is_some()
        && !user_info
        && matches!(uri.path(), "" | "/")
        && uri.query().is_none()
}
