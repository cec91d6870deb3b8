//! `AccountService`: what users do to their own second factor. The trait stands here whole; its methods are in the
//! files beside it, by what they are about.

mod authenticators;
mod claim;
mod enrollment;
mod own;
mod remembered_clients;
mod reset_request;
mod security_key;
mod two_factor;

use super::shared::Reply;
use countersign_api::v1::account_service_server::AccountService;
use countersign_api::v1::{
    BeginSecurityKeyEnrollmentRequest, BeginSecurityKeyEnrollmentResponse, BeginSmsEnrollmentRequest,
    BeginSmsEnrollmentResponse, BeginTotpEnrollmentRequest, BeginTotpEnrollmentResponse,
    ConfirmEnrollmentRequest, ConfirmEnrollmentResponse, DisableTwoFactorRequest, DisableTwoFactorResponse,
    GenerateRecoveryCodesRequest, GenerateRecoveryCodesResponse, GetStatusRequest, GetStatusResponse,
    ListRememberedClientsRequest, ListRememberedClientsResponse, RemoveAuthenticatorRequest,
    RemoveAuthenticatorResponse, RenameAuthenticatorRequest, RenameAuthenticatorResponse,
    RequestResetRequest, RequestResetResponse, RevokeRememberedClientsRequest,
    RevokeRememberedClientsResponse,
};
use countersign_application::Application;
use tonic::Request;

/// The service over the use cases.
#[derive(Clone)]
pub(crate) struct AccountHandlers(Application);

impl AccountHandlers {
    pub(crate) const fn new(app: Application) -> Self {
        Self(app)
    }
}

#[tonic::async_trait]
impl AccountService for AccountHandlers {
    async fn get_status(&self, request: Request<GetStatusRequest>) -> Reply<GetStatusResponse> {
        two_factor::status(&self.0, request).await
    }

    async fn begin_totp_enrollment(
        &self,
        request: Request<BeginTotpEnrollmentRequest>,
    ) -> Reply<BeginTotpEnrollmentResponse> {
        enrollment::begin_totp(&self.0, request).await
    }

    async fn begin_sms_enrollment(
        &self,
        request: Request<BeginSmsEnrollmentRequest>,
    ) -> Reply<BeginSmsEnrollmentResponse> {
        enrollment::begin_sms(&self.0, request).await
    }

    async fn begin_security_key_enrollment(
        &self,
        request: Request<BeginSecurityKeyEnrollmentRequest>,
    ) -> Reply<BeginSecurityKeyEnrollmentResponse> {
        security_key::begin(&self.0, request).await
    }

    async fn confirm_enrollment(
        &self,
        request: Request<ConfirmEnrollmentRequest>,
    ) -> Reply<ConfirmEnrollmentResponse> {
        enrollment::confirm(&self.0, request).await
    }

    async fn rename_authenticator(
        &self,
        request: Request<RenameAuthenticatorRequest>,
    ) -> Reply<RenameAuthenticatorResponse> {
        authenticators::rename(&self.0, request).await
    }

    async fn remove_authenticator(
        &self,
        request: Request<RemoveAuthenticatorRequest>,
    ) -> Reply<RemoveAuthenticatorResponse> {
        authenticators::remove(&self.0, request).await
    }

    async fn disable_two_factor(
        &self,
        request: Request<DisableTwoFactorRequest>,
    ) -> Reply<DisableTwoFactorResponse> {
        two_factor::disable(&self.0, request).await
    }

    async fn generate_recovery_codes(
        &self,
        request: Request<GenerateRecoveryCodesRequest>,
    ) -> Reply<GenerateRecoveryCodesResponse> {
        two_factor::generate_recovery_codes(&self.0, request).await
    }

    async fn list_remembered_clients(
        &self,
        request: Request<ListRememberedClientsRequest>,
    ) -> Reply<ListRememberedClientsResponse> {
        remembered_clients::list(&self.0, request).await
    }

    async fn revoke_remembered_clients(
        &self,
        request: Request<RevokeRememberedClientsRequest>,
    ) -> Reply<RevokeRememberedClientsResponse> {
        remembered_clients::revoke(&self.0, request).await
    }

    async fn request_reset(&self, request: Request<RequestResetRequest>) -> Reply<RequestResetResponse> {
        reset_request::request(&self.0, request).await
    }
}
