//! Deleting a tenant.

use super::repeated;
use super::tenants::contended;
use crate::caller::CallerContext;
use crate::convert::fields::Fields;
use crate::convert::policy::etag;
use crate::reply::{Retry, retry};
use crate::services::caller;
use crate::services::shared::{Reply, actor, done, meta, tenant};
use crate::status;
use countersign_api::v1::{DeleteTenantRequest, DeleteTenantResponse};
use countersign_application::{AppError, Application};
use countersign_domain::ids::PolicyRevision;
use tonic::{Request, Response, Status};

/// Rounds before a deletion without an etag gives up on a policy that others keep changing.
const MAX_ROUNDS: usize = 8;

/// Deletes a tenant. Asked again by the same request, it answers as it did.
pub(super) async fn delete(
    app: &Application,
    request: Request<DeleteTenantRequest>,
) -> Reply<DeleteTenantResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let tenant = tenant(&mut fields, &caller, &message.tenant_id)?;
    let retry = retry(&mut fields, &caller, &message, &message.request_id);
    let actor = actor(&mut fields, &caller, message.actor);
    fields.finish()?;

    let (tenant, actor, retry) = (tenant?, actor?, retry?);
    let request_id = retry.as_ref().map(Retry::id);
    let wanted = |revision: PolicyRevision| message.etag.is_empty() || message.etag == etag(revision);
    for _ in 0..MAX_ROUNDS {
        let earlier = done(repeated::deletion(app, &caller, &tenant, request_id).await, &caller)?;
        if let Some(revision) = earlier {
            let same = wanted(revision).then(|| Response::new(DeleteTenantResponse {}));
            return same.ok_or_else(|| refused(&AppError::RequestIdReused, &caller));
        }
        let current = done(app.policy(&tenant, None).await, &caller)?;
        if !wanted(current.revision) {
            return Err(refused(&AppError::EtagMismatch, &caller));
        }
        let call = meta(&caller, retry.clone());
        match app.delete_tenant(call, &actor, &current).await {
            // Another revision came first: who looked at the old one must look again, who did not is overtaken.
            Err(AppError::EtagMismatch) => {}
            outcome => {
                done(outcome, &caller)?;
                return Ok(Response::new(DeleteTenantResponse {}));
            }
        }
    }
    Err(contended().into_status())
}

fn refused(error: &AppError, caller: &CallerContext) -> Status {
    status::app_error(error, caller).into_status()
}
