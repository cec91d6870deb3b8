//! Traces for an OpenTelemetry collector (OTLP over gRPC). What is exported is the spans of our own crates with the fields
//! that logs show too: no ids of users, no addresses, no secrets (R53).

use crate::config::Traces;
use crate::failure::{Failure, chain};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tonic::transport::ClientTlsConfig;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

/// The name of this service among those of a trace.
const NAME: &str = "countersign";

/// Exports until it is shut down.
pub(crate) struct Exporting(SdkTracerProvider);

impl Exporting {
    /// Connects lazily: a collector that is away loses traces and holds up nothing.
    ///
    /// # Errors
    /// The endpoint is none that can be connected to.
    pub(crate) fn start(traces: &Traces) -> Result<Self, Failure> {
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(traces.endpoint.clone());
        let exporter = if traces.endpoint.starts_with("https:") {
            exporter.with_tls_config(ClientTlsConfig::new().with_native_roots())
        } else {
            exporter
        };
        let exporter = exporter
            .build()
            .map_err(|error| Failure::Internal(format!("exporting traces: {}", chain(&error))))?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            // Who calls decides for a trace that is under way; the ratio is for those that begin here.
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(traces.sample_ratio))))
            .with_resource(Resource::builder().with_service_name(NAME).build())
            .build();
        Ok(Self(provider))
    }

    /// What takes the spans.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_tracer(self.0.tracer(NAME))
    }

    /// Sends what is left.
    pub(crate) fn shut_down(&self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(error = chain(&error), "the last traces were not exported");
        }
    }
}
