//! The outbox in memory.

use super::{MemoryStore, Queued, Tenant};
use async_trait::async_trait;
use countersign_domain::time::Timestamp;
use countersign_ports::{DeadLetter, DeadLetters, NoticeId, NoticeRecord, Outbox, OutboxEntry, StoreError};

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

    async fn delivered(&self, notices: &[NoticeId]) -> Result<(), StoreError> {
        for tenant in self.lock().tenants.values_mut() {
            tenant.outbox.retain(|queued| !notices.contains(&queued.notice.id));
        }
        Ok(())
    }

    async fn failed(
        &self,
        notice: &NoticeRecord,
        retry_time: Option<Timestamp>,
        why: &str,
    ) -> Result<(), StoreError> {
        for tenant in self.lock().tenants.values_mut() {
            for queued in tenant.outbox.iter_mut().filter(|queued| queued.notice.id == notice.id) {
                queued.due = retry_time;
                why.clone_into(&mut queued.last_error);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl DeadLetters for MemoryStore {
    async fn dead_letters(
        &self,
        after: Option<(Timestamp, NoticeId)>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let mut letters = Vec::new();
        for (id, tenant) in &self.lock().tenants {
            for queued in tenant.outbox.iter().filter(|queued| queued.due.is_none()) {
                let event = tenant.events.iter().find(|stored| stored.record.id == queued.notice.event);
                letters.push(DeadLetter {
                    notice: queued.notice.id,
                    tenant: id.clone(),
                    event: queued.notice.event,
                    kind: event.map_or("", |stored| stored.record.event.kind.name()).to_owned(),
                    create_time: queued.notice.create_time,
                    attempts: queued.attempts,
                    last_error: queued.last_error.clone(),
                });
            }
        }
        letters.sort_by_key(|letter| (letter.create_time, letter.notice));
        letters.retain(|letter| after.is_none_or(|after| (letter.create_time, letter.notice) > after));
        letters.truncate(limit as usize);
        Ok(letters)
    }

    async fn revive(&self, notice: NoticeId, now: Timestamp) -> Result<bool, StoreError> {
        for tenant in self.lock().tenants.values_mut() {
            let mut dead = tenant.outbox.iter_mut().filter(|queued| queued.due.is_none());
            if let Some(queued) = dead.find(|queued| queued.notice.id == notice) {
                (queued.due, queued.attempts) = (Some(now), 0);
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn sweep_dead_letters(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut swept = 0;
        for tenant in self.lock().tenants.values_mut() {
            tenant.outbox.retain(|queued| {
                let goes =
                    queued.due.is_none() && queued.notice.create_time < before && swept < u64::from(limit);
                swept += u64::from(goes);
                !goes
            });
        }
        Ok(swept)
    }
}
