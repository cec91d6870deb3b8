//! Changing a policy, as a whole or in part, with a look at what it means first.

use super::tenants::contended;
use super::{repeated, warnings};
use crate::caller::CallerContext;
use crate::convert::fields::{Fields, Parsed};
use crate::convert::parties;
use crate::convert::policy::{document, etag, invalid, policy, policy_of, take_over};
use crate::options::WEAKEN_SCOPE;
use crate::reply::{Retry, retry};
use crate::services::caller;
use crate::services::shared::{Reply, done, meta, tenant};
use crate::status;
use countersign_api::v1::{Policy, PolicyImpact, UpdatePolicyRequest, UpdatePolicyResponse};
use countersign_application::{AppError, Application, PolicyUpdate, TenantRecord};
use countersign_domain::actor::Actor;
use countersign_domain::ids::TenantId;
use countersign_domain::policy::PolicyDocument;
use prost_types::FieldMask;
use tonic::{Request, Response, Status};

/// Rounds before a change without an etag gives up on a policy that others keep changing.
const MAX_ROUNDS: usize = 8;

/// A change as it was asked for.
struct Asked {
    tenant: TenantId,
    given: Policy,
    mask: Option<FieldMask>,
    actor: Actor,
    retry: Option<Retry>,
}

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

    let asked =
        Asked { tenant: tenant?, given: given?, mask: message.update_mask, actor: actor?, retry: retry? };
    if message.validate_only {
        let current = done(app.policy(&asked.tenant, None).await, &caller)?;
        let update = preview(app, &caller, &asked, &current).await?;
        // The etag stays the present one, so that the change itself can be asked for with this answer.
        let shown = Policy { etag: etag(current.revision), ..policy(&update.record) };
        return Ok(respond(&update, &current, shown));
    }
    for _ in 0..MAX_ROUNDS {
        if let Some(repeated) = repeat(app, &caller, &asked).await? {
            return Ok(repeated);
        }
        let current = done(app.policy(&asked.tenant, None).await, &caller)?;
        let update = preview(app, &caller, &asked, &current).await?;
        let call = meta(&caller, asked.retry.clone());
        match app.update_policy(call, &asked.actor, &update).await {
            // Another revision came first: who looked at the old one must look again, who did not is overtaken.
            Err(AppError::EtagMismatch) => {}
            outcome => {
                done(outcome, &caller)?;
                return Ok(respond(&update, &current, policy(&update.record)));
            }
        }
    }
    Err(contended().into_status())
}

/// Checks the change against the policy in force, and looks at what it would do.
async fn preview(
    app: &Application,
    caller: &CallerContext,
    asked: &Asked,
    current: &TenantRecord,
) -> Result<PolicyUpdate, Status> {
    if !asked.given.etag.is_empty() && asked.given.etag != etag(current.revision) {
        return Err(status::app_error(&AppError::EtagMismatch, caller).into_status());
    }
    let document = changed(asked, current)?;
    let may_weaken = caller.grants.holds_for(WEAKEN_SCOPE, &asked.tenant);
    let mut update = done(app.preview_policy(current, document, may_weaken).await, caller)?;
    if update.changes.is_empty() {
        // A change of nothing makes no new revision.
        update.record = current.clone();
    }
    Ok(update)
}

/// The policy with what was asked for in it.
fn changed(asked: &Asked, current: &TenantRecord) -> Result<PolicyDocument, Status> {
    let mut fields = Fields::default();
    let merged = take_over(&mut fields, policy_of(&current.document), &asked.given, asked.mask.as_ref());
    let document = merged.and_then(|merged| document(&mut fields, "policy", &merged));
    fields.finish()?;
    let document = document?;
    // Validated once more by the use case; here the caller is told by the names of their own request.
    document.clone().validated().map_err(|violations| invalid("policy", &violations).into_status())?;
    Ok(document)
}

/// The answer to a request that made its change before.
async fn repeat(
    app: &Application,
    caller: &CallerContext,
    asked: &Asked,
) -> Result<Option<Response<UpdatePolicyResponse>>, Status> {
    let made = repeated::update(app, caller, &asked.tenant, asked.retry.as_ref().map(Retry::id)).await;
    let Some(made) = done(made, caller)? else { return Ok(None) };
    let before = app.policy(&asked.tenant, Some(repeated::before(made.revision))).await;
    let before = done(before, caller)?;
    // The same arguments make the same change of the same policy; only a change that was allowed was made.
    let same = changed(asked, &before).is_ok_and(|document| document == made.document);
    if !same {
        return Err(status::app_error(&AppError::RequestIdReused, caller).into_status());
    }
    let update = done(app.preview_policy(&before, made.document.clone(), true).await, caller)?;
    Ok(Some(respond(&update, &before, policy(&made))))
}

fn respond(update: &PolicyUpdate, old: &TenantRecord, policy: Policy) -> Response<UpdatePolicyResponse> {
    let count = |count: u64| i32::try_from(count).unwrap_or(i32::MAX);
    let impact = PolicyImpact {
        users_count: count(update.impact.users),
        stopped_count: count(update.impact.newly_stopped),
        lose_only_authenticator_count: count(update.impact.losing_all),
        warnings: warnings::of(&old.document, &update.record.document),
    };
    Response::new(UpdatePolicyResponse { policy: Some(policy), impact: Some(impact) })
}
