//! A store in memory: the smallest thing that keeps every promise of the conformance suite.
//!
//! One lock around everything, so each call is one transaction. A change is made on a copy and takes the original's
//! place only when every guard held. It applies [`Write`](countersign_domain::change::Write)s one by one, as the real stores do, so that a state that was
//! not told whole in writes is found out here too.

mod apply;
mod audit;
mod erasure;
mod outbox;
mod queries;
mod tenant;

use apply::{Refused, apply_user};
use async_trait::async_trait;
use countersign_domain::audit::Seal;
use countersign_domain::event::EventType;
use countersign_domain::ids::{EventId, PolicyRevision, TenantId, UserId, UserRef, Version};
use countersign_domain::sms::budget::{self, SendCharge, SendCounters, SendCounts};
use countersign_domain::time::Timestamp;
use countersign_domain::user::UserState;
use countersign_ports::{
    ChangeSet, Commit, EventLog, EventPosition, EventQuery, Exported, Loaded, Look, Maintenance,
    NoticeRecord, PolicyStore, RequestKey, RequestRecord, SendLedger, StoreError, StoredEvent, Tell,
    TenantRecord, UserStore,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A store in memory. Share it behind an `Arc`.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Everything>);

#[derive(Debug, Default, Clone)]
struct Everything {
    tenants: BTreeMap<TenantId, Tenant>,
    /// In the order of their numbers. Not of a tenant that is there: seals outlive theirs.
    seals: BTreeMap<TenantId, Vec<Seal>>,
    /// By the name of the exporter.
    exported: HashMap<(String, TenantId), Exported>,
    /// Positions count up through all tenants.
    last_position: u64,
    /// What a look at the log goes through at most, where that is bounded.
    look_through: Option<usize>,
}

#[derive(Debug, Default, Clone)]
struct Tenant {
    /// All revisions, oldest first; never empty.
    policies: Vec<TenantRecord>,
    users: HashMap<UserId, (Version, UserState)>,
    events: Vec<StoredEvent>,
    /// Events whose claims were erased, with the commitment to what was there.
    erased: HashMap<EventId, [u8; 32]>,
    outbox: Vec<Queued>,
    requests: HashMap<RequestKey, RequestRecord>,
    /// Gone for everything but its log.
    deleted: bool,
    /// The last event that was dropped.
    floor: Option<EventPosition>,
    /// Messages sent, by day and counter.
    sends: HashMap<(i64, [u8; 32]), u32>,
}

/// A notice that waits.
#[derive(Debug, Clone)]
struct Queued {
    notice: NoticeRecord,
    attempts: u32,
    /// Why the last try failed.
    last_error: String,
    /// When it is due; `None` is never again.
    due: Option<Timestamp>,
}

impl Tenant {
    fn revision(&self) -> PolicyRevision {
        self.policies.last().map_or(PolicyRevision(0), |record| record.revision)
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything, as if it were new.
    pub fn clear(&self) {
        *self.lock() = Everything::default();
    }

    /// From now on a look at the log stops when it went through so many events, as in a database whose log is long.
    pub fn look_through(&self, events: usize) {
        self.lock().look_through = Some(events);
    }

    fn lock(&self) -> MutexGuard<'_, Everything> {
        // A test that panicked while it held the lock left at worst an unfinished copy behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Everything {
    /// Makes the whole change, or says why none of it is made.
    fn commit(&mut self, change: ChangeSet) -> Result<(), Refused> {
        let now = change.decided_at().map_err(Refused::Error)?;
        let tenant = self.tenants.get_mut(&change.tenant).filter(|tenant| !tenant.deleted);
        let tenant = tenant.ok_or(Refused::Error(StoreError::TenantMissing))?;

        let mut users = Vec::with_capacity(change.users.len());
        for user in change.users {
            let stored = tenant.users.get(&user.user.user);
            users.push((user.user.user.clone(), apply_user(stored, user)?));
        }
        if let Some(request) = &change.request {
            let earlier = tenant.requests.get(&request.key);
            if earlier.is_some_and(|earlier| earlier.expire_time > now) {
                return Err(Refused::Conflict);
            }
        }

        let count = |day, counter| tenant.sends.get(&(day, counter)).copied().unwrap_or(0);
        let day = change.send.map(|charge| charge.counters.day);
        let charged = change.send.iter().flat_map(SendCharge::all);
        if charged.clone().any(|(counter, limit)| day.is_some_and(|day| count(day, counter) >= limit)) {
            return Err(Refused::Conflict);
        }

        // Every guard held: from here on nothing can fail.
        for (counter, _) in charged {
            *tenant.sends.entry((day.unwrap_or_default(), counter)).or_default() += 1;
        }
        tenant.users.extend(users);
        tenant.requests.extend(change.request.map(|request| (request.key.clone(), request)));
        self.last_position += 1;
        for (number, record) in (0..).zip(change.events) {
            let position = EventPosition { transaction: self.last_position, number };
            tenant.events.push(StoredEvent { position, record });
        }
        tenant.outbox.extend(change.notices.into_iter().map(|notice| Queued {
            attempts: 0,
            last_error: String::new(),
            due: Some(notice.create_time),
            notice,
        }));
        Ok(())
    }

    /// A tenant that is there and not deleted.
    fn live(&self, tenant: &TenantId) -> Option<&Tenant> {
        self.tenants.get(tenant).filter(|tenant| !tenant.deleted)
    }

    fn put_policy(&mut self, record: TenantRecord, mut change: ChangeSet, tell: Tell) -> Result<(), Refused> {
        let current = self.tenants.get(&record.tenant);
        if current.is_some_and(|tenant| tenant.deleted)
            || record.revision.0 != current.map_or(0, |tenant| tenant.revision().0) + 1
        {
            return Err(Refused::Conflict);
        }
        let tenant = self.tenants.entry(record.tenant.clone()).or_default();
        tenant.policies.push(record);
        if let (Tell::Managers, Some(event)) = (tell, change.events.first()) {
            change.notices.extend(tenant.notices_to_managers(event));
        }
        self.commit(change)
    }

    fn delete_tenant(&mut self, current: PolicyRevision, change: ChangeSet) -> Result<(), Refused> {
        let tenant = self.live(&change.tenant).ok_or(Refused::Error(StoreError::TenantMissing))?;
        if tenant.revision() != current {
            return Err(Refused::Conflict);
        }
        let id = change.tenant.clone();
        self.commit(change)?;
        let tenant = self.tenants.get_mut(&id).ok_or(Refused::Error(StoreError::TenantMissing))?;
        tenant.deleted = true;
        tenant.policies.clear();
        tenant.users.clear();
        tenant.requests.clear();
        tenant.outbox.retain(|queued| queued.due.is_some());
        Ok(())
    }
}

/// What callers are told of a refused change.
fn answer(result: Result<(), Refused>) -> Result<Commit, StoreError> {
    match result {
        Ok(()) => Ok(Commit::Done),
        Err(Refused::Conflict) => Ok(Commit::Conflict),
        Err(Refused::Error(error)) => Err(error),
    }
}

#[async_trait]
impl UserStore for MemoryStore {
    async fn load(&self, user: &UserRef, request: Option<&RequestKey>) -> Result<Option<Loaded>, StoreError> {
        let everything = self.lock();
        Ok(everything.live(&user.tenant).map(|tenant| {
            let stored = tenant.users.get(&user.user);
            Loaded {
                policy_revision: tenant.revision(),
                version: stored.map(|(version, _)| *version),
                state: stored.map(|(_, state)| state.clone()).unwrap_or_default(),
                earlier: request.and_then(|key| tenant.requests.get(key)).cloned(),
            }
        }))
    }

    async fn commit(&self, change: ChangeSet) -> Result<Commit, StoreError> {
        answer(self.lock().commit(change))
    }

    async fn is_committed(&self, tenant: &TenantId, event: EventId) -> Result<bool, StoreError> {
        let everything = self.lock();
        let tenant = everything.tenants.get(tenant);
        Ok(tenant.is_some_and(|tenant| tenant.events.iter().any(|stored| stored.record.id == event)))
    }
}

#[async_trait]
impl PolicyStore for MemoryStore {
    async fn policy(
        &self,
        tenant: &TenantId,
        revision: Option<PolicyRevision>,
    ) -> Result<Option<TenantRecord>, StoreError> {
        let everything = self.lock();
        let Some(tenant) = everything.live(tenant) else { return Ok(None) };
        let wanted = revision.unwrap_or(tenant.revision());
        Ok(tenant.policies.iter().find(|record| record.revision == wanted).cloned())
    }

    async fn put_policy(
        &self,
        record: TenantRecord,
        change: ChangeSet,
        tell: Tell,
    ) -> Result<Commit, StoreError> {
        let mut everything = self.lock();
        // Two changes in one: on a copy, so that a refused event leaves no policy behind.
        let mut next = everything.clone();
        let result = next.put_policy(record, change, tell);
        if result.is_ok() {
            *everything = next;
        }
        answer(result)
    }

    async fn delete_tenant(&self, current: PolicyRevision, change: ChangeSet) -> Result<Commit, StoreError> {
        answer(self.lock().delete_tenant(current, change))
    }

    async fn tenants(&self, after: Option<&TenantId>, limit: u32) -> Result<Vec<TenantRecord>, StoreError> {
        let everything = self.lock();
        let current = everything.tenants.values().filter_map(|tenant| tenant.policies.last());
        let later = current.filter(|record| after.is_none_or(|after| record.tenant > *after));
        Ok(later.take(limit as usize).cloned().collect())
    }
}

#[async_trait]
impl EventLog for MemoryStore {
    async fn look(&self, query: &EventQuery) -> Result<Look, StoreError> {
        let everything = self.lock();
        let events = everything.tenants.get(&query.tenant).map(|tenant| tenant.events.as_slice());
        let wanted = |stored: &&StoredEvent| {
            let record = &stored.record;
            query.after.is_none_or(|after| stored.position > after)
                && query.user.as_ref().is_none_or(|user| record.user.as_ref() == Some(user))
                && (query.kinds.is_empty() || query.kinds.contains(&record.event.kind))
                && query.start_time.is_none_or(|start| record.time >= start)
                && query.end_time.is_none_or(|end| record.time < end)
        };
        let events = events.unwrap_or_default();
        let behind =
            events.partition_point(|stored| query.after.is_some_and(|after| stored.position <= after));
        let end = everything.look_through.map_or(events.len(), |most| (behind + most).min(events.len()));
        let found: Vec<_> =
            events[behind..end].iter().filter(wanted).take(query.limit as usize).cloned().collect();
        let stopped = end < events.len() && found.len() < query.limit as usize;
        let stopped_at = events[..end].last().filter(|_| stopped).map(|last| last.position);
        Ok(Look { events: found, stopped_at })
    }

    async fn made_between(
        &self,
        tenant: &TenantId,
        kinds: &[EventType],
        (start, end): (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let (start, end) = (EventId::least_at(start), EventId::least_at(end));
        let everything = self.lock();
        let events =
            everything.tenants.get(tenant).map(|tenant| tenant.events.as_slice()).unwrap_or_default();
        let wanted = |stored: &&StoredEvent| {
            (start..end).contains(&stored.record.id) && kinds.contains(&stored.record.event.kind)
        };
        let mut found: Vec<_> = events.iter().filter(wanted).cloned().collect();
        found.sort_by_key(|stored| stored.record.id);
        found.truncate(limit as usize);
        Ok(found)
    }

    async fn floor(&self, tenant: &TenantId) -> Result<Option<EventPosition>, StoreError> {
        Ok(self.lock().tenants.get(tenant).and_then(|tenant| tenant.floor))
    }

    async fn head(&self, tenant: &TenantId) -> Result<Option<EventPosition>, StoreError> {
        let everything = self.lock();
        Ok(everything.tenants.get(tenant).and_then(|tenant| tenant.events.last()).map(|last| last.position))
    }
}

#[async_trait]
impl SendLedger for MemoryStore {
    async fn counts(&self, tenant: &TenantId, counters: &SendCounters) -> Result<SendCounts, StoreError> {
        let everything = self.lock();
        let sends = everything.tenants.get(tenant).map(|tenant| &tenant.sends);
        let count =
            |counter| sends.and_then(|sends| sends.get(&(counters.day, counter))).copied().unwrap_or(0);
        Ok(SendCounts {
            user: count(counters.user),
            number: count(counters.number),
            tenant: count(counters.tenant),
        })
    }

    async fn give_back(&self, tenant: &TenantId, counters: &SendCounters) -> Result<(), StoreError> {
        let mut everything = self.lock();
        let Some(tenant) = everything.tenants.get_mut(tenant) else { return Ok(()) };
        for counter in counters.all() {
            if let Some(count) = tenant.sends.get_mut(&(counters.day, counter)) {
                *count = count.saturating_sub(1);
            }
        }
        Ok(())
    }

    async fn charge(&self, tenant: &TenantId, charge: &SendCharge) -> Result<Commit, StoreError> {
        let mut everything = self.lock();
        let tenant = everything.tenants.get_mut(tenant).ok_or(StoreError::TenantMissing)?;
        let count = |counter| tenant.sends.get(&(charge.counters.day, counter)).copied().unwrap_or(0);
        if charge.all().iter().any(|(counter, limit)| count(*counter) >= *limit) {
            return Ok(Commit::Conflict);
        }
        for (counter, _) in charge.all() {
            *tenant.sends.entry((charge.counters.day, counter)).or_default() += 1;
        }
        Ok(Commit::Done)
    }
}

#[async_trait]
impl Maintenance for MemoryStore {
    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut swept = 0;
        for tenant in self.lock().tenants.values_mut() {
            tenant.requests.retain(|_, record| {
                let goes = record.expire_time <= now && swept < u64::from(limit);
                swept += u64::from(goes);
                !goes
            });
        }
        for tenant in self.lock().tenants.values_mut() {
            let today = budget::day(now);
            tenant.sends.retain(|(day, _), _| {
                let goes = *day < today && swept < u64::from(limit);
                swept += u64::from(goes);
                !goes
            });
        }
        Ok(swept)
    }

    /// It counts by looking at every user.
    async fn fold_counts(&self, _limit: u32) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn prepare_events(&self, _now: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    async fn drop_events(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut dropped = 0;
        for tenant in self.lock().tenants.values_mut() {
            dropped += tenant.drop_events(before);
        }
        Ok(dropped)
    }
}
