//! Changing a policy, as a whole or in part, with a look at what it means first.

use super::warnings;
use crate::caller::CallerContext;
use crate::convert::fields::{Fields, Parsed};
use crate::convert::parties;
use crate::convert::policy::{document, etag, invalid, policy, policy_of, take_over};
use crate::failure::Failure;
use crate::options::WEAKEN_SCOPE;
use crate::reply::retry;
use crate::services::caller;
use crate::services::shared::{Reply, done, meta, tenant};
use crate::status;
use countersign_api::v1::{Policy, PolicyImpact, UpdatePolicyRequest, UpdatePolicyResponse};
use countersign_application::{AppError, Application, PolicyUpdate, TenantRecord, Weakening};
use prost_types::FieldMask;
use tonic::{Request, Response};

/// Changes a policy, or says what would happen.
pub(super) async fn update(
    app: &Application,
    request: Request<UpdatePolicyRequest>,
) -> Reply<UpdatePolicyResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let tenant = tenant(&mut fields, &caller, &message.tenant_id)?;
    let retry = retry(&mut fields, &caller, &message, &message.request_id);
    let given: Parsed<Policy> = match message.policy {
        Some(policy) => Ok(policy),
        None => fields.refuse("policy", "is required"),
    };
    let actor = parties::actor(&mut fields, "actor", message.actor);
    fields.finish()?;

    let (tenant, given, actor, retry) = (tenant?, given?, actor?, retry?);
    let may_weaken = caller.grants.holds_for(WEAKEN_SCOPE, &tenant);
    let weakening = if may_weaken { Weakening::Allowed } else { Weakening::Denied };
    let make = |current: &TenantRecord| changed(&caller, &given, message.update_mask.as_ref(), current);
    if message.validate_only {
        let update = done(app.preview_policy(&tenant, weakening, make).await, &caller)??;
        // The etag stays the present one, so that the change itself can be asked for with this answer.
        let shown = Policy { etag: etag(update.before().revision), ..policy(update.after()) };
        return Ok(respond(&update, shown));
    }
    let updated = app.update_policy(&meta(&caller, retry), &actor, &tenant, weakening, make).await;
    let update = done(updated, &caller)??;
    Ok(respond(&update, policy(update.after())))
}

/// The policy in force with what was asked for in it, if it is the one that the caller looked at. A failure and no status: it
/// may say no more than that this is another request.
fn changed(
    caller: &CallerContext,
    given: &Policy,
    mask: Option<&FieldMask>,
    current: &TenantRecord,
) -> Result<countersign_domain::policy::Policy, Failure> {
    if !given.etag.is_empty() && given.etag != etag(current.revision) {
        return Err(status::app_error(&AppError::EtagMismatch, caller));
    }
    let mut fields = Fields::default();
    let merged = take_over(&mut fields, policy_of(&current.document), given, mask);
    let document = merged.and_then(|merged| document(&mut fields, "policy", &merged));
    fields.checked()?;
    document?.validated().map_err(|violations| invalid("policy", &violations))
}

fn respond(update: &PolicyUpdate, policy: Policy) -> Response<UpdatePolicyResponse> {
    let count = |count: u64| i32::try_from(count).unwrap_or(i32::MAX);
    let impact = update.impact();
    let impact = PolicyImpact {
        users_count: count(impact.users),
        stopped_count: count(impact.newly_stopped),
        lose_only_authenticator_count: count(impact.losing_all),
        warnings: warnings::of(
            &update.before().document,
            &update.after().document,
            impact.delivers_text_messages,
        ),
    };
    Response::new(UpdatePolicyResponse { policy: Some(policy), impact: Some(impact) })
}
