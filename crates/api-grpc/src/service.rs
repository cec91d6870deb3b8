//! Everything composed: the services, and what every call passes before it reaches them.
//!
//! In this order: open paths, span, caller, rate, scope, deadline, room, size, number of messages and of users, turn, task.
//! Tenant and fields are checked in the handlers, in this order too: permission comes before anything else (AIP-211). Where it
//! is refused for what was read of its message, its tenant is checked before that.

use crate::caller::{CallerContext, Method};
use crate::failure::Failure;
use crate::gate::{Denied, Gate, Shown};
use crate::limits::{Limits, Party, RequestBody, expired};
use crate::metrics::{self, InFlight};
use crate::open::Open;
use crate::options::{Options, SetupError};
use crate::peek::{self, About};
use crate::services::{self, Services};
use crate::trace;
use countersign_api::v1::ErrorReason;
use countersign_application::{Application, DeniedCall};
use countersign_domain::ids::{CallerId, TenantId, UserRef};
use futures::FutureExt;
use http_body_util::Full;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{Body as HttpBody, Bytes};
use tonic::service::Routes;
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::Service;
use tracing::Instrument;

/// The whole contract as one service: a `tower::Service` for any HTTP/2 server. Cheap to clone; clones share their limits.
#[derive(Clone)]
pub struct GrpcService(Arc<Shared>);

/// What all calls share.
struct Shared {
    services: Services,
    /// What is served without a caller.
    open: Open,
    gate: Gate,
    limits: Limits,
    health: Health,
    app: Application,
}

/// Says over `grpc.health.v1` whether calls are welcome, for each service and for the whole. It begins with "not serving".
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    /// What was said last: saying it again would reach whoever watches as news.
    said: Arc<Mutex<Option<bool>>>,
}

impl Health {
    /// Calls are welcome, or not.
    pub async fn set_serving(&self, serving: bool) {
        let mut said = self.said.lock().await;
        if said.replace(serving) == Some(serving) {
            return;
        }
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in services::NAMES.into_iter().chain([""]) {
            self.reporter.set_service_status(name, status).await;
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
    let (reporter, health_server) = tonic_health::server::health_reporter();
    let health = Health { reporter, said: Arc::default() };
    // Nobody else has the reporter yet, so its lock is free and the future is ready at once.
    let _ = health.set_serving(false).now_or_never();
    let max_bytes = options.limits.max_request_bytes;
    let mut open = Routes::builder();
    open.add_service(health_server);
    if options.reflection {
        let builder = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(countersign_api::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let (v1, v1alpha) = (builder().build_v1(), builder().build_v1alpha());
        open.add_service(v1.map_err(SetupError::Reflection)?.max_decoding_message_size(max_bytes))
            .add_service(v1alpha.map_err(SetupError::Reflection)?.max_decoding_message_size(max_bytes));
    }
    Ok(GrpcService(Arc::new(Shared {
        services: Services::new(&app),
        open: Open::new(open.routes().prepare(), &options),
        limits: Limits::new(&options),
        gate: Gate::new(options.callers, options.tokens, options.reflection)?,
        health,
        app,
    })))
}

impl std::fmt::Debug for GrpcService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrpcService").field("gate", &self.0.gate).finish_non_exhaustive()
    }
}

impl GrpcService {
    /// The switch of the health service.
    pub fn health(&self) -> Health {
        self.0.health.clone()
    }

    /// Calls denied to their callers since the start: no or bad credentials, a scope or a tenant not granted (R42).
    pub fn denied(&self) -> u64 {
        self.0.limits.denied()
    }

    /// Calls that wait for their turn now (R66).
    pub fn waiting(&self) -> usize {
        self.0.limits.waiting()
    }
}

/// An answer that is under way.
type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl Shared {
    fn handle(self: Arc<Self>, request: Request<Body>) -> Answer {
        let request = self.limits.watched(request);
        if self.gate.is_open(request.uri().path()) {
            let place = self.open.place(&self.gate, &request);
            return Box::pin(async move {
                let answer = match place {
                    Ok(place) => self.open.answer(place, &self.limits, request).await,
                    Err(full) => Err(full),
                };
                Ok(answer.unwrap_or_else(Status::into_http))
            });
        }
        let trace_id = trace::trace_id(request.headers());
        let span = trace::span(request.uri().path(), request.headers(), &trace_id);
        let method = self.gate.method(request.uri().path()).cloned();
        let call = async move {
            let _in_flight = InFlight::begin();
            // The runtime's clock: it measures and ends calls, and decides nothing else.
            let start = Instant::now();
            let response =
                self.guarded(method.as_ref(), request, trace_id).await.unwrap_or_else(Status::into_http);
            let latency = start.elapsed();
            let code = trace::finished(&response, latency);
            metrics::finished(method.as_deref(), code, latency);
            Ok(response)
        };
        Box::pin(call.instrument(span))
    }

    async fn guarded(
        self: Arc<Self>,
        method: Option<&Arc<Method>>,
        request: Request<RequestBody>,
        trace_id: String,
    ) -> Result<Response<Body>, Status> {
        let caller = match self.gate.authenticate(Shown::of(&request)).await {
            Ok(caller) => caller,
            Err(denied) => {
                let is_told = denied.caller.is_some() || self.limits.tells_of_nameless();
                if is_told {
                    denied.tell();
                }
                let status = Box::pin(self.refuse(denied, method, request, trace_id)).await;
                return if is_told { Err(status) } else { Ok(trace::untold(status)) };
            }
        };
        tracing::Span::current().record("caller", caller.id.as_str());
        // Before its scope is looked at: what is denied takes time too.
        self.limits.at_rate(&caller.id)?;
        let caller = match Gate::authorize(caller, method, trace_id.clone()) {
            Ok(caller) => caller,
            Err(denied) => return Err(Box::pin(self.refuse(denied, method, request, trace_id)).await),
        };
        let (id, findings) = (caller.id.clone(), Arc::clone(&caller.findings));
        let response = self.within_limits(caller, request).await;
        if let (Some((tenant, reason)), Some(method)) = (findings.denied(), method) {
            self.limits.count_denied(Some(reason));
            self.note(tenant, id, reason, method, trace_id);
        }
        response
    }

    /// What the call is bounded by, and the call. No `async fn`: that would hold the request twice.
    fn within_limits(
        self: &Arc<Self>,
        caller: CallerContext,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Body>, Status>> + use<> {
        let shared = Arc::clone(self);
        // A stream goes on for as long as the caller listens; only its beginning is bounded.
        let deadline = if caller.method.is_streaming {
            self.limits.max_deadline
        } else {
            self.limits.deadline(request.headers())
        };
        let call = async move {
            let Self { limits, app, .. } = &*shared;
            let permit = limits.enter(&caller.method.path, &caller.id)?;
            let (mut parts, body) = request.into_parts();
            let body = limits.whole(&caller.method.path, body, || limits.unfinished(&caller.id)).await?;
            let (message, is_whole) = peek::message(&body);
            let read =
                if is_whole { services::bound(&caller.method.path, message) } else { Err(malformed()) };
            if let Err(refused) = read {
                // As the handler would: who may not speak for the tenant is told that, and the tenant is told of it (R42).
                if let Some(about) = peek::about(app, &caller.method, message) {
                    caller.require_tenant(&about.tenant)?;
                }
                return Err(refused.into_status());
            }
            let permit = limits.turn(permit, &caller.method.path, behind(app, &caller, message)).await?;
            parts.extensions.insert(caller);
            let request = Request::from_parts(parts, Body::new(Full::new(body)));
            let shared = Arc::clone(&shared);
            let response = permit.run(async move { shared.services.call(request).await }).await?;
            Ok(with_reason(response))
        };
        timeout(deadline, call).map(|answer| answer.unwrap_or_else(|_| Err(expired().into_status())))
    }

    /// Tells a caller that it is not let in. Where its name is known, the request is read only to learn whom to tell:
    /// what it says decides nothing, and the answer is the same whether or not there is such a tenant.
    async fn refuse(
        &self,
        denied: Denied,
        method: Option<&Arc<Method>>,
        request: Request<RequestBody>,
        trace_id: String,
    ) -> Status {
        let Denied { status, reason, caller, .. } = denied;
        self.limits.count_denied(reason);
        if let (Some(caller), Some(reason), Some(method)) = (caller, reason, method)
            && let Some(body) = self.limits.whole_of_denied(&caller, &method.path, request.into_body()).await
            && let Some(about) = peek::about(&self.app, method, peek::message(&body).0)
        {
            tracing::Span::current().record("tenant_id", about.tenant.as_str());
            self.note(about.tenant, caller, reason, method, trace_id);
        }
        status
    }

    fn note(
        &self,
        tenant: TenantId,
        caller: CallerId,
        reason: ErrorReason,
        method: &Method,
        trace_id: String,
    ) {
        let reason = countersign_api::error_reason_name(reason);
        self.app.note_denial(DeniedCall {
            is_configured: self.gate.knows(&caller),
            tenant,
            caller,
            reason,
            method: method.path.to_string(),
            trace_id,
        });
    }
}

/// Whose turn a call takes: its tenant's, so that tenants do not wait for each other; its caller's where the tenant is
/// not known, or not the caller's to speak for. And the user of the tenant whom it is about, where it is about one.
fn behind(app: &Application, caller: &CallerContext, message: &[u8]) -> (Party, Option<UserRef>) {
    let about = peek::about(app, &caller.method, message);
    match about.filter(|about| caller.grants.holds_for(&caller.method.scope, &about.tenant)) {
        Some(About { tenant, user }) => {
            // Not every call comes to its handler.
            caller.asks_for(&tenant);
            let user = user.map(|user| UserRef { tenant: tenant.clone(), user });
            (Party::Tenant(tenant), user)
        }
        None => (Party::Caller(caller.id.clone()), None),
    }
}

/// The answer to bytes that are not one message, or none of the method.
fn malformed() -> Failure {
    Failure::new(ErrorReason::RequestMalformed, "the bytes are not one message of this method")
}

/// An answer as it is, unless it is an error without a reason. Ours all have one; these are the framework's, which could
/// not read the message. It calls that an internal error, but it is the caller's.
fn with_reason(response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    if !headers.contains_key(Status::GRPC_STATUS) || headers.contains_key(Status::GRPC_STATUS_DETAILS) {
        return response;
    }
    match Status::from_header_map(headers).map(|status| status.code()) {
        Some(Code::Internal | Code::Unimplemented) => malformed().into_status().into_http(),
        _ => response,
    }
}

impl<B> Service<Request<B>> for GrpcService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Arc::clone(&self.0).handle(request.map(Body::new))
    }
}
