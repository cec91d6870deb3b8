//! Methods that passed, in the terms of RFC 8176 ("amr").

use super::verdict::Ground;
use crate::context::{Context, Draft};
use crate::ids::AuthenticatorId;
use crate::policy::{AuthenticatorType, FirstFactorMethod};
use crate::user::FirstFactor;
use std::borrow::Cow;

/// Whether the identity provider's own second factor counts (B18).
pub(super) fn trusts_federated_mfa(ctx: &Context<'_>, first: &FirstFactor) -> bool {
    ctx.policy.first_factor.trust_federated_mfa
        && first.method == FirstFactorMethod::Federated
        && first.amr.iter().any(|method| method == "mfa")
}

/// What passed, first factor first.
pub(super) fn amr(
    draft: &Draft,
    ctx: &Context<'_>,
    first: &FirstFactor,
    ground: &Ground,
) -> Vec<Cow<'static, str>> {
    let mut amr = of_first(ctx, first);
    let second = match ground {
        Ground::Verified { authenticator, kind, .. } => Some(of_authenticator(draft, *authenticator, *kind)),
        Ground::Recovered { .. } => Some("otp"),
        _ => None,
    };
    for method in second.into_iter().flat_map(|method| [method, "mfa"]) {
        if !amr.iter().any(|known| known == method) {
            amr.push(method.into());
        }
    }
    amr
}

/// The first factor in the terms of RFC 8176. A link by e-mail has none there.
fn of_first(ctx: &Context<'_>, first: &FirstFactor) -> Vec<Cow<'static, str>> {
    match first.method {
        FirstFactorMethod::Password => vec!["pwd".into()],
        FirstFactorMethod::Passkey => vec!["pop".into()],
        FirstFactorMethod::EmailLink => Vec::new(),
        FirstFactorMethod::Federated => {
            // A provider's word that it asked for two factors is passed on only where the policy takes it: callers
            // look for it in a verdict.
            let trusted = trusts_federated_mfa(ctx, first);
            first.amr.iter().filter(|method| trusted || *method != "mfa").cloned().map(Cow::Owned).collect()
        }
    }
}

/// The second factor in the terms of RFC 8176: a key that may leave its device is software.
fn of_authenticator(draft: &Draft, id: AuthenticatorId, kind: AuthenticatorType) -> &'static str {
    let key = draft.next.authenticator(id).and_then(|own| own.credential.security_key());
    match (kind, key) {
        (AuthenticatorType::Sms, _) => "sms",
        (AuthenticatorType::SecurityKey, Some(key)) if key.backup_eligible => "swk",
        (AuthenticatorType::SecurityKey, _) => "hwk",
        (AuthenticatorType::Totp | AuthenticatorType::RecoveryCode, _) => "otp",
    }
}
