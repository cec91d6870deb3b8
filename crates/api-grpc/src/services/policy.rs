//! `PolicyService`: tenants, their policies, and why a policy decides as it does. The trait stands here whole; its
//! methods are in the files beside it.

mod delete;
mod explain;
mod presets;
mod revisions;
mod tenants;
mod update;
mod warnings;

use super::shared::Reply;
use countersign_api::v1::policy_service_server::PolicyService;
use countersign_api::v1::{
    CreateTenantRequest, CreateTenantResponse, DeleteTenantRequest, DeleteTenantResponse, ExplainRequest,
    ExplainResponse, GetPolicyRequest, GetPolicyResponse, ListPolicyPresetsRequest,
    ListPolicyPresetsResponse, ListPolicyRevisionsRequest, ListPolicyRevisionsResponse, ListTenantsRequest,
    ListTenantsResponse, UpdatePolicyRequest, UpdatePolicyResponse,
};
use countersign_application::Application;
use tonic::Request;

/// The service over the use cases.
#[derive(Clone)]
pub(crate) struct PolicyHandlers(Application);

impl PolicyHandlers {
    pub(crate) const fn new(app: Application) -> Self {
        Self(app)
    }
}

#[tonic::async_trait]
impl PolicyService for PolicyHandlers {
    async fn create_tenant(&self, request: Request<CreateTenantRequest>) -> Reply<CreateTenantResponse> {
        tenants::create(&self.0, request).await
    }

    async fn list_tenants(&self, request: Request<ListTenantsRequest>) -> Reply<ListTenantsResponse> {
        tenants::list(&self.0, request).await
    }

    async fn delete_tenant(&self, request: Request<DeleteTenantRequest>) -> Reply<DeleteTenantResponse> {
        delete::delete(&self.0, request).await
    }

    async fn get_policy(&self, request: Request<GetPolicyRequest>) -> Reply<GetPolicyResponse> {
        tenants::get_policy(&self.0, request).await
    }

    async fn update_policy(&self, request: Request<UpdatePolicyRequest>) -> Reply<UpdatePolicyResponse> {
        update::update(&self.0, request).await
    }

    async fn list_policy_revisions(
        &self,
        request: Request<ListPolicyRevisionsRequest>,
    ) -> Reply<ListPolicyRevisionsResponse> {
        revisions::list(&self.0, request).await
    }

    async fn list_policy_presets(
        &self,
        request: Request<ListPolicyPresetsRequest>,
    ) -> Reply<ListPolicyPresetsResponse> {
        presets::list(&self.0, request)
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Reply<ExplainResponse> {
        explain::explain(&self.0, request).await
    }
}
