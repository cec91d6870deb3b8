//! Everything composed: the services, and what every call passes before it reaches them.
//!
//! In this order: span, open paths, caller and scope, a place among the calls worked on, deadline, size, task. Tenant
//! and fields are checked in the handlers, in this order too: permission comes before anything else (AIP-211).

use crate::gate::Gate;
use crate::limits::{Limits, expired};
use crate::metrics::{self, InFlight};
use crate::options::{Options, SetupError};
use crate::services::{
    self, AccountHandlers, DirectoryHandlers, EventHandlers, LoginHandlers, PolicyHandlers, TeamHandlers,
};
use crate::trace;
use countersign_api::v1::account_service_server::AccountServiceServer;
use countersign_api::v1::directory_service_server::DirectoryServiceServer;
use countersign_api::v1::event_service_server::EventServiceServer;
use countersign_api::v1::login_service_server::LoginServiceServer;
use countersign_api::v1::policy_service_server::PolicyServiceServer;
use countersign_api::v1::team_service_server::TeamServiceServer;
use countersign_application::Application;
use futures::FutureExt;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::{Instant, timeout};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{Body as HttpBody, Bytes};
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::Service;
use tracing::Instrument;

/// The whole contract as one service. Cheap to clone; clones share their limits.
///
/// It is a `tower::Service` for any HTTP/2 server; [`GrpcService::into_routes`] makes it what tonic's own server takes.
#[derive(Clone, Debug)]
pub struct GrpcService {
    routes: Routes,
    gate: Arc<Gate>,
    limits: Arc<Limits>,
    health: Health,
}

/// Says over `grpc.health.v1` whether calls are welcome, for each service and for the whole. It begins with "not serving".
#[derive(Clone, Debug)]
pub struct Health(HealthReporter);

impl Health {
    /// Calls are welcome, or not.
    pub async fn set_serving(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in services::NAMES.into_iter().chain([""]) {
            self.0.set_service_status(name, status).await;
        }
        metrics::ready(serving);
    }
}

/// Composes the services with what every call passes before them.
///
/// # Errors
/// [`SetupError`] where an option or the contract itself could not work: better no server than a wrong one.
pub fn service(app: Application, options: Options) -> Result<GrpcService, SetupError> {
    options.check()?;
    let Options { callers, max_request_bytes, max_in_flight, default_deadline, max_deadline, reflection } =
        options;
    let (reporter, health_server) = tonic_health::server::health_reporter();
    let health = Health(reporter);
    // Nobody else has the reporter yet, so its lock is free and the future is ready at once.
    let _ = health.set_serving(false).now_or_never();
    let mut routes = Routes::builder();
    routes
        .add_service(health_server)
        .add_service(LoginServiceServer::new(LoginHandlers::new(app.clone())))
        .add_service(AccountServiceServer::new(AccountHandlers::new(app.clone())))
        .add_service(TeamServiceServer::new(TeamHandlers::new(app.clone())))
        .add_service(DirectoryServiceServer::new(DirectoryHandlers::new(app.clone())))
        .add_service(PolicyServiceServer::new(PolicyHandlers::new(app.clone())))
        .add_service(EventServiceServer::new(EventHandlers::new(app)));
    if reflection {
        let builder = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(countersign_api::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        routes
            .add_service(builder().build_v1().map_err(SetupError::Reflection)?)
            .add_service(builder().build_v1alpha().map_err(SetupError::Reflection)?);
    }
    Ok(GrpcService {
        routes: routes.routes().prepare(),
        gate: Arc::new(Gate::new(callers, reflection)?),
        limits: Arc::new(Limits::new(max_request_bytes, max_in_flight, default_deadline, max_deadline)),
        health,
    })
}

impl GrpcService {
    /// The switch of the health service.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Panics of handlers caught since the start (R48).
    pub fn panics(&self) -> u64 {
        self.limits.panics()
    }

    /// The same as routes, for `tonic::transport::Server::builder().add_routes(…)`.
    pub fn into_routes(self) -> Routes {
        Routes::default().into_axum_router().fallback_service(self).into()
    }

    async fn handle(mut self, request: Request<Body>) -> Response<Body> {
        if self.gate.is_open(request.uri().path()) {
            return forward(&mut self.routes, request).await;
        }
        let trace_id = trace::trace_id(request.headers());
        let span = trace::span(request.uri().path(), request.headers(), &trace_id);
        let method = self.gate.method(request.uri().path()).cloned();
        let call = async move {
            let _in_flight = InFlight::begin();
            // The runtime's clock: it measures and ends calls, and decides nothing else.
            let start = Instant::now();
            let response = self.guarded(request, trace_id).await.unwrap_or_else(Status::into_http);
            let latency = start.elapsed();
            let code = trace::finished(&response, latency);
            metrics::finished(method.as_ref().map(|method| method.path.as_str()), code, latency);
            response
        };
        call.instrument(span).await
    }

    async fn guarded(self, request: Request<Body>, trace_id: String) -> Result<Response<Body>, Status> {
        let Self { mut routes, gate, limits, .. } = self;
        let caller = gate.admit(request.uri().path(), request.extensions(), trace_id)?;
        let place = limits.enter()?;
        let method = Arc::clone(&caller.method);
        // A stream goes on for as long as the caller listens; only its beginning is bounded.
        let deadline =
            if method.is_streaming { limits.max_deadline } else { limits.deadline(request.headers()) };
        let call = async {
            let mut request = limits.whole(&method.path, request).await?;
            request.extensions_mut().insert(caller);
            Ok(limits.run(place, async move { forward(&mut routes, request).await }).await?)
        };
        timeout(deadline, call).await.unwrap_or_else(|_| Err(expired().into_status()))
    }
}

/// Hands a request to the service that it names.
async fn forward(routes: &mut Routes, request: Request<Body>) -> Response<Body> {
    match routes.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

impl<B> Service<Request<B>> for GrpcService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let this = self.clone();
        let request = request.map(Body::new);
        Box::pin(async move { Ok(this.handle(request).await) })
    }
}
