//! Enrolling: a key shown once, and the first proof. By what right is read in `claim`.

use super::Reply;
use super::claim::{Claim, SITE};
use super::own::{advice_url, label, status_after};
use crate::convert::decision::allowed;
use crate::convert::enrollment::{Pictures, begun_sms, begun_totp};
use crate::convert::fields::Fields;
use crate::convert::parties;
use crate::convert::recovery::{advice, recovery_codes};
use crate::convert::status::authenticator_of;
use crate::reply::{Change, retry};
use crate::services::{caller, subject};
use crate::status::internal;
use countersign_api::v1::{
    BeginSmsEnrollmentRequest, BeginSmsEnrollmentResponse, BeginTotpEnrollmentRequest,
    BeginTotpEnrollmentResponse, ConfirmEnrollmentRequest, ConfirmEnrollmentResponse,
};
use countersign_application::Application;
use countersign_domain::enrollment::{BeginSms, BeginTotp, Confirm};
use countersign_domain::ids::{AuthenticatorId, EnrollmentId};
use countersign_domain::phone_number::PhoneNumber;
use countersign_domain::text::{AccountLabel, DisplayName};
use tonic::Request;

/// Begins to enrol an authenticator app.
pub(super) async fn begin_totp(
    app: &Application,
    request: Request<BeginTotpEnrollmentRequest>,
) -> Reply<BeginTotpEnrollmentResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let user = subject(&mut fields, &caller, &message.tenant_id, &message.user_id)?;
    let retry = retry(&mut fields, &caller, &message, &message.request_id);
    let claim = Claim::read(&mut fields, message.authority, message.client);
    let chosen = fields.optional("account_label", &message.account_label, AccountLabel::parse);
    let replaces = fields.optional(
        "replaces_authenticator_id",
        &message.replaces_authenticator_id,
        AuthenticatorId::parse,
    );
    let code = parties::proof(&mut fields, "proof", message.proof);
    let pictures = Pictures::parse(&mut fields, &message.qr_formats, message.qr_module_pixels);
    fields.finish()?;

    let (user, pictures) = (user?, pictures?);
    let authority = claim?.open(app)?;
    let account_label = label(app, &caller, &user, chosen?).await?;
    let command = BeginTotp { authority, account_label, replaces: replaces?, code: code? };
    let caller_then = caller.clone();
    Change::new(&caller, SITE, retry?)
        .answer(
            |meta, encode| app.begin_totp_enrollment(meta, user, command, encode),
            move |done| {
                begun_totp(&done.value, pictures).map_err(|error| {
                    let incident = caller_then.incident();
                    tracing::error!(alarm = true, incident_id = incident, %error, "an enrollment cannot be shown");
                    internal(&incident)
                })
            },
        )
        .await
}

/// Begins to enrol a telephone.
pub(super) async fn begin_sms(
    app: &Application,
    request: Request<BeginSmsEnrollmentRequest>,
) -> Reply<BeginSmsEnrollmentResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let user = subject(&mut fields, &caller, &message.tenant_id, &message.user_id)?;
    let retry = retry(&mut fields, &caller, &message, &message.request_id);
    let claim = Claim::read(&mut fields, message.authority, message.client);
    let number = fields.required("phone_number", &message.phone_number, PhoneNumber::parse);
    let replaces = fields.optional(
        "replaces_authenticator_id",
        &message.replaces_authenticator_id,
        AuthenticatorId::parse,
    );
    let code = parties::proof(&mut fields, "proof", message.proof);
    fields.finish()?;

    let (user, authority) = (user?, claim?.open(app)?);
    let command = BeginSms { authority, number: number?, replaces: replaces?, code: code? };
    Change::new(&caller, SITE, retry?)
        .answer(
            |meta, encode| app.begin_sms_enrollment(meta, user, command, encode),
            |done| Ok(begun_sms(&done.value)),
        )
        .await
}

/// Confirms an enrollment with its first proof.
pub(super) async fn confirm(
    app: &Application,
    request: Request<ConfirmEnrollmentRequest>,
) -> Reply<ConfirmEnrollmentResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let user = subject(&mut fields, &caller, &message.tenant_id, &message.user_id)?;
    let retry = retry(&mut fields, &caller, &message, &message.request_id);
    let claim = Claim::read(&mut fields, message.authority, message.client);
    let id = fields.required("enrollment_id", &message.enrollment_id, EnrollmentId::parse);
    let code = parties::required_proof(&mut fields, "proof", message.proof);
    let existing_code = parties::proof(&mut fields, "existing_proof", message.existing_proof);
    let display_name = fields.optional("display_name", &message.display_name, DisplayName::parse);
    fields.finish()?;

    let user = user?;
    let command = Confirm {
        id: id?,
        authority: claim?.open(app)?,
        code: code?,
        existing_code: existing_code?,
        display_name: display_name?,
    };
    let url = advice_url(app, &caller, &user.tenant).await?;
    let subject = user.clone();
    Change::new(&caller, SITE, retry?)
        .answer(
            |meta, encode| app.confirm_enrollment(meta, user, command, encode),
            move |done| {
                let confirmed = &done.value.value;
                let codes = confirmed.recovery_codes.as_ref();
                Ok(ConfirmEnrollmentResponse {
                    authenticator: authenticator_of(&done.value.status, confirmed.id),
                    status: Some(status_after(&subject.user, done)),
                    recovery_codes: codes.map(|issued| recovery_codes(issued, &subject.tenant)),
                    login: confirmed.login.as_ref().map(|login| allowed(login, &subject.tenant)),
                    advice: advice(&confirmed.gone, &done.value.status, &url),
                })
            },
        )
        .await
}
