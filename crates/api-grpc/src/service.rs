//! Everything composed: the services, and what every call passes before it reaches them.

use crate::options::{Options, SetupError};
use countersign_application::Application;
use futures::FutureExt;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::codegen::{Body as HttpBody, Bytes, http};
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::Service;

/// The names of the services that are offered, for health.
const SERVICES: [&str; 2] = ["countersign.v1.LoginService", "countersign.v1.AccountService"];

/// The whole contract as one service. Cheap to clone; clones share their limits.
///
/// It is a `tower::Service` for any HTTP/2 server; [`GrpcService::into_routes`] makes it what tonic's own server takes.
#[derive(Clone, Debug)]
pub struct GrpcService {
    routes: Routes,
    health: Health,
}

/// Says over `grpc.health.v1` whether calls are welcome, for each service and for the whole. It begins with "not serving".
#[derive(Clone, Debug)]
pub struct Health(HealthReporter);

impl Health {
    /// Calls are welcome, or not.
    pub async fn set_serving(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in SERVICES.into_iter().chain([""]) {
            self.0.set_service_status(name, status).await;
        }
    }
}

impl GrpcService {
    /// The switch of the health service.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// The same as routes, for `tonic::transport::Server::builder().add_routes(…)`.
    pub fn into_routes(self) -> Routes {
        Routes::default().into_axum_router().fallback_service(self).into()
    }
}

/// Composes the services with what every call passes before them.
///
/// # Errors
/// [`SetupError`] where an option or the contract itself could not work: better no server than a wrong one.
pub fn service(_app: Application, options: Options) -> Result<GrpcService, SetupError> {
    options.check()?;
    let (reporter, health_server) = tonic_health::server::health_reporter();
    let health = Health(reporter);
    // Nobody else has the reporter yet, so its lock is free and the future is ready at once.
    let _ = health.set_serving(false).now_or_never();
    Ok(GrpcService { routes: Routes::new(health_server), health })
}

impl<B> Service<http::Request<B>> for GrpcService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let mut routes = self.routes.clone();
        Box::pin(async move { routes.call(request.map(Body::new)).await })
    }
}
