//! Renaming and removing one authenticator.

use super::Reply;
use super::own::{advice_url, status_after};
use crate::convert::fields::Fields;
use crate::convert::parties;
use crate::convert::recovery::advice;
use crate::convert::status::authenticator_of;
use crate::reply::{Change, retry};
use crate::services::{caller, subject};
use crate::status::Site;
use countersign_api::v1::{
    Action, RemoveAuthenticatorRequest, RemoveAuthenticatorResponse, RenameAuthenticatorRequest,
    RenameAuthenticatorResponse,
};
use countersign_application::Application;
use countersign_domain::ids::AuthenticatorId;
use countersign_domain::text::DisplayName;
use tonic::Request;

/// Gives an authenticator another name.
pub(super) async fn rename(
    app: &Application,
    request: Request<RenameAuthenticatorRequest>,
) -> Reply<RenameAuthenticatorResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let user = subject(&mut fields, &caller, &message.tenant_id, &message.user_id)?;
    let retry = retry(&mut fields, &caller, &message, &message.request_id);
    let actor = parties::actor(&mut fields, "actor", message.actor);
    let id = fields.required("authenticator_id", &message.authenticator_id, AuthenticatorId::parse);
    let name = fields.required("display_name", &message.display_name, DisplayName::parse);
    let etag = fields.etag(&message.etag);
    fields.finish()?;

    let (user, actor, id, name, etag) = (user?, actor?, id?, name?, etag?);
    let user_id = user.user.clone();
    Change::new(&caller, Site::of(Action::Rename), retry?)
        .answer(
            |meta, encode| app.rename_authenticator(meta, (user, actor), id, name, etag, encode),
            move |done| {
                Ok(RenameAuthenticatorResponse {
                    authenticator: authenticator_of(&done.value.status, id),
                    status: Some(status_after(&user_id, done)),
                })
            },
        )
        .await
}

/// Removes an authenticator.
pub(super) async fn remove(
    app: &Application,
    request: Request<RemoveAuthenticatorRequest>,
) -> Reply<RemoveAuthenticatorResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let user = subject(&mut fields, &caller, &message.tenant_id, &message.user_id)?;
    let retry = retry(&mut fields, &caller, &message, &message.request_id);
    let actor = parties::actor(&mut fields, "actor", message.actor);
    let id = fields.required("authenticator_id", &message.authenticator_id, AuthenticatorId::parse);
    let code = parties::proof(&mut fields, "proof", message.proof);
    let etag = fields.etag(&message.etag);
    fields.finish()?;

    let (user, actor, id, code, etag) = (user?, actor?, id?, code?, etag?);
    let url = advice_url(app, &caller, &user.tenant).await?;
    let user_id = user.user.clone();
    Change::new(&caller, Site::of(Action::RemoveAuthenticator), retry?)
        .answer(
            |meta, encode| app.remove_authenticator(meta, (user, actor), id, code, etag, encode),
            move |done| {
                Ok(RemoveAuthenticatorResponse {
                    status: Some(status_after(&user_id, done)),
                    advice: advice(&done.value.value, &done.value.status, &url),
                })
            },
        )
        .await
}
