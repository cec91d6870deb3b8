//! Seals as lines of the service's log: for those who ship it to a place that cannot be changed.

use super::SealLine;
use async_trait::async_trait;
use countersign_domain::audit::Seal;
use countersign_domain::ids::TenantId;
use countersign_ports::{ExportError, Kept, SealExporter};

/// Logs seals.
#[derive(Debug, Clone, Copy)]
pub struct LogSeals;

#[async_trait]
impl SealExporter for LogSeals {
    fn name(&self) -> &'static str {
        "log"
    }

    async fn kept(&self, _: &TenantId) -> Result<Kept, ExportError> {
        Ok(Kept::InStore)
    }

    async fn export(&self, tenant: &TenantId, seal: &Seal) -> Result<(), ExportError> {
        let SealLine { tenant, number, statement, signature } = SealLine::of(tenant, seal);
        tracing::info!(tenant_id = tenant, seal = number, statement, signature, "the log was sealed");
        Ok(())
    }
}
