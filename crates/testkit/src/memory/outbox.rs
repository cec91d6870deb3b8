//! The outbox in memory.

use super::{MemoryStore, Queued, Tenant};
use async_trait::async_trait;
use countersign_domain::time::Timestamp;
use countersign_ports::{NoticeRecord, Outbox, OutboxEntry, StoreError};

impl Tenant {
    /// The notices at the head of their user's queue. Dead letters hold nobody up.
    fn heads(&mut self) -> Vec<&mut Queued> {
        let mut waiting: Vec<_> = self.outbox.iter_mut().filter(|queued| queued.due.is_some()).collect();
        waiting
            .sort_by_key(|queued| (queued.notice.user.clone(), queued.notice.create_time, queued.notice.id));
        waiting.dedup_by(|later, earlier| later.notice.user == earlier.notice.user);
        waiting
    }
}

#[async_trait]
impl Outbox for MemoryStore {
    async fn lease(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        let mut leased = Vec::new();
        for tenant in self.lock().tenants.values_mut() {
            let events = tenant.events.clone();
            let due = tenant.heads().into_iter().filter(|queued| queued.due.is_some_and(|due| due <= now));
            for queued in due.take((limit as usize).saturating_sub(leased.len())) {
                let event = events.iter().find(|stored| stored.record.id == queued.notice.event);
                let event = event.ok_or_else(|| StoreError::Corrupt {
                    entity: "notice",
                    id: queued.notice.id.0.to_string(),
                    problem: "tells of an event that is not there",
                })?;
                leased.push(OutboxEntry {
                    notice: queued.notice.clone(),
                    event: event.record.clone(),
                    attempts: queued.attempts,
                });
                queued.attempts += 1;
                queued.due = Some(lease_until);
            }
        }
        Ok(leased)
    }

    async fn delivered(&self, notice: &NoticeRecord) -> Result<(), StoreError> {
        for tenant in self.lock().tenants.values_mut() {
            tenant.outbox.retain(|queued| queued.notice.id != notice.id);
        }
        Ok(())
    }

    async fn failed(&self, notice: &NoticeRecord, retry_time: Option<Timestamp>) -> Result<(), StoreError> {
        for tenant in self.lock().tenants.values_mut() {
            for queued in tenant.outbox.iter_mut().filter(|queued| queued.notice.id == notice.id) {
                queued.due = retry_time;
            }
        }
        Ok(())
    }
}
