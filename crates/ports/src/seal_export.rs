//! Seals on their way to a place that the database's administrators cannot write, and how far they have come.

use crate::StoreError;
use async_trait::async_trait;
use countersign_domain::audit::{Hash, Seal};
use countersign_domain::ids::TenantId;

/// The last seal of a tenant that left: the next one must follow on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Its number.
    pub number: u64,
    /// The hash of its statement.
    pub hash: Hash,
}

/// What an exporter knows of what it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It keeps what it takes, so that nobody else has to remember: the last seal, if it has any.
    Here(Option<Exported>),
    /// It passes seals on and remembers nothing: the store does.
    InStore,
}

/// Why a seal was not taken.
#[derive(Debug, thiserror::Error)]
#[error("the seal was not taken")]
pub struct ExportError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Takes seals: a file, a receiver of requests, the log of the service.
#[async_trait]
pub trait SealExporter: Send + Sync {
    /// Its name, in a word: a key of the store and a label of metrics.
    fn name(&self) -> &'static str;

    /// The last seal of the tenant that it took.
    async fn kept(&self, tenant: &TenantId) -> Result<Kept, ExportError>;

    /// Takes the next seal of the tenant; durably when it returns. May be called again with the same seal.
    async fn export(&self, tenant: &TenantId, seal: &Seal) -> Result<(), ExportError>;
}

/// How far the evidence of a log has come.
#[async_trait]
pub trait AuditProgress: Send + Sync {
    /// The retention mark with the highest number.
    async fn last_mark(&self, tenant: &TenantId) -> Result<Option<Seal>, StoreError>;

    /// The last seal of the tenant that the exporter of that name has taken.
    async fn exported(&self, exporter: &str, tenant: &TenantId) -> Result<Option<Exported>, StoreError>;

    /// Remembers that. Several nodes may do so at once: what is remembered never goes back.
    async fn remember_exported(
        &self,
        exporter: &str,
        tenant: &TenantId,
        last: &Exported,
    ) -> Result<(), StoreError>;
}
