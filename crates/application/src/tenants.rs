//! Tenants: creating one from a preset, reading its policy.

use crate::fresh::Source;
use crate::{AppError, Application, Meta};
use countersign_domain::actor::Principal;
use countersign_domain::event::{Event, EventType};
use countersign_domain::ids::{PolicyRevision, TenantId};
use countersign_domain::policy::{PolicyDocument, Preset};
use countersign_domain::user::ClientClaims;
use countersign_ports::{ChangeSet, Commit, EventRecord, TenantRecord};

impl Application {
    /// Creates a tenant with this policy, which the caller has validated, as revision 1.
    pub async fn create_tenant(
        &self,
        meta: Meta,
        actor: Principal,
        tenant: TenantId,
        preset: Preset,
        document: PolicyDocument,
    ) -> Result<TenantRecord, AppError> {
        let deps = &self.0.deps;
        let now = deps.clock.now();
        let source = Source { random: deps.random.as_ref(), now };
        document.clone().validated().map_err(|_| AppError::PolicyCorrupt)?;
        let record = TenantRecord {
            tenant: tenant.clone(),
            revision: PolicyRevision(1),
            document,
            preset: preset.id().to_owned(),
            create_time: now,
        };
        let event = EventRecord {
            id: source.event(),
            time: now,
            tenant: tenant.clone(),
            user: None,
            event: Event::new(EventType::TenantCreated).with("preset", preset.id()),
            actor,
            caller: meta.caller,
            client: ClientClaims::default(),
            policy_revision: record.revision,
            request_id: meta.request.map(|request| request.id),
            trace_id: meta.trace_id,
        };
        let change =
            ChangeSet { tenant, users: Vec::new(), events: vec![event], notices: Vec::new(), request: None };
        match deps.policies.put_policy(record.clone(), change).await? {
            Commit::Done => Ok(record),
            Commit::Conflict => Err(AppError::TenantExists),
        }
    }

    /// The current policy of a tenant.
    pub async fn tenant(&self, tenant: &TenantId) -> Result<TenantRecord, AppError> {
        self.0.deps.policies.policy(tenant, None).await?.ok_or(AppError::TenantNotFound)
    }
}
