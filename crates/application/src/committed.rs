//! Who is told that something was committed on this node: those who follow the log of that tenant, so that one tenant's
//! logins do not have those of all others looked for (R66). Commits of other nodes are not told.

use countersign_domain::ids::TenantId;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Tenants of the same bell are woken together, which costs them a look. A table by tenant would cost each commit a lock.
const BELLS: usize = 64;

/// The bells that commits ring.
#[derive(Debug)]
pub(crate) struct Committed([Notify; BELLS]);

impl Committed {
    pub(crate) const fn new() -> Self {
        Self([const { Notify::const_new() }; BELLS])
    }

    /// Something of that tenant may have been committed.
    pub(crate) fn tell(&self, tenant: &TenantId) {
        self.bell(tenant).notify_waiters();
    }

    /// Completes at the next commit of that tenant after it is enabled or first polled, and may do so at others.
    pub(crate) fn told(&self, tenant: &TenantId) -> Notified<'_> {
        self.bell(tenant).notified()
    }

    fn bell(&self, tenant: &TenantId) -> &Notify {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(tenant);
        &self.0[usize::try_from(hash % BELLS as u64).unwrap_or_default()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::poll;
    use std::pin::pin;

    /// R66: a commit wakes those who follow the log of its tenant, and few others.
    #[tokio::test]
    async fn a_commit_wakes_those_of_its_tenant() {
        let committed = Committed::new();
        let tenant = |name: &str| TenantId::parse(name).unwrap();
        let mut own = pin!(committed.told(&tenant("acme")));
        own.as_mut().enable();
        let mut woken = 0;
        for index in 0..100 {
            let mut other = Box::pin(committed.told(&tenant(&format!("other-{index}"))));
            other.as_mut().enable();
            committed.tell(&tenant("acme"));
            woken += usize::from(poll!(other.as_mut()).is_ready());
        }
        assert!(woken < 10, "{woken} of 100");
        assert!(poll!(own).is_ready());
    }
}
