//! The services of the contract, a file each: parse, one call of a use case, encode.
//!
//! # To add a service
//! 1. A file here with a struct over [`Application`](countersign_application::Application) that implements the
//!    generated trait; its name goes into [`NAMES`].
//! 2. One `add_service` in `service`.
//!
//! # To add an RPC
//! The trait method in its service's file: [`caller()`] first, then [`subject()`] with the tenant check, then every
//! field, [`Fields::finish`], and only then the use case. Its scope comes from the contract by itself.

mod account;
mod directory;
mod event;
mod login;
mod policy;
mod shared;
mod team;

pub(crate) use account::AccountHandlers;
pub(crate) use directory::DirectoryHandlers;
pub(crate) use event::EventHandlers;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use event::FuzzedPlace;
pub(crate) use login::LoginHandlers;
pub(crate) use policy::PolicyHandlers;
pub(crate) use team::TeamHandlers;

use crate::caller::CallerContext;
use crate::convert::fields::{Fields, Parsed};
use crate::status::internal;
use countersign_domain::ids::{TenantId, UserId, UserRef};
use tonic::{Request, Status};

/// The services that are offered, as health names them.
pub(crate) const NAMES: [&str; 6] = [
    "countersign.v1.LoginService",
    "countersign.v1.AccountService",
    "countersign.v1.TeamService",
    "countersign.v1.DirectoryService",
    "countersign.v1.PolicyService",
    "countersign.v1.EventService",
];

/// The caller that the gate let in, and what it asks.
fn caller<T>(request: Request<T>) -> Result<(CallerContext, T), Status> {
    let (_, mut extensions, message) = request.into_parts();
    let caller = extensions.remove::<CallerContext>().ok_or_else(|| {
        // The gate puts it there; a service composed without the gate must not answer.
        tracing::error!(alarm = true, "a call came past the gate");
        internal(&crate::caller::incident()).into_status()
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
    let tenant = fields.required("tenant_id", tenant_id, TenantId::parse);
    if let Ok(tenant) = &tenant {
        caller.require_tenant(tenant)?;
    }
    let user = fields.required("user_id", user_id, UserId::parse);
    Ok(match (tenant, user) {
        (Ok(tenant), Ok(user)) => Ok(UserRef { tenant, user }),
        (Err(invalid), _) | (_, Err(invalid)) => Err(invalid),
    })
}
