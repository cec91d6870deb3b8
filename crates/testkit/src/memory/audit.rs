//! The log as evidence, in memory: rows as the real stores would keep them, and the seals.

use super::erasure::salt;
use super::{MemoryStore, Tenant};
use async_trait::async_trait;
use countersign_domain::audit::{LoggedEvent, Seal};
use countersign_domain::ids::TenantId;
use countersign_ports::document::{
    Named, encode_actor_claims, encode_client_claims, encode_details, encode_principal,
};
use countersign_ports::{AuditLog, AuditProgress, Commit, EventPosition, Exported, StoreError, StoredEvent};
use std::collections::BTreeSet;

fn logged(tenant: &Tenant, stored: &StoredEvent) -> LoggedEvent {
    let record = &stored.record;
    let client_commitment = tenant.erased.get(&record.id).copied();
    LoggedEvent {
        tenant: record.tenant.to_string(),
        position: stored.position,
        id: record.id,
        time: record.time,
        user: record.user.as_ref().map(ToString::to_string),
        kind: record.event.kind.name().to_owned(),
        authenticator: record.event.authenticator.map(|(id, _)| id),
        authenticator_kind: record.event.authenticator.map(|(_, kind)| Named::name(&kind).to_owned()),
        details: encode_details(&record.event.details),
        actor: encode_principal(&record.actor.principal),
        actor_claims: encode_actor_claims(&record.actor),
        caller: record.caller.to_string(),
        client: encode_client_claims(&record.client),
        client_salt: if client_commitment.is_some() { Vec::new() } else { salt(record.id).to_vec() },
        client_commitment,
        policy_revision: record.policy_revision.0.into(),
        request: record.request_id,
        trace_id: record.trace_id.clone(),
    }
}

#[async_trait]
impl AuditLog for MemoryStore {
    async fn audited_tenants(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        let everything = self.lock();
        let logged = everything.tenants.iter().filter(|(_, tenant)| !tenant.events.is_empty());
        // Evidence outlives the log, and belongs to tenants that nobody knows any more.
        let known: BTreeSet<_> = logged.map(|(id, _)| id).chain(everything.seals.keys()).collect();
        let later = known.into_iter().filter(|id| after.is_none_or(|after| *id > after));
        Ok(later.take(limit as usize).cloned().collect())
    }

    /// Nobody edits a memory.
    async fn foreign_tenants(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn logged_events(
        &self,
        tenant: &TenantId,
        after: Option<EventPosition>,
        limit: u32,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let everything = self.lock();
        let Some(tenant) = everything.tenants.get(tenant) else { return Ok(Vec::new()) };
        let later = tenant.events.iter().filter(|stored| after.is_none_or(|after| stored.position > after));
        Ok(later.take(limit as usize).map(|stored| logged(tenant, stored)).collect())
    }

    async fn seals(&self, tenant: &TenantId, after: u64, limit: u32) -> Result<Vec<Seal>, StoreError> {
        let everything = self.lock();
        let seals = everything.seals.get(tenant).map(Vec::as_slice);
        let later = seals.unwrap_or_default().iter().filter(|seal| seal.number > after);
        Ok(later.take(limit as usize).cloned().collect())
    }

    async fn last_seal(&self, tenant: &TenantId) -> Result<Option<Seal>, StoreError> {
        let everything = self.lock();
        Ok(everything.seals.get(tenant).and_then(|seals| seals.last()).cloned())
    }

    async fn append_seal(&self, tenant: &TenantId, seal: &Seal) -> Result<Commit, StoreError> {
        let mut everything = self.lock();
        let seals = everything.seals.entry(tenant.clone()).or_default();
        if seals.iter().any(|other| other.number == seal.number) {
            return Ok(Commit::Conflict);
        }
        seals.push(seal.clone());
        seals.sort_by_key(|seal| seal.number);
        Ok(Commit::Done)
    }
}

#[async_trait]
impl AuditProgress for MemoryStore {
    async fn last_mark(&self, tenant: &TenantId) -> Result<Option<Seal>, StoreError> {
        let everything = self.lock();
        let seals = everything.seals.get(tenant).map(Vec::as_slice).unwrap_or_default();
        Ok(seals.iter().rev().find(|seal| seal.entries.is_none()).cloned())
    }

    async fn exported(&self, exporter: &str, tenant: &TenantId) -> Result<Option<Exported>, StoreError> {
        let everything = self.lock();
        Ok(everything.exported.get(&(exporter.to_owned(), tenant.clone())).copied())
    }

    async fn remember_exported(
        &self,
        exporter: &str,
        tenant: &TenantId,
        last: &Exported,
    ) -> Result<(), StoreError> {
        let mut everything = self.lock();
        let known = everything.exported.entry((exporter.to_owned(), tenant.clone())).or_insert(*last);
        if known.number < last.number {
            *known = *last;
        }
        Ok(())
    }
}
