//! What a service tells of itself while it runs: a collector that takes its traces, and a reader of its metrics.

use super::port::Port;
use super::within;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// Where a service under test sends its traces and serves its metrics.
pub(crate) struct Telemetry {
    collector: Collector,
    traces: SocketAddr,
    metrics: Port,
}

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().expect("nobody panicked").push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Telemetry {
    /// A collector that listens, and a port for metrics.
    pub(crate) async fn start() -> Self {
        let collector = Collector::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let traces = listener.local_addr().expect("an address");
        let service = TraceServiceServer::new(collector.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { collector, traces, metrics: Port::claim() }
    }

    /// The lines of the configuration for it.
    pub(crate) fn configuration(&self) -> String {
        let Self { traces, metrics, .. } = self;
        let metrics = metrics.number;
        format!("[metrics]\naddress = \"127.0.0.1:{metrics}\"\n[traces]\nendpoint = \"http://{traces}\"\n")
    }

    /// The page of metrics, as Prometheus reads it.
    pub(crate) async fn page(&self) -> String {
        let mut connection =
            within(TcpStream::connect(("127.0.0.1", self.metrics.number))).await.expect("metrics are served");
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        connection.write_all(request).await.expect("it reads");
        let mut page = String::new();
        within(connection.read_to_string(&mut page)).await.expect("it answers");
        page
    }

    /// All spans that arrived; complete once the service has ended.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let requests = self.collector.0.lock().expect("nobody panicked");
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }

    /// Everything that arrived, as text.
    pub(crate) fn exported(&self) -> String {
        format!("{:?}", self.collector.0.lock().expect("nobody panicked"))
    }
}
