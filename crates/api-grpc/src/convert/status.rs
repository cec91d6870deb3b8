//! A user's second factor as a settings page shows it, on its way out. Keys are never in it (B36).

use super::enums;
use super::fields::etag_text;
use super::time::{count, timestamp};
use crate::status::reason;
use countersign_api::v1;
use countersign_domain::etag::Etag;
use countersign_domain::ids::{AuthenticatorId, UserId};
use countersign_domain::status::{Availability, Status};
use countersign_domain::user::{Authenticator, PendingEnrollment, RememberedClient, Standing};

mod device_name;

/// The status of a user.
pub(crate) fn two_factor_status(user: &UserId, status: &Status) -> v1::TwoFactorStatus {
    v1::TwoFactorStatus {
        user_id: user.as_str().to_owned(),
        state: enums::two_factor_state(status.state).into(),
        since_time: status.user.state_since.map(timestamp),
        authenticators: status.user.authenticators.iter().map(authenticator).collect(),
        pending_enrollment: status.user.pending.iter().max_by_key(|pending| pending.create_time).map(pending),
        recovery_codes_remaining: status.recovery_codes_remaining.map(count),
        recovery_codes_low: status.recovery_codes_low,
        required: status.required || status.required_from.is_some(),
        required_from_time: status.required_from.map(timestamp),
        grace_until_time: status.grace_until.map(timestamp),
        recommended: status.recommended,
        locked_until_time: status.locked_until.map(timestamp),
        actions: status.actions.iter().map(action).collect(),
        etag: etag_text(Etag::of(&status.user)),
    }
}

/// One authenticator of a status.
pub(crate) fn authenticator_of(status: &Status, id: AuthenticatorId) -> Option<v1::Authenticator> {
    status.user.authenticator(id).map(authenticator)
}

fn authenticator(own: &Authenticator) -> v1::Authenticator {
    let state = match own.standing {
        Standing::Active => v1::AuthenticatorState::Active,
        Standing::Disabled { .. } => v1::AuthenticatorState::Disabled,
    };
    v1::Authenticator {
        authenticator_id: own.id.to_string(),
        r#type: enums::authenticator_type(own.kind()).into(),
        state: state.into(),
        display_name: own.display_name.as_str().to_owned(),
        unnamed: !own.named,
        create_time: Some(timestamp(own.create_time)),
        last_use_time: own.last_use_time.map(timestamp),
        obfuscated_phone_number: own.credential.sms().map_or_else(String::new, |sms| sms.number.obfuscated()),
        synced: own.credential.security_key().is_some_and(|key| key.backup_eligible),
    }
}

fn pending(pending: &PendingEnrollment) -> v1::PendingEnrollment {
    v1::PendingEnrollment {
        enrollment_id: pending.id.to_string(),
        r#type: enums::authenticator_type(pending.kind()).into(),
        create_time: Some(timestamp(pending.create_time)),
        expire_time: Some(timestamp(pending.expire_time)),
        replaces_authenticator_id: pending.replaces.map(|id| id.to_string()).unwrap_or_default(),
    }
}

fn action(own: &Availability) -> v1::AvailableAction {
    v1::AvailableAction {
        action: enums::own_action(own.action).into(),
        allowed: own.blocked.is_none(),
        required_proofs: enums::proof_kinds(&own.required_proofs),
        blocked_reasons: own.blocked.iter().map(|denial| reason(denial).into()).collect(),
    }
}

/// A remembered client, without its token.
pub(crate) fn remembered_client(client: &RememberedClient) -> v1::RememberedClient {
    // Remembering sets both times to one moment; only a later one is a use.
    let last_use_time = Some(client.last_use_time).filter(|time| *time > client.create_time);
    v1::RememberedClient {
        client_id: client.id.to_string(),
        display_name: device_name::of(&client.display_name),
        application: client.application.clone(),
        last_ip_address: client.last_ip_address.clone(),
        create_time: Some(timestamp(client.create_time)),
        last_use_time: last_use_time.map(timestamp),
        expire_time: Some(timestamp(client.expire_time)),
    }
}
