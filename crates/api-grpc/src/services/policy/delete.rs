//! Deleting a tenant.

use crate::convert::fields::Fields;
use crate::convert::policy::etag;
use crate::reply::retry;
use crate::services::caller;
use crate::services::shared::{Reply, actor, done, meta, tenant};
use countersign_api::v1::{DeleteTenantRequest, DeleteTenantResponse};
use countersign_application::Application;
use countersign_domain::ids::PolicyRevision;
use tonic::{Request, Response};

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

    let (tenant, actor, meta) = (tenant?, actor?, meta(&caller, retry?));
    let wanted = |revision: PolicyRevision| message.etag.is_empty() || message.etag == etag(revision);
    done(app.delete_tenant(&meta, &actor, &tenant, wanted).await, &caller)?;
    Ok(Response::new(DeleteTenantResponse {}))
}
