//! The calling workload of one call, authenticated, with the scope that the method wants already checked.
//!
//! What is left to check is the tenant, which only the request names: [`CallerContext::require_tenant`] is the one
//! place that does.

use crate::failure::{Failure, incident};
use crate::metrics::OfMethod;
use crate::options::Grants;
use countersign_api::v1::ErrorReason;
use countersign_domain::ids::{CallerId, TenantId};
use std::sync::{Arc, OnceLock};

/// A method of the contract.
#[derive(Debug)]
pub(crate) struct Method {
    /// Its path, as HTTP has it.
    pub(crate) path: Arc<str>,
    /// The scope that it wants.
    pub(crate) scope: String,
    /// Whether its answer is a stream.
    pub(crate) is_streaming: bool,
    /// The number of the request's field `tenant_id`, where it has one.
    pub(crate) tenant_field: Option<u32>,
    /// The number of the request's field `user_id`, where it has one and the calls about one user are bounded.
    pub(crate) user_field: Option<u32>,
    /// The number of the request's field `challenge`, where it has one.
    pub(crate) challenge_field: Option<u32>,
    /// What is counted of its calls.
    pub(crate) counted: OfMethod,
}

/// What becomes known of a call while it is handled, for whoever handed it on.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The tenant that was asked for.
    tenant: OnceLock<TenantId>,
    /// Why the caller was denied.
    denied: OnceLock<ErrorReason>,
}

impl Findings {
    /// The tenant and the reason, if the caller was denied a tenant that it named.
    pub(crate) fn denied(&self) -> Option<(TenantId, ErrorReason)> {
        Some((self.tenant.get()?.clone(), *self.denied.get()?))
    }
}

/// Who calls what, and what the caller was granted.
#[derive(Debug, Clone)]
pub(crate) struct CallerContext {
    pub(crate) id: CallerId,
    pub(crate) grants: Arc<Grants>,
    pub(crate) method: Arc<Method>,
    /// W3C trace-id, or empty.
    pub(crate) trace_id: String,
    pub(crate) findings: Arc<Findings>,
}

impl CallerContext {
    /// Refuses a tenant that the caller was not granted, whether or not it exists (R42, R43).
    pub(crate) fn require_tenant(&self, tenant: &TenantId) -> Result<(), Failure> {
        self.asks_for(tenant);
        if self.grants.holds_for(&self.method.scope, tenant) {
            return Ok(());
        }
        self.denied(ErrorReason::CallerTenantDenied);
        Err(tenant_denied())
    }

    /// Takes note of the tenant that is asked for. The first one named is what is recorded; no request names two.
    pub(crate) fn asks_for(&self, tenant: &TenantId) {
        self.findings.tenant.get_or_init(|| {
            tracing::Span::current().record("tenant_id", tenant.as_str());
            tenant.clone()
        });
    }

    /// Takes note that the caller is denied what it asks for.
    pub(crate) fn denied(&self, reason: ErrorReason) {
        let _ = self.findings.denied.set(reason);
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
