//! `TeamService`: what managers and administrators see of others and do to them. The trait stands here whole; its
//! methods are in the files beside it.

mod acting;
mod reading;

use super::shared::Reply;
use countersign_api::v1::team_service_server::TeamService;
use countersign_api::v1::{
    BatchGetStatusesRequest, BatchGetStatusesResponse, DisableMemberRequest, DisableMemberResponse,
    GetCoverageRequest, GetCoverageResponse, IssueEnrollmentTicketRequest, IssueEnrollmentTicketResponse,
    ListResetRequestsRequest, ListResetRequestsResponse, ListStatusesRequest, ListStatusesResponse,
    ResetMemberRequest, ResetMemberResponse, UnlockMemberRequest, UnlockMemberResponse,
};
use countersign_application::{Application, MemberAction};
use tonic::Request;

/// The service over the use cases.
#[derive(Clone)]
pub(crate) struct TeamHandlers(Application);

impl TeamHandlers {
    pub(crate) const fn new(app: Application) -> Self {
        Self(app)
    }
}

#[tonic::async_trait]
impl TeamService for TeamHandlers {
    async fn batch_get_statuses(
        &self,
        request: Request<BatchGetStatusesRequest>,
    ) -> Reply<BatchGetStatusesResponse> {
        reading::batch_get_statuses(&self.0, request).await
    }

    async fn list_statuses(&self, request: Request<ListStatusesRequest>) -> Reply<ListStatusesResponse> {
        reading::list_statuses(&self.0, request).await
    }

    async fn get_coverage(&self, request: Request<GetCoverageRequest>) -> Reply<GetCoverageResponse> {
        reading::get_coverage(&self.0, request).await
    }

    async fn list_reset_requests(
        &self,
        request: Request<ListResetRequestsRequest>,
    ) -> Reply<ListResetRequestsResponse> {
        reading::list_reset_requests(&self.0, request).await
    }

    async fn reset_member(&self, request: Request<ResetMemberRequest>) -> Reply<ResetMemberResponse> {
        acting::on_member(&self.0, request, MemberAction::Reset).await
    }

    async fn disable_member(&self, request: Request<DisableMemberRequest>) -> Reply<DisableMemberResponse> {
        acting::on_member(&self.0, request, MemberAction::Disable).await
    }

    async fn unlock_member(&self, request: Request<UnlockMemberRequest>) -> Reply<UnlockMemberResponse> {
        acting::on_member(&self.0, request, MemberAction::Unlock).await
    }

    async fn issue_enrollment_ticket(
        &self,
        request: Request<IssueEnrollmentTicketRequest>,
    ) -> Reply<IssueEnrollmentTicketResponse> {
        acting::issue_ticket(&self.0, request).await
    }
}
