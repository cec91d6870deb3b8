//! A cache of policies by tenant and revision. A revision never changes, so an entry is never stale and nothing
//! invalidates; which revision is current comes with every load.

use crate::AppError;
use countersign_domain::ids::{PolicyRevision, TenantId};
use countersign_domain::policy::Policy;
use countersign_domain::time::Timestamp;
use countersign_ports::PolicyStore;
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};

/// Policies kept; the cache starts over when it is full, which a tenant's handful of revisions makes rare.
const MAX_CACHED: usize = 10_000;

/// A policy, and since when it is in force.
pub(crate) struct InForce {
    pub(crate) policy: Policy,
    pub(crate) since: Timestamp,
}

impl Deref for InForce {
    type Target = Policy;

    fn deref(&self) -> &Policy {
        &self.policy
    }
}

pub(crate) struct Policies {
    store: Arc<dyn PolicyStore>,
    cache: RwLock<HashMap<(TenantId, PolicyRevision), Arc<InForce>>>,
}

impl Policies {
    /// An empty cache of this store.
    pub(crate) fn new(store: Arc<dyn PolicyStore>) -> Self {
        Self { store, cache: RwLock::default() }
    }

    pub(crate) async fn get(
        &self,
        tenant: &TenantId,
        revision: PolicyRevision,
    ) -> Result<Arc<InForce>, AppError> {
        let key = (tenant.clone(), revision);
        if let Some(policy) = self.cache.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(policy));
        }
        let record = self.store.policy(tenant, Some(revision)).await?.ok_or(AppError::TenantNotFound)?;
        let policy = record.document.validated().map_err(|_| AppError::PolicyCorrupt)?;
        let policy = Arc::new(InForce { policy, since: record.create_time });
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= MAX_CACHED {
            cache.clear();
        }
        cache.insert(key, Arc::clone(&policy));
        Ok(policy)
    }
}
