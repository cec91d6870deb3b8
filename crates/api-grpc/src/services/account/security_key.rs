//! Beginning to enrol a security key: what the browser makes a credential from.

use super::Reply;
use super::claim::{Claim, SITE};
use super::own::label;
use crate::convert::fields::Fields;
use crate::convert::parties;
use crate::convert::time::timestamp;
use crate::reply::{Change, retry};
use crate::services::{caller, subject};
use countersign_api::v1::{BeginSecurityKeyEnrollmentRequest, BeginSecurityKeyEnrollmentResponse};
use countersign_application::Application;
use countersign_domain::enrollment::BeginSecurityKey;
use countersign_domain::ids::AuthenticatorId;
use countersign_domain::text::AccountLabel;
use tonic::Request;

/// Begins to enrol a security key or platform authenticator.
pub(super) async fn begin(
    app: &Application,
    request: Request<BeginSecurityKeyEnrollmentRequest>,
) -> Reply<BeginSecurityKeyEnrollmentResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let user = subject(&mut fields, &caller, &message.tenant_id, &message.user_id)?;
    let retry = retry(&mut fields, &caller, &message, &message.request_id);
    let claim = Claim::read(&mut fields, message.authority, message.client);
    let chosen = fields.optional("account_label", &message.account_label, AccountLabel::parse);
    let replaces = &message.replaces_authenticator_id;
    let replaces = fields.optional("replaces_authenticator_id", replaces, AuthenticatorId::parse);
    let code = parties::proof(&mut fields, "proof", message.proof);
    fields.finish()?;

    let user = user?;
    let authority = claim?.open(app)?;
    let account_label = label(app, &caller, &user, chosen?).await?;
    let command = BeginSecurityKey { authority, account_label, replaces: replaces?, code: code? };
    Change::new(&caller, SITE, retry?)
        .answer(
            |meta, encode| app.begin_security_key_enrollment(meta, user, command, encode),
            |done| {
                Ok(BeginSecurityKeyEnrollmentResponse {
                    enrollment_id: done.value.id.to_string(),
                    webauthn_creation_options_json: done.value.creation_options.expose().to_owned(),
                    expire_time: Some(timestamp(done.value.expire_time)),
                })
            },
        )
        .await
}
