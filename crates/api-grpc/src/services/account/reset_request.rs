//! Asking the managers for a reset (B42).

use super::Reply;
use crate::convert::fields::Fields;
use crate::convert::parties;
use crate::convert::team::reset_request;
use crate::reply::{Change, retry};
use crate::services::shared::words;
use crate::services::{caller, subject};
use crate::status::Site;
use countersign_api::v1::{RequestResetRequest, RequestResetResponse};
use countersign_application::Application;
use tonic::Request;

/// Asks to be reset, or replaces the reason of an open request.
pub(super) async fn request(
    app: &Application,
    request: Request<RequestResetRequest>,
) -> Reply<RequestResetResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let user = subject(&mut fields, &caller, &message.tenant_id, &message.user_id)?;
    let retry = retry(&mut fields, &caller, &message, &message.request_id);
    let actor = parties::actor(&mut fields, "actor", message.actor);
    let reason = words(&mut fields, "reason", message.reason, 0);
    fields.finish()?;

    let (user, actor, reason) = (user?, actor?, reason?);
    let user_id = user.user.clone();
    Change::new(&caller, Site::OWN, retry?)
        .answer(
            |meta, encode| app.request_reset(meta, (user, actor), reason, encode),
            move |done| {
                let open = reset_request(&user_id, &done.value.value);
                Ok(RequestResetResponse { reset_request: Some(open) })
            },
        )
        .await
}
