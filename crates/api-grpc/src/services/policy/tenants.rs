//! Tenants: creating one from a preset, listing them, reading the policy in force.

use crate::caller::CallerContext;
use crate::convert::fields::{Fields, Parsed};
use crate::convert::policy::{policy, revision};
use crate::convert::time::timestamp;
use crate::page::List;
use crate::reply::retry;
use crate::services::caller;
use crate::services::shared::{Reply, actor, done, list_arguments, meta, tenant};
use crate::status;
use countersign_api::v1::{
    CreateTenantRequest, CreateTenantResponse, GetPolicyRequest, GetPolicyResponse, ListTenantsRequest,
    ListTenantsResponse, Tenant,
};
use countersign_application::{AppError, Application, TenantRecord};
use countersign_domain::denial::Denial;
use countersign_domain::ids::{PolicyRevision, TenantId};
use countersign_domain::policy::{PolicyDocument, Preset, RequirementMode};
use countersign_domain::text::Issuer;
use countersign_domain::time::Timestamp;
use tonic::{Request, Response, Status};

/// The longest id of a preset that is looked up.
const MAX_PRESET: usize = 64;
/// Tenants that are looked at together; most callers may see all or very few of them.
const CHUNK: u32 = 200;

/// Creates a tenant with the policy of a preset.
pub(super) async fn create(
    app: &Application,
    request: Request<CreateTenantRequest>,
) -> Reply<CreateTenantResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let tenant = tenant(&mut fields, &caller, &message.tenant_id)?;
    let retry = retry(&mut fields, &caller, &message, &message.request_id);
    let id = message.preset.as_str();
    let named = if id.len() <= MAX_PRESET { Ok(()) } else { Err("must be the id of a preset") };
    let preset = fields.required("preset", id, |id| named.map(|()| Preset::from_id(id)));
    let required_from = message.required_from_time;
    let required_from = required_from.map(|time| fields.timestamp("required_from_time", time)).transpose();
    let actor = actor(&mut fields, &caller, message.actor);
    let issuer = tenant.and_then(|tenant| {
        let issuer = Issuer::parse(tenant.as_str());
        Ok((fields.take("tenant_id", issuer)?, tenant))
    });
    let starts = start(&mut fields, preset, issuer, required_from);
    fields.finish()?;

    let (actor, meta) = (actor?, meta(&caller, retry?));
    let Some((tenant, preset, document)) = starts? else {
        let missing = Denial::ResourceNotFound { what: "preset" };
        return Err(status::denial(&missing, status::Site::OWN).into_status());
    };
    // Nothing that a request says of it can make it invalid: no field of the request would be the one to mend.
    let first = document.validated().map_err(|_| status::app_error(&AppError::PolicyCorrupt, &caller))?;
    let record = done(app.create_tenant(&meta, &actor, tenant, preset, &first).await, &caller)?;
    let tenant = Some(tenant_of(&record, record.create_time));
    Ok(Response::new(CreateTenantResponse { tenant, policy: Some(policy(&record)) }))
}

/// A new tenant, with the preset it starts from and its policy.
type Start = (TenantId, Preset, PolicyDocument);

/// What a tenant starts with; `None` where there is no such preset.
fn start(
    fields: &mut Fields,
    preset: Parsed<Option<Preset>>,
    tenant: Parsed<(Issuer, TenantId)>,
    required_from: Parsed<Option<Timestamp>>,
) -> Parsed<Option<Start>> {
    let ((issuer, tenant), preset, required_from) = (tenant?, preset?, required_from?);
    let Some(preset) = preset else { return Ok(None) };
    let mut document = preset.document(issuer);
    if required_from.is_some() && document.requirement.mode == RequirementMode::Optional {
        return fields.refuse("required_from_time", "is only for a preset that requires a second factor");
    }
    document.requirement.required_from = required_from;
    Ok(Some((tenant, preset, document)))
}

fn tenant_of(record: &TenantRecord, create_time: Timestamp) -> Tenant {
    Tenant {
        tenant_id: record.tenant.as_str().to_owned(),
        preset: record.preset.clone(),
        create_time: Some(timestamp(create_time)),
        policy_revision: revision(record.revision),
    }
}

/// Lists the tenants that the caller was granted, by id.
pub(super) async fn list(
    app: &Application,
    request: Request<ListTenantsRequest>,
) -> Reply<ListTenantsResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let size = fields.page_size(message.page_size);
    fields.finish()?;

    let size = size?;
    let arguments = list_arguments(&caller, &ListTenantsRequest::default());
    let list = List { keys: &app.digests().tokens, arguments: &[&arguments] };
    let after = list.after(&message.page_token, tenant_at)?;
    // One more than asked for says whether there is another page.
    let mut records = granted(app, &caller, after, size + 1).await?;
    let next_page_token = list.cut(&mut records, size, |end| end.tenant.as_str().into());
    let mut tenants = Vec::with_capacity(records.len());
    for record in &records {
        let create_time = done(created(app, record).await, &caller)?;
        tenants.push(tenant_of(record, create_time));
    }
    Ok(Response::new(ListTenantsResponse { tenants, next_page_token }))
}

fn tenant_at(position: &[u8]) -> Option<TenantId> {
    TenantId::parse(std::str::from_utf8(position).ok()?).ok()
}

/// The first `wanted` tenants after one that the caller was granted.
async fn granted(
    app: &Application,
    caller: &CallerContext,
    mut after: Option<TenantId>,
    wanted: usize,
) -> Result<Vec<TenantRecord>, Status> {
    let mut granted = Vec::new();
    loop {
        let chunk = done(app.tenants(after.as_ref(), CHUNK).await, caller)?;
        after = chunk.last().map(|record| record.tenant.clone());
        let is_last = chunk.len() < CHUNK as usize;
        let mine = |record: &TenantRecord| caller.grants.holds_for(&caller.method.scope, &record.tenant);
        granted.extend(chunk.into_iter().filter(mine));
        if is_last || granted.len() >= wanted {
            granted.truncate(wanted);
            return Ok(granted);
        }
    }
}

/// When the tenant was created: with the first revision of its policy.
async fn created(app: &Application, current: &TenantRecord) -> Result<Timestamp, AppError> {
    let first = PolicyRevision(1);
    if current.revision == first {
        return Ok(current.create_time);
    }
    Ok(app.policy(&current.tenant, Some(first)).await?.create_time)
}

/// Reads the policy in force.
pub(super) async fn get_policy(
    app: &Application,
    request: Request<GetPolicyRequest>,
) -> Reply<GetPolicyResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let tenant = tenant(&mut fields, &caller, &message.tenant_id)?;
    fields.finish()?;
    let record = done(app.policy(&tenant?, None).await, &caller)?;
    Ok(Response::new(GetPolicyResponse { policy: Some(policy(&record)) }))
}
