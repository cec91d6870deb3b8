//! The calling workload of one call, authenticated, with the scope that the method wants already checked.
//!
//! What is left to check is the tenant, which only the request names: [`CallerContext::require_tenant`] is the one
//! place that does.

use crate::failure::Failure;
use crate::options::Grants;
use countersign_api::v1::ErrorReason;
use countersign_domain::ids::{CallerId, TenantId};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

/// A method of the contract.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Method {
    /// Its path, as HTTP has it.
    pub(crate) path: String,
    /// The scope that it wants.
    pub(crate) scope: String,
    /// Whether its answer is a stream.
    pub(crate) is_streaming: bool,
}

/// Who calls what, and what the caller was granted.
#[derive(Debug, Clone)]
pub(crate) struct CallerContext {
    pub(crate) id: CallerId,
    pub(crate) grants: Arc<Grants>,
    pub(crate) method: Arc<Method>,
    /// W3C trace-id, or empty.
    pub(crate) trace_id: String,
}

impl CallerContext {
    /// Refuses a tenant that the caller was not granted, whether or not it exists (R42, R43).
    pub(crate) fn require_tenant(&self, tenant: &TenantId) -> Result<(), Failure> {
        tracing::Span::current().record("tenant_id", tenant.as_str());
        if self.grants.holds_for(&self.method.scope, tenant) { Ok(()) } else { Err(tenant_denied()) }
    }

    /// What a caller is told of a tenant that does not exist: only who was granted every tenant may learn that.
    pub(crate) fn tenant_missing(&self) -> Failure {
        if self.grants.holds_for_all(&self.method.scope) {
            Failure::new(ErrorReason::TenantNotFound, "there is no such tenant")
        } else {
            tenant_denied()
        }
    }

    /// An id under which the log tells of a fault: the trace's, or one of this process.
    pub(crate) fn incident(&self) -> String {
        if self.trace_id.is_empty() { incident() } else { self.trace_id.clone() }
    }
}

fn tenant_denied() -> Failure {
    Failure::new(ErrorReason::CallerTenantDenied, "the caller was not granted this tenant")
}

/// An id for one line of the log. It tells processes apart and decides nothing, so that it needs no secure randomness:
/// the seed of the standard library's hash tables will do.
pub(crate) fn incident() -> String {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0_u8));
    static COUNT: AtomicU64 = AtomicU64::new(1);
    format!("{:016x}-{}", *PROCESS, COUNT.fetch_add(1, Ordering::Relaxed))
}
