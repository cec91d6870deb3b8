//! Seals as signed requests.

use super::SealLine;
use crate::SettingProblem;
use crate::webhook::{WebhookClient, WebhookSettings, rfc3339};
use async_trait::async_trait;
use countersign_domain::audit::{Seal, Statement};
use countersign_domain::ids::TenantId;
use countersign_ports::{Clock, ExportError, Kept, SealExporter};
use serde::Serialize;
use std::sync::Arc;

/// Posts seals to a URL, one a request.
pub struct WebhookSeals(WebhookClient);

impl std::fmt::Debug for WebhookSeals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookSeals").finish_non_exhaustive()
    }
}

impl WebhookSeals {
    /// An exporter with these settings. Nothing is connected yet.
    pub fn new(settings: WebhookSettings, clock: Arc<dyn Clock>) -> Result<Self, SettingProblem> {
        Ok(Self(WebhookClient::new(settings, clock)?))
    }
}

/// The body of a request, written down in `docs/security/audit.md`: fields may be added, not changed.
#[derive(Serialize)]
struct Payload {
    r#type: &'static str,
    timestamp: String,
    data: SealLine,
}

#[async_trait]
impl SealExporter for WebhookSeals {
    fn name(&self) -> &'static str {
        "webhook"
    }

    async fn kept(&self, _: &TenantId) -> Result<Kept, ExportError> {
        Ok(Kept::InStore)
    }

    /// Whatever is answered but 2xx, it is tried again: seals leave in order or not at all.
    async fn export(&self, tenant: &TenantId, seal: &Seal) -> Result<(), ExportError> {
        let time = Statement::parse(&seal.statement).map(|statement| rfc3339(statement.time));
        let payload = Payload {
            r#type: "countersign.seal",
            timestamp: time.unwrap_or_default(),
            data: SealLine::of(tenant, seal),
        };
        let body = serde_json::to_vec(&payload).map_err(|error| ExportError(error.into()))?;
        let id = format!("{tenant}.{}", seal.number);
        self.0.post(&id, body).await.map_err(|failure| ExportError(failure.into()))
    }
}
