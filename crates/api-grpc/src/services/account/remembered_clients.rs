//! Remembered clients: listing and forgetting them.

use super::Reply;
use crate::caller::CallerContext;
use crate::convert::fields::{Fields, Parsed};
use crate::convert::parties;
use crate::convert::status::remembered_client;
use crate::convert::time::count;
use crate::page::List;
use crate::reply::{Change, retry};
use crate::services::shared::read;
use crate::services::{caller, subject};
use crate::status::Site;
use countersign_api::v1::{
    Action, ListRememberedClientsRequest, ListRememberedClientsResponse, RevokeRememberedClientsRequest,
    RevokeRememberedClientsResponse,
};
use countersign_application::Application;
use countersign_domain::clients::Revocation;
use countersign_domain::ids::{ClientId, UserRef};
use countersign_domain::user::RememberedClient;
use tonic::{Request, Response};

/// Clients that one call may name.
const MAX_IDS: usize = 100;

/// Lists the clients on which the user is not asked, the most recently used first.
pub(super) async fn list(
    app: &Application,
    request: Request<ListRememberedClientsRequest>,
) -> Reply<ListRememberedClientsResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let user = subject(&mut fields, &caller, &message.tenant_id, &message.user_id)?;
    let actor = parties::actor(&mut fields, "actor", message.actor);
    let size = fields.page_size(message.page_size);
    fields.finish()?;

    let (user, actor, size) = (user?, actor?, size?);
    let arguments = list_arguments(&caller, &user);
    let list = List { keys: &app.digests().tokens, arguments: &arguments };
    let after = list.position(&message.page_token)?;
    let mut clients = read(app.status(&user, &actor).await, &caller, Site::OWN)?.user.clients;
    clients.sort_by_key(position);
    if let Some(after) = after {
        clients.retain(|client| position(client) > after);
    }
    Ok(Response::new(ListRememberedClientsResponse {
        next_page_token: list.cut(&mut clients, size, position),
        remembered_clients: clients.iter().map(remembered_client).collect(),
    }))
}

/// What a page token of this list is bound to.
fn list_arguments<'a>(caller: &'a CallerContext, user: &'a UserRef) -> [&'a [u8]; 3] {
    [caller.method.path.as_bytes(), user.tenant.as_str().as_bytes(), user.user.as_str().as_bytes()]
}

/// A client's place in the list, as bytes that sort as the list does: the most recently used first.
fn position(client: &RememberedClient) -> Vec<u8> {
    // The sign bit turned makes negative times sort before positive ones; all bits turned make later ones come first.
    let time = client.last_use_time.unix_micros().cast_unsigned() ^ (1 << 63);
    let mut place = (!time).to_be_bytes().to_vec();
    place.extend_from_slice(client.id.as_bytes());
    place
}

/// Forgets remembered clients, some or all.
pub(super) async fn revoke(
    app: &Application,
    request: Request<RevokeRememberedClientsRequest>,
) -> Reply<RevokeRememberedClientsResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let user = subject(&mut fields, &caller, &message.tenant_id, &message.user_id)?;
    let retry = retry(&mut fields, &caller, &message, &message.request_id);
    let actor = parties::actor(&mut fields, "actor", message.actor);
    let revocation = revocation(&mut fields, &message.client_ids, message.all);
    fields.finish()?;

    let (user, actor, revocation) = (user?, actor?, revocation?);
    Change::new(&caller, Site::of(Action::RevokeRememberedClients), retry?)
        .answer(
            |meta, encode| app.revoke_remembered_clients(meta, (user, actor), revocation, encode),
            move |done| Ok(RevokeRememberedClientsResponse { revoked_count: count(done.value.value) }),
        )
        .await
}

/// Which ones: ids or all, never both, never neither.
fn revocation(fields: &mut Fields, ids: &[String], all: bool) -> Parsed<Revocation> {
    match (ids.len(), all) {
        (0, true) => Ok(Revocation::All),
        (1..=MAX_IDS, false) => {
            let each = ids.iter().enumerate();
            let parsed: Vec<_> = each
                .map(|(i, id)| fields.required(format_args!("client_ids[{i}]"), id, ClientId::parse))
                .collect();
            parsed.into_iter().collect::<Parsed<_>>().map(Revocation::Some)
        }
        _ => fields.refuse("client_ids", "must be 1 to 100, or empty together with all"),
    }
}
