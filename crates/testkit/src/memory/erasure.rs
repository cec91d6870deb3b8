//! Erasing claims in memory. Salts follow from the event's id: nobody attacks a test.

use super::{MemoryStore, Queued, Tenant};
use async_trait::async_trait;
use countersign_domain::actor::Principal;
use countersign_domain::audit::{CLIENT_SALT_LEN, client_commitment};
use countersign_domain::event::EventType;
use countersign_domain::ids::EventId;
use countersign_domain::user::ClientClaims;
use countersign_ports::document::encode_client_claims;
use countersign_ports::{ClaimErasure, Erasing, StoreError, StoredEvent};

/// The salt of an event's claims.
pub(super) fn salt(event: EventId) -> [u8; CLIENT_SALT_LEN] {
    event.as_bytes().map(|byte| !byte)
}

impl Tenant {
    fn pending(&self) -> impl Iterator<Item = &StoredEvent> {
        self.events.iter().filter(|stored| {
            stored.record.event.kind == EventType::UserErased && !self.erased.contains_key(&stored.record.id)
        })
    }
}

#[async_trait]
impl ClaimErasure for MemoryStore {
    async fn pending_erasure(&self, after: Option<&Erasing>) -> Result<Option<Erasing>, StoreError> {
        let everything = self.lock();
        let pending = everything.tenants.iter().flat_map(|(id, tenant)| {
            tenant.pending().filter_map(|told| {
                let user = told.record.user.clone()?;
                Some(Erasing { tenant: id.clone(), user, told: told.position, after: None })
            })
        });
        let behind =
            |it: &Erasing| after.is_none_or(|last| (&it.tenant, it.told) > (&last.tenant, last.told));
        Ok(pending.into_iter().find(behind))
    }

    async fn erase_claims(&self, erasing: &Erasing, limit: u32) -> Result<Option<Erasing>, StoreError> {
        let mut everything = self.lock();
        let Some(Tenant { events, erased, outbox, .. }) = everything.tenants.get_mut(&erasing.tenant) else {
            return Ok(None);
        };
        let by_user = Principal::User(erasing.user.clone());
        let page = events.iter_mut().filter(|stored| {
            erasing.after.is_none_or(|after| stored.position > after) && stored.position <= erasing.told
        });
        let mut reached = None;
        for StoredEvent { position, record } in page.take(limit as usize) {
            reached = Some(*position);
            let concerned = record.user.as_ref() == Some(&erasing.user) || record.actor.principal == by_user;
            if concerned && !erased.contains_key(&record.id) {
                let document = encode_client_claims(&record.client);
                erased.insert(record.id, client_commitment(record.id, &salt(record.id), &document));
                record.client = ClientClaims::default();
            }
        }
        if let Some(told) = events.iter().find(|stored| stored.position == erasing.told)
            && reached == Some(erasing.told)
        {
            outbox.retain(|Queued { notice, due, .. }| {
                due.is_some() || notice.user != erasing.user || notice.create_time > told.record.time
            });
        }
        let reached = reached.filter(|reached| *reached < erasing.told);
        Ok(reached.map(|reached| Erasing { after: Some(reached), ..erasing.clone() }))
    }
}
