//! The calls that only stories make: users changing what is theirs, managers and administrators acting on others, and the
//! directory that tells who is who.

use super::phone::Phone;
use super::verdicts::{locked_out, refused};
use crate::harness::User;
use crate::harness::app::unix_seconds;
use crate::harness::user::{password, patient, proof};
use countersign_api::v1;
use tonic::Status;
use tonic::transport::Channel;
use v1::directory_service_client::DirectoryServiceClient;
use v1::team_service_client::TeamServiceClient;

/// What an administrator or manager writes as the reason.
pub(super) const JUSTIFICATION: &str = "lost the phone, identity checked in person";

/// A time so many seconds from now.
pub(super) fn seconds_from_now(seconds: i64) -> prost_types::Timestamp {
    let now = i64::try_from(unix_seconds()).expect("a time of this age");
    prost_types::Timestamp { seconds: now + seconds, nanos: 0 }
}

impl User {
    /// The user acting in a session that tells nothing about its password.
    pub(super) fn without_password(&self) -> v1::Actor {
        v1::Actor { first_factor: None, ..self.actor() }
    }

    /// The user acting an hour after the password.
    pub(super) fn with_stale_password(&self) -> v1::Actor {
        let hour_ago = v1::FirstFactor { verify_time: Some(seconds_from_now(-3_600)), ..password() };
        v1::Actor { first_factor: Some(hour_ago), ..self.actor() }
    }

    /// The user acting with these permissions.
    pub(super) fn permitted(&self, permissions: &[&str]) -> v1::Actor {
        let permissions = permissions.iter().map(|&name| name.to_owned()).collect();
        v1::Actor { permissions, ..self.without_password() }
    }

    /// Begins as this actor.
    pub(super) fn to_begin_as(&self, actor: v1::Actor) -> v1::BeginTotpEnrollmentRequest {
        let authority = Some(v1::begin_totp_enrollment_request::Authority::Actor(actor));
        v1::BeginTotpEnrollmentRequest { authority, ..self.to_begin() }
    }

    /// Switches off.
    pub(super) async fn disable(
        &self,
        actor: v1::Actor,
        code: Option<&str>,
    ) -> Result<v1::DisableTwoFactorResponse, Status> {
        let request = v1::DisableTwoFactorRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.id.clone(),
            actor: Some(actor),
            proof: code.map(proof),
            ..v1::DisableTwoFactorRequest::default()
        };
        Ok(self.account.clone().disable_two_factor(patient(request)).await?.into_inner())
    }

    /// Removes one authenticator.
    pub(super) async fn remove(
        &self,
        authenticator: &str,
        code: &str,
    ) -> Result<v1::RemoveAuthenticatorResponse, Status> {
        let request = v1::RemoveAuthenticatorRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.id.clone(),
            actor: Some(self.actor()),
            authenticator_id: authenticator.to_owned(),
            proof: Some(proof(code)),
            ..v1::RemoveAuthenticatorRequest::default()
        };
        Ok(self.account.clone().remove_authenticator(patient(request)).await?.into_inner())
    }

    /// Gives an authenticator a name.
    pub(super) async fn rename(
        &self,
        authenticator: &str,
        name: &str,
    ) -> Result<v1::RenameAuthenticatorResponse, Status> {
        let request = v1::RenameAuthenticatorRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.id.clone(),
            actor: Some(self.actor()),
            authenticator_id: authenticator.to_owned(),
            display_name: name.to_owned(),
            ..v1::RenameAuthenticatorRequest::default()
        };
        Ok(self.account.clone().rename_authenticator(patient(request)).await?.into_inner())
    }

    /// The remembered clients.
    pub(super) async fn remembered_clients(&self) -> Vec<v1::RememberedClient> {
        let request = v1::ListRememberedClientsRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.id.clone(),
            actor: Some(self.actor()),
            ..v1::ListRememberedClientsRequest::default()
        };
        let page = self.account.clone().list_remembered_clients(patient(request)).await;
        page.expect("a page of clients").into_inner().remembered_clients
    }

    /// Revokes one remembered client. Returns how many were.
    pub(super) async fn revoke(&self, client: &str) -> Result<i32, Status> {
        let request = v1::RevokeRememberedClientsRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.id.clone(),
            actor: Some(self.actor()),
            client_ids: vec![client.to_owned()],
            ..v1::RevokeRememberedClientsRequest::default()
        };
        let response = self.account.clone().revoke_remembered_clients(patient(request)).await?;
        Ok(response.into_inner().revoked_count)
    }

    /// Asks the managers for a reset.
    pub(super) async fn ask_for_reset(&self, why: &str) -> Result<v1::ResetRequest, Status> {
        let request = v1::RequestResetRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.id.clone(),
            actor: Some(self.without_password()),
            reason: why.to_owned(),
            ..v1::RequestResetRequest::default()
        };
        let response = self.account.clone().request_reset(patient(request)).await?;
        Ok(response.into_inner().reset_request.expect("a request"))
    }

    /// A request of this actor to reset this user.
    pub(super) fn to_reset(&self, actor: v1::Actor) -> v1::ResetMemberRequest {
        v1::ResetMemberRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.id.clone(),
            actor: Some(actor),
            justification: JUSTIFICATION.to_owned(),
            ..v1::ResetMemberRequest::default()
        }
    }
}

/// Resets a member.
pub(super) async fn reset(
    channel: &Channel,
    request: v1::ResetMemberRequest,
) -> Result<v1::ResetMemberResponse, Status> {
    Ok(TeamServiceClient::new(channel.clone()).reset_member(patient(request)).await?.into_inner())
}

/// The open reset requests that this user may see.
pub(super) async fn reset_requests(channel: &Channel, user: &User) -> Result<Vec<v1::ResetRequest>, Status> {
    let request = v1::ListResetRequestsRequest {
        tenant_id: user.tenant.clone(),
        actor: Some(user.without_password()),
        ..v1::ListResetRequestsRequest::default()
    };
    let page = TeamServiceClient::new(channel.clone()).list_reset_requests(patient(request)).await?;
    Ok(page.into_inner().reset_requests)
}

/// This actor switches this user's second factor off.
pub(super) async fn disable_member(
    channel: &Channel,
    member: &User,
    actor: v1::Actor,
) -> Result<v1::DisableMemberResponse, Status> {
    let request = v1::DisableMemberRequest {
        tenant_id: member.tenant.clone(),
        user_id: member.id.clone(),
        actor: Some(actor),
        justification: JUSTIFICATION.to_owned(),
        ..v1::DisableMemberRequest::default()
    };
    Ok(TeamServiceClient::new(channel.clone()).disable_member(patient(request)).await?.into_inner())
}

/// Types wrong codes into this user's login until none is evaluated. The tenant's locks must be long ones.
pub(super) async fn lock_out(user: &User, phone: &Phone) {
    for number in 0..3 {
        refused(user.login_with(&phone.wrong(number)).await);
    }
    locked_out(user.login().await);
}

/// This actor lifts this user's lock.
pub(super) async fn unlock_member(
    channel: &Channel,
    member: &User,
    actor: v1::Actor,
) -> Result<v1::UnlockMemberResponse, Status> {
    let request = v1::UnlockMemberRequest {
        tenant_id: member.tenant.clone(),
        user_id: member.id.clone(),
        actor: Some(actor),
        justification: JUSTIFICATION.to_owned(),
        ..v1::UnlockMemberRequest::default()
    };
    Ok(TeamServiceClient::new(channel.clone()).unlock_member(patient(request)).await?.into_inner())
}

/// The directory says what this user is in this team.
pub(super) async fn put(channel: &Channel, user: &User, team: &str, role: v1::TeamRole) {
    let membership = v1::TeamMembership { team_id: team.to_owned(), role: role.into() };
    let entry = v1::User { user_id: user.id.clone(), teams: vec![membership], ..v1::User::default() };
    let request = v1::PutUserRequest {
        tenant_id: user.tenant.clone(),
        user: Some(entry),
        ..v1::PutUserRequest::default()
    };
    DirectoryServiceClient::new(channel.clone()).put_user(patient(request)).await.expect("it is put");
}
