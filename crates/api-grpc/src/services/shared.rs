//! What several services have in common: how reading use cases end, calls about a tenant as a whole, who acts where
//! nobody is named, and what page tokens are bound to.

use crate::caller::CallerContext;
use crate::convert::fields::{Fields, Parsed};
use crate::convert::parties;
use crate::status::{self, Site};
use countersign_api::v1;
use countersign_application::{AppError, Meta, Request};
use countersign_domain::actor::{Actor, Principal};
use countersign_domain::denial::Denial;
use countersign_domain::ids::TenantId;
use prost::Message;
use std::time::Duration;
use tonic::{Response, Status};

/// How far ahead of the server's clock a caller's may be.
pub(super) const CLOCK_LEEWAY: Duration = Duration::from_mins(1);

/// What a method answers.
pub(super) type Reply<T> = Result<Response<T>, Status>;

/// The answer of a use case that denies nobody.
pub(super) fn done<T>(outcome: Result<T, AppError>, caller: &CallerContext) -> Result<T, Status> {
    outcome.map_err(|error| status::app_error(&error, caller).into_status())
}

/// What a reading use case found.
pub(super) fn read<T>(
    outcome: Result<Result<T, Denial>, AppError>,
    caller: &CallerContext,
    site: Site,
) -> Result<T, Status> {
    done(outcome, caller)?.map_err(|denial| status::denial(&denial, site).into_status())
}

/// The tenant that is meant, which must have been granted to the caller before anything else is looked at.
pub(super) fn tenant(
    fields: &mut Fields,
    caller: &CallerContext,
    tenant_id: &str,
) -> Result<Parsed<TenantId>, Status> {
    let tenant = fields.required("tenant_id", tenant_id, TenantId::parse);
    if let Ok(tenant) = &tenant {
        caller.require_tenant(tenant)?;
    }
    Ok(tenant)
}

/// Who acts. Absent: the calling workload itself.
pub(super) fn actor(fields: &mut Fields, caller: &CallerContext, actor: Option<v1::Actor>) -> Parsed<Actor> {
    match actor {
        Some(actor) => parties::actor(fields, "actor", Some(actor)),
        None => Ok(Principal::job_of(&caller.id).into()),
    }
}

/// Who calls, for a use case that is not on the road of one user's change.
pub(super) fn meta(caller: &CallerContext, request: Option<impl Into<Request>>) -> Meta {
    Meta { caller: caller.id.clone(), request: request.map(Into::into), trace_id: caller.trace_id.clone() }
}

/// What the token of a page is bound to: the method and a request without what differs from page to page.
pub(super) fn list_arguments(caller: &CallerContext, request: &impl Message) -> Vec<u8> {
    let mut arguments = caller.method.path.as_bytes().to_vec();
    arguments.push(0);
    arguments.extend(request.encode_to_vec());
    arguments
}

/// An actor as far as it decides what is in a list: who it is.
pub(super) fn only_principal(actor: Option<v1::Actor>) -> Option<v1::Actor> {
    actor.map(|actor| v1::Actor { principal: actor.principal, ..Default::default() })
}

/// How many rows the ports are asked for: of a page, one more than it shows, to see whether there is a next one.
pub(super) fn limit(rows: usize) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}

/// A text of people, of `min` to 500 characters without control characters.
pub(super) fn words(fields: &mut Fields, field: &str, text: String, min: usize) -> Parsed<String> {
    let problem = if min == 0 {
        "must be at most 500 characters without control characters"
    } else {
        "must be 1 to 500 characters without control characters"
    };
    if text.trim().len() < min {
        return fields.refuse(field, problem);
    }
    fields.text(field, text, 500, problem, |c| !c.is_control())
}
