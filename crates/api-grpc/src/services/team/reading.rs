//! Reading: statuses, counts, requests for a reset.

use crate::convert::fields::{Fields, Parsed};
use crate::convert::parties;
use crate::convert::team::{coverage, filter, member_status, reset_request};
use crate::page::List;
use crate::services::caller;
use crate::services::shared::{Reply, done, limit, list_arguments, only_principal, read, tenant};
use crate::status::Site;
use countersign_api::v1::{
    BatchGetStatusesRequest, BatchGetStatusesResponse, GetCoverageRequest, GetCoverageResponse,
    ListResetRequestsRequest, ListResetRequestsResponse, ListStatusesRequest, ListStatusesResponse,
};
use countersign_application::{Abilities, Application, MemberStatus};
use countersign_domain::ids::{ResetRequestId, TeamId, UserId};
use countersign_domain::time::Timestamp;
use countersign_domain::user::ResetRequest;
use tonic::{Request, Response};

/// Users that one call may name.
const MAX_USERS: usize = 100;

/// Who asks, is no proof of anything: nothing of it can be wrong but who it is.
const SITE: Site = Site::OWN;

/// Reads the statuses of named users.
pub(super) async fn batch_get_statuses(
    app: &Application,
    request: Request<BatchGetStatusesRequest>,
) -> Reply<BatchGetStatusesResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let tenant = tenant(&mut fields, &caller, &message.tenant_id)?;
    let users = users(&mut fields, &message.user_ids);
    let actor = parties::actor(&mut fields, "actor", message.actor);
    fields.finish()?;

    let (tenant, users, actor) = (tenant?, users?, actor?);
    let members = read(app.statuses(&tenant, &users, &actor).await, &caller, SITE)?;
    let abilities = done(app.abilities(&tenant, &actor).await, &caller)?;
    let statuses = members.iter().map(|member| status(member, &abilities)).collect();
    Ok(Response::new(BatchGetStatusesResponse { statuses }))
}

fn users(fields: &mut Fields, ids: &[String]) -> Parsed<Vec<UserId>> {
    let repeated =
        |(index, id): (usize, &String)| ids.iter().take(MAX_USERS).take(index).any(|earlier| earlier == id);
    if ids.is_empty() || ids.len() > MAX_USERS || ids.iter().enumerate().any(repeated) {
        return fields.refuse("user_ids", "must be 1 to 100, no one twice");
    }
    let each = ids.iter().enumerate();
    let parsed: Vec<_> = each
        .map(|(index, id)| fields.required(format_args!("user_ids[{index}]"), id, UserId::parse))
        .collect();
    parsed.into_iter().collect()
}

fn status(member: &MemberStatus, abilities: &Abilities) -> countersign_api::v1::TwoFactorStatus {
    member_status(&member.user, &member.status, abilities)
}

/// Lists the statuses that the actor may see.
pub(super) async fn list_statuses(
    app: &Application,
    request: Request<ListStatusesRequest>,
) -> Reply<ListStatusesResponse> {
    let (caller, mut message) = caller(request)?;
    let mut fields = Fields::default();
    let tenant = tenant(&mut fields, &caller, &message.tenant_id)?;
    let size = fields.page_size(message.page_size);
    let page_token = std::mem::take(&mut message.page_token);
    message.page_size = 0;
    let actor = parties::actor(&mut fields, "actor", message.actor.clone());
    let filter = filter(&mut fields, message.filter.clone());
    let at = message.at_time.map(|time| fields.timestamp("at_time", time)).transpose();
    fields.finish()?;

    message.actor = only_principal(message.actor);
    let (tenant, filter, actor, at, size) = (tenant?, filter?, actor?, at?, size?);
    let arguments = list_arguments(&caller, &message);
    let list = List { keys: &app.digests().tokens, arguments: &[&arguments] };
    let after = list.after(&page_token, user_of)?;
    // One more than asked for says whether there is another page.
    let page = (after, limit(size + 1));
    let mut members = read(app.list_statuses(&tenant, &filter, &actor, at, page).await, &caller, SITE)?;
    let next_page_token = list.cut(&mut members, size, |end| end.user.as_str().into());
    let abilities = done(app.abilities(&tenant, &actor).await, &caller)?;
    let statuses = members.iter().map(|member| status(member, &abilities)).collect();
    Ok(Response::new(ListStatusesResponse { statuses, next_page_token }))
}

fn user_of(position: &[u8]) -> Option<UserId> {
    UserId::parse(std::str::from_utf8(position).ok()?).ok()
}

/// Counts users by state.
pub(super) async fn get_coverage(
    app: &Application,
    request: Request<GetCoverageRequest>,
) -> Reply<GetCoverageResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let tenant = tenant(&mut fields, &caller, &message.tenant_id)?;
    let at = message.at_time.map(|time| fields.timestamp("at_time", time)).transpose();
    let actor = parties::actor(&mut fields, "actor", message.actor);
    fields.finish()?;

    let (tenant, actor, at) = (tenant?, actor?, at?);
    let counts = read(app.coverage(&tenant, &actor, at).await, &caller, SITE)?;
    Ok(Response::new(GetCoverageResponse { coverage: Some(coverage(counts)) }))
}

/// Lists the open requests for a reset, the oldest first.
pub(super) async fn list_reset_requests(
    app: &Application,
    request: Request<ListResetRequestsRequest>,
) -> Reply<ListResetRequestsResponse> {
    let (caller, mut message) = caller(request)?;
    let mut fields = Fields::default();
    let tenant = tenant(&mut fields, &caller, &message.tenant_id)?;
    let team = fields.optional("team_id", &message.team_id, TeamId::parse);
    let size = fields.page_size(message.page_size);
    let page_token = std::mem::take(&mut message.page_token);
    message.page_size = 0;
    let actor = parties::actor(&mut fields, "actor", message.actor.clone());
    fields.finish()?;

    message.actor = only_principal(message.actor);
    let (tenant, team, actor, size) = (tenant?, team?, actor?, size?);
    let arguments = list_arguments(&caller, &message);
    let list = List { keys: &app.digests().tokens, arguments: &[&arguments] };
    let after = list.after(&page_token, place_of)?;
    let page = (after, limit(size + 1));
    let mut requests = read(app.reset_requests(&tenant, team, &actor, page).await, &caller, SITE)?;
    Ok(Response::new(ListResetRequestsResponse {
        next_page_token: list.cut(&mut requests, size, |(_, end)| place(end)),
        reset_requests: requests.iter().map(|(user, request)| reset_request(user, request)).collect(),
    }))
}

/// A request's place in the list.
fn place(request: &ResetRequest) -> Vec<u8> {
    let mut place = request.create_time.unix_micros().to_be_bytes().to_vec();
    place.extend(request.id.to_string().into_bytes());
    place
}

fn place_of(place: &[u8]) -> Option<(Timestamp, ResetRequestId)> {
    let (time, id) = place.split_first_chunk::<8>()?;
    let id = ResetRequestId::parse(std::str::from_utf8(id).ok()?).ok()?;
    Some((Timestamp::from_unix_micros(i64::from_be_bytes(*time)), id))
}
