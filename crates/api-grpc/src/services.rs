//! The services of the contract, a file each: parse, one call of a use case, encode.
//!
//! # To add a service
//! 1. A file here with a struct over [`Application`](countersign_application::Application) that implements the
//!    generated trait; its name goes into [`NAMES`].
//! 2. A field of [`Services`].
//!
//! # To add an RPC
//! The trait method in its service's file: [`caller()`] first, then [`subject()`] with the tenant check, then every
//! field, [`Fields::finish`], and only then the use case. What changes something takes its
//! [`retry`](crate::reply::retry) off the message before any other field does. Its scope comes from the contract by itself.

mod account;
mod directory;
mod event;
mod login;
mod policy;
mod shared;
mod team;

use account::AccountHandlers;
use directory::DirectoryHandlers;
pub(crate) use directory::bound;
use event::EventHandlers;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use event::{FuzzedLog, FuzzedPlace};
use login::LoginHandlers;
use policy::PolicyHandlers;
use team::TeamHandlers;

use crate::caller::CallerContext;
use crate::convert::fields::{Fields, Parsed};
use crate::status::internal;
use countersign_api::v1::account_service_server::{self, AccountServiceServer};
use countersign_api::v1::directory_service_server::{self, DirectoryServiceServer};
use countersign_api::v1::event_service_server::{self, EventServiceServer};
use countersign_api::v1::login_service_server::{self, LoginServiceServer};
use countersign_api::v1::policy_service_server::{self, PolicyServiceServer};
use countersign_api::v1::team_service_server::{self, TeamServiceServer};
use countersign_application::Application;
use countersign_domain::ids::{UserId, UserRef};
use std::convert::Infallible;
use tonic::body::Body;
use tonic::codegen::http::{Request as HttpRequest, Response as HttpResponse};
use tonic::{Request, Status};
use tower::Service;

/// The services that are offered, as health names them.
pub(crate) const NAMES: [&str; 6] = [
    login_service_server::SERVICE_NAME,
    account_service_server::SERVICE_NAME,
    team_service_server::SERVICE_NAME,
    directory_service_server::SERVICE_NAME,
    policy_service_server::SERVICE_NAME,
    event_service_server::SERVICE_NAME,
];

/// Each of them. One match and no router: a login pays for what it uses.
pub(crate) struct Services {
    login: LoginServiceServer<LoginHandlers>,
    account: AccountServiceServer<AccountHandlers>,
    team: TeamServiceServer<TeamHandlers>,
    directory: DirectoryServiceServer<DirectoryHandlers>,
    policy: PolicyServiceServer<PolicyHandlers>,
    event: EventServiceServer<EventHandlers>,
}

impl Services {
    /// All over the same use cases.
    pub(crate) fn new(app: &Application) -> Self {
        Self {
            login: LoginServiceServer::new(LoginHandlers::new(app.clone())),
            account: AccountServiceServer::new(AccountHandlers::new(app.clone())),
            team: TeamServiceServer::new(TeamHandlers::new(app.clone())),
            directory: DirectoryServiceServer::new(DirectoryHandlers::new(app.clone())),
            policy: PolicyServiceServer::new(PolicyHandlers::new(app.clone())),
            event: EventServiceServer::new(EventHandlers::new(app.clone())),
        }
    }

    /// Hands a request to the service that its path names.
    pub(crate) async fn call(&self, request: HttpRequest<Body>) -> HttpResponse<Body> {
        // `/package.Service/Method`.
        answered(match request.uri().path().split('/').nth(1).unwrap_or_default() {
            login_service_server::SERVICE_NAME => self.login.clone().call(request).await,
            account_service_server::SERVICE_NAME => self.account.clone().call(request).await,
            team_service_server::SERVICE_NAME => self.team.clone().call(request).await,
            directory_service_server::SERVICE_NAME => self.directory.clone().call(request).await,
            policy_service_server::SERVICE_NAME => self.policy.clone().call(request).await,
            event_service_server::SERVICE_NAME => self.event.clone().call(request).await,
            // The gate knows the paths of the contract only.
            _ => Ok(Status::unimplemented("no such service").into_http()),
        })
    }
}

/// The caller that the gate let in, and what it asks.
fn caller<T>(request: Request<T>) -> Result<(CallerContext, T), Status> {
    let (_, mut extensions, message) = request.into_parts();
    let caller = extensions.remove::<CallerContext>().ok_or_else(|| {
        // The gate puts it there; a service composed without the gate must not answer.
        tracing::error!(alarm = true, "a call came past the gate");
        internal(&crate::failure::incident()).into_status()
    })?;
    Ok((caller, message))
}

/// The user who is meant, whose tenant must have been granted to the caller before anything else is looked at.
fn subject(
    fields: &mut Fields,
    caller: &CallerContext,
    tenant_id: &str,
    user_id: &str,
) -> Result<Parsed<UserRef>, Status> {
    let tenant = shared::tenant(fields, caller, tenant_id)?;
    let user = fields.required("user_id", user_id, UserId::parse);
    Ok(match (tenant, user) {
        (Ok(tenant), Ok(user)) => Ok(UserRef { tenant, user }),
        (Err(invalid), _) | (_, Err(invalid)) => Err(invalid),
    })
}

/// The answer of a service, which always gives one.
pub(crate) fn answered(answer: Result<HttpResponse<Body>, Infallible>) -> HttpResponse<Body> {
    answer.unwrap_or_else(|never| match never {})
}
