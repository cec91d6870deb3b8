//! Every method of the contract with one answer, called by its request. The streams are called on the channel.

use crate::v1;
use futures::future::BoxFuture;
use prost::Message;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

/// A request of the contract: which method takes it, and what comes back. Implemented for the requests of all methods
/// with one answer, and by nobody else.
pub trait Call: Message + Clone + sealed::Sealed + 'static {
    /// What comes back.
    type Response: Message;

    /// The id under which repeated attempts are one change, where the method changes something.
    fn request_id(&mut self) -> Option<&mut String>;

    /// One attempt.
    fn send(
        channel: Channel,
        request: Request<Self>,
    ) -> BoxFuture<'static, Result<Response<Self::Response>, Status>>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! methods {
    ($($service:ident in $module:ident { $($method:ident($request:ident) -> $response:ident $($changes:ident)?;)+ })+) => {
        /// The methods that can be called, by service and name as Rust writes them, and whether each changes something.
        pub const METHODS: &[(&str, &str, bool)] =
            &[$($((stringify!($module), stringify!($method), methods!(@is $($changes)?)),)+)+];

        $($(
            impl sealed::Sealed for v1::$request {}

            impl Call for v1::$request {
                type Response = v1::$response;

                fn request_id(&mut self) -> Option<&mut String> {
                    methods!(@id self $($changes)?)
                }

                fn send(
                    channel: Channel,
                    request: Request<Self>,
                ) -> BoxFuture<'static, Result<Response<Self::Response>, Status>> {
                    Box::pin(async move { v1::$module::$service::new(channel).$method(request).await })
                }
            }
        )+)+
    };
    (@is changes) => { true };
    (@is) => { false };
    (@id $this:ident changes) => { Some(&mut $this.request_id) };
    (@id $this:ident) => { None };
}

methods! {
    LoginServiceClient in login_service_client {
        check_login(CheckLoginRequest) -> CheckLoginResponse changes;
        answer_challenge(AnswerChallengeRequest) -> AnswerChallengeResponse changes;
        send_challenge_code(SendChallengeCodeRequest) -> SendChallengeCodeResponse changes;
    }
    AccountServiceClient in account_service_client {
        get_status(GetStatusRequest) -> GetStatusResponse;
        begin_totp_enrollment(BeginTotpEnrollmentRequest) -> BeginTotpEnrollmentResponse changes;
        begin_sms_enrollment(BeginSmsEnrollmentRequest) -> BeginSmsEnrollmentResponse changes;
        begin_security_key_enrollment(BeginSecurityKeyEnrollmentRequest) -> BeginSecurityKeyEnrollmentResponse changes;
        confirm_enrollment(ConfirmEnrollmentRequest) -> ConfirmEnrollmentResponse changes;
        rename_authenticator(RenameAuthenticatorRequest) -> RenameAuthenticatorResponse changes;
        remove_authenticator(RemoveAuthenticatorRequest) -> RemoveAuthenticatorResponse changes;
        disable_two_factor(DisableTwoFactorRequest) -> DisableTwoFactorResponse changes;
        generate_recovery_codes(GenerateRecoveryCodesRequest) -> GenerateRecoveryCodesResponse changes;
        list_remembered_clients(ListRememberedClientsRequest) -> ListRememberedClientsResponse;
        revoke_remembered_clients(RevokeRememberedClientsRequest) -> RevokeRememberedClientsResponse changes;
        request_reset(RequestResetRequest) -> RequestResetResponse changes;
    }
    TeamServiceClient in team_service_client {
        batch_get_statuses(BatchGetStatusesRequest) -> BatchGetStatusesResponse;
        list_statuses(ListStatusesRequest) -> ListStatusesResponse;
        get_coverage(GetCoverageRequest) -> GetCoverageResponse;
        list_reset_requests(ListResetRequestsRequest) -> ListResetRequestsResponse;
        reset_member(ResetMemberRequest) -> ResetMemberResponse changes;
        disable_member(DisableMemberRequest) -> DisableMemberResponse changes;
        unlock_member(UnlockMemberRequest) -> UnlockMemberResponse changes;
        issue_enrollment_ticket(IssueEnrollmentTicketRequest) -> IssueEnrollmentTicketResponse changes;
    }
    DirectoryServiceClient in directory_service_client {
        put_user(PutUserRequest) -> PutUserResponse changes;
        batch_put_users(BatchPutUsersRequest) -> BatchPutUsersResponse changes;
        get_user(GetUserRequest) -> GetUserResponse;
        report_first_factor_changed(ReportFirstFactorChangedRequest) -> ReportFirstFactorChangedResponse changes;
        erase_user(EraseUserRequest) -> EraseUserResponse changes;
    }
    PolicyServiceClient in policy_service_client {
        create_tenant(CreateTenantRequest) -> CreateTenantResponse changes;
        list_tenants(ListTenantsRequest) -> ListTenantsResponse;
        delete_tenant(DeleteTenantRequest) -> DeleteTenantResponse changes;
        get_policy(GetPolicyRequest) -> GetPolicyResponse;
        update_policy(UpdatePolicyRequest) -> UpdatePolicyResponse changes;
        list_policy_revisions(ListPolicyRevisionsRequest) -> ListPolicyRevisionsResponse;
        list_policy_presets(ListPolicyPresetsRequest) -> ListPolicyPresetsResponse;
        explain(ExplainRequest) -> ExplainResponse;
    }
    EventServiceClient in event_service_client {
        list_events(ListEventsRequest) -> ListEventsResponse;
    }
}

#[cfg(test)]
mod tests {
    use super::METHODS;

    /// Every method of the contract with one answer can be called, and those with a `request_id` are the changes (R60).
    #[test]
    fn every_method_of_the_contract_can_be_called() {
        let snake = |name: &str| {
            let mut text = String::new();
            for (index, letter) in name.char_indices() {
                if letter.is_uppercase() && index > 0 {
                    text.push('_');
                }
                text.extend(letter.to_lowercase());
            }
            text
        };
        let mut expected = Vec::new();
        for service in countersign_api::descriptor_pool().services() {
            for method in service.methods().filter(|method| !method.is_server_streaming()) {
                let changes = method.input().get_field_by_name("request_id").is_some();
                expected.push((format!("{}_client", snake(service.name())), snake(method.name()), changes));
            }
        }
        let mut found: Vec<_> = METHODS
            .iter()
            .map(|(service, method, changes)| ((*service).to_owned(), (*method).to_owned(), *changes))
            .collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }
}
