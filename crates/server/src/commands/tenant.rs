//! `countersign tenant`: tenants are created and listed through the contract.

use super::policy::to_proto;
use super::service::{Service, actor};
use super::{instant, print, tell};
use crate::cli::{CreateTenantArgs, ServiceArgs, TenantCommand};
use crate::failure::Failure;
use countersign_api::v1;

/// Does what is asked.
pub(super) async fn run(command: TenantCommand) -> Result<(), Failure> {
    match command {
        TenantCommand::Create(args) => create(args).await,
        TenantCommand::List(args) => list(&args).await,
    }
}

async fn create(args: CreateTenantArgs) -> Result<(), Failure> {
    let from = args.required_from.as_deref().map(|text| instant("--required-from", text)).transpose()?;
    let service = Service::of(&args.by.of.service)?;
    let request = v1::CreateTenantRequest {
        actor: Some(actor(&args.by)),
        tenant_id: args.by.of.tenant,
        preset: args.preset,
        required_from_time: from.map(to_proto),
        ..v1::CreateTenantRequest::default()
    };
    let tenant = service.call(request).await?.tenant.unwrap_or_default();
    tell(&line(&tenant))
}

async fn list(args: &ServiceArgs) -> Result<(), Failure> {
    let service = Service::of(args)?;
    let mut request = v1::ListTenantsRequest::default();
    loop {
        let page = service.call(request.clone()).await?;
        for tenant in &page.tenants {
            print(&line(tenant))?;
        }
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
}

fn line(tenant: &v1::Tenant) -> String {
    let v1::Tenant { tenant_id, preset, create_time, policy_revision } = tenant;
    let made = create_time.map(|time| time.to_string()).unwrap_or_default();
    format!("{tenant_id} preset {preset} made {made} revision {policy_revision}\n")
}
