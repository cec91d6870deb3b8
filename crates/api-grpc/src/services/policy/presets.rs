//! The presets: policies to start from.

use crate::convert::fields::Fields;
use crate::convert::policy::policy_of;
use crate::failure::Failure;
use crate::page::List;
use crate::services::caller;
use crate::services::shared::{Reply, list_arguments};
use countersign_api::v1::{ListPolicyPresetsRequest, ListPolicyPresetsResponse, PolicyPreset};
use countersign_application::Application;
use countersign_domain::policy::Preset;
use countersign_domain::text::Issuer;
use tonic::{Request, Response};

/// Stands for the issuer, which a preset leaves to each tenant and no document is without. It is told to nobody.
const ISSUER: &str = "none";

/// Lists the presets, by id.
pub(super) fn list(
    app: &Application,
    request: Request<ListPolicyPresetsRequest>,
) -> Reply<ListPolicyPresetsResponse> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let size = fields.page_size(message.page_size);
    fields.finish()?;

    let size = size?;
    let issuer = Issuer::parse(ISSUER).map_err(|error| Failure::field("", &error.to_string()))?;
    let arguments = list_arguments(&caller, &ListPolicyPresetsRequest::default());
    let list = List { keys: &app.digests().tokens, arguments: &[&arguments] };
    let after = list.position(&message.page_token)?.unwrap_or_default();
    let mut presets = Preset::ALL;
    presets.sort_by_key(|preset| preset.id());
    let later = presets.into_iter().filter(|preset| preset.id().as_bytes() > after.as_slice());
    let mut page: Vec<_> = later.take(size + 1).collect();
    Ok(Response::new(ListPolicyPresetsResponse {
        next_page_token: list.cut(&mut page, size, |end| end.id().into()),
        presets: page.into_iter().map(|preset| described(preset, issuer.clone())).collect(),
    }))
}

fn described(preset: Preset, issuer: Issuer) -> PolicyPreset {
    let mut policy = policy_of(&preset.document(issuer));
    if let Some(totp) = &mut policy.totp {
        totp.issuer.clear();
    }
    PolicyPreset {
        preset: preset.id().to_owned(),
        description: description(preset).to_owned(),
        policy: Some(policy),
    }
}

const fn description(preset: Preset) -> &'static str {
    match preset {
        Preset::SelfServiceCode => {
            "Users switch an authenticator app on by themselves, and off with a valid code. A second factor is recommended, never required, and asked at every login."
        }
        Preset::SelfServicePassword => {
            "Users switch on apps and text messages, then security keys, by themselves, and off with a fresh password. Never required, asked at every login."
        }
        Preset::MandatoryManaged => {
            "Everybody needs a second factor from a date on and has several, with names. Asked from clients that are not remembered. Nobody switches it off; a manager of the team resets members."
        }
        Preset::AdminPermissions => {
            "Users switch an authenticator app on and off by themselves with nothing more. Administrators with both permissions and a second factor of their own switch it off for others. Never required, asked at every login."
        }
        Preset::PasswordAndCode => {
            "Users switch an authenticator app on and off with a fresh password and a code together, a recovery code included. To replace it they switch it off first. Never required, asked at every login."
        }
    }
}
