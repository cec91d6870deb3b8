//! The second factor as a whole: its status, switching it off, its recovery codes.

use super::Reply;
use super::own::{advice_url, status_after};
use crate::caller::CallerContext;
use crate::convert::fields::Fields;
use crate::convert::recovery::{advice, recovery_codes};
use crate::convert::status::two_factor_status;
use crate::convert::{enums, parties};
use crate::reply::{Change, retry};
use crate::services::shared::read;
use crate::services::{caller, subject};
use crate::status::Site;
use countersign_api::v1::{
    self, Action, DisableTwoFactorRequest, DisableTwoFactorResponse, GenerateRecoveryCodesRequest,
    GenerateRecoveryCodesResponse, GetStatusRequest, GetStatusResponse,
};
use countersign_application::Application;
use countersign_domain::actor::Actor;
use countersign_domain::ids::UserRef;
use countersign_domain::status::OwnAction;
use tonic::{Request, Response};

/// Reads what a settings page shows.
pub(super) async fn status(
    app: &Application,
    request: Request<GetStatusRequest>,
) -> Reply<GetStatusResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let user = subject(&mut fields, &caller, &message.tenant_id, &message.user_id)?;
    let actor = parties::actor(&mut fields, "actor", message.actor);
    fields.finish()?;

    let (user, actor) = (user?, actor?);
    let status = read(app.status(&user, &actor).await, &caller, Site::OWN)?;
    Ok(Response::new(GetStatusResponse { status: Some(two_factor_status(&user.user, &status)) }))
}

/// Switches the second factor off, or says what would happen.
pub(super) async fn disable(
    app: &Application,
    request: Request<DisableTwoFactorRequest>,
) -> Reply<DisableTwoFactorResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let user = subject(&mut fields, &caller, &message.tenant_id, &message.user_id)?;
    let retry = retry(&mut fields, &caller, &message, &message.request_id);
    let actor = parties::actor(&mut fields, "actor", message.actor);
    let code = parties::proof(&mut fields, "proof", message.proof);
    fields.finish()?;

    let (user, actor, code) = (user?, actor?, code?);
    let url = advice_url(app, &caller, &user.tenant).await?;
    if message.validate_only {
        return preview(app, &caller, &user, &actor, &url).await;
    }
    let user_id = user.user.clone();
    Change::new(&caller, Site::of(Action::Disable), retry?)
        .answer(
            |meta, encode| app.disable_two_factor(meta, (user, actor), code, encode),
            move |done| {
                Ok(DisableTwoFactorResponse {
                    status: Some(status_after(&user_id, done)),
                    advice: advice(&done.value.value, &done.value.status, &url),
                    required_proofs: Vec::new(),
                })
            },
        )
        .await
}

/// What switching off would lead to: nothing is evaluated, charged or changed (ruling 6).
async fn preview(
    app: &Application,
    caller: &CallerContext,
    user: &UserRef,
    actor: &Actor,
    url: &str,
) -> Reply<DisableTwoFactorResponse> {
    let preview = read(app.preview_disable(user, actor).await, caller, Site::of(Action::Disable))?;
    let disable = preview.status.actions.iter().find(|action| action.action == OwnAction::Disable);
    let status = two_factor_status(&user.user, &preview.status);
    Ok(Response::new(DisableTwoFactorResponse {
        // Nobody has read what only would be.
        status: Some(v1::TwoFactorStatus { etag: String::new(), ..status }),
        advice: advice(&preview.value, &preview.status, url),
        required_proofs: disable
            .map(|action| enums::proof_kinds(&action.required_proofs))
            .unwrap_or_default(),
    }))
}

/// Makes a new set of recovery codes.
pub(super) async fn generate_recovery_codes(
    app: &Application,
    request: Request<GenerateRecoveryCodesRequest>,
) -> Reply<GenerateRecoveryCodesResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let user = subject(&mut fields, &caller, &message.tenant_id, &message.user_id)?;
    let retry = retry(&mut fields, &caller, &message, &message.request_id);
    let actor = parties::actor(&mut fields, "actor", message.actor);
    let code = parties::proof(&mut fields, "proof", message.proof);
    fields.finish()?;

    let (user, actor, code) = (user?, actor?, code?);
    let tenant = user.tenant.clone();
    Change::new(&caller, Site::of(Action::GenerateRecoveryCodes), retry?)
        .answer(
            |meta, encode| app.generate_recovery_codes(meta, (user, actor), code, encode),
            move |done| {
                let codes = recovery_codes(&done.value.value, &tenant);
                Ok(GenerateRecoveryCodesResponse { recovery_codes: Some(codes) })
            },
        )
        .await
}
