//! [`PostgresStore`]: what it is made of, and which module keeps which of its promises.

use crate::coalesce::CoalesceStats;
use crate::commit::{Committer, TenantWork, Work};
use crate::convert::time_out;
use crate::durability;
use crate::error::from_sql;
use crate::loader::{LOADERS, Loader};
use crate::options::PostgresOptions;
use crate::pool::Pool;
use crate::schema;
use crate::writer::{WRITERS, Writer};
use async_trait::async_trait;
use countersign_domain::coverage::{Facts, FactsAt};
use countersign_domain::event::EventType;
use countersign_domain::ids::{EventId, PolicyRevision, TeamId, TenantId, UserId, UserRef};
use countersign_domain::sms::budget::{SendCharge, SendCounters, SendCounts};
use countersign_domain::time::Timestamp;
use countersign_domain::user::ResetRequest;
use countersign_keyring::Keyring;
use countersign_ports::{
    ChangeSet, ClaimErasure, Commit, Erasing, EventLog, EventPosition, EventQuery, Loaded, Look, Maintenance,
    NoticeId, NoticeRecord, Outbox, OutboxEntry, PolicyStore, Random, RequestKey, ResetRequestQuery,
    SendLedger, StoreError, StoredEvent, Tell, TenantRecord, ToldOnce, UserQueries, UserQuery, UserStore,
};
use std::fmt;
use std::sync::Arc;

/// The store in PostgreSQL 14 or newer. Share it behind an `Arc`; it may be opened any number of times, by any number
/// of processes.
pub struct PostgresStore {
    pub(crate) pool: Arc<Pool>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) random: Arc<dyn Random>,
    committer: Arc<Committer>,
    pub(crate) group: Option<Group>,
    /// What was told of the log that somebody edited.
    pub(crate) told: ToldOnce,
}

/// What is there where calls that come at the same time are done together.
pub(crate) struct Group {
    pub(crate) loader: Loader,
    writer: Writer,
}

/// What was done together since the store was opened; see [`PostgresOptions::group_commit`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupStats {
    /// Commits of logins.
    pub commits: CoalesceStats,
    /// Loads.
    pub loads: CoalesceStats,
}

impl PostgresStore {
    /// Connects, and refuses a server that could lose commits (R61) and a schema older than this version; see
    /// [`crate::migrate`]. Keys are sealed and opened with `keyring`, nonces drawn from `random`.
    pub async fn connect(
        options: PostgresOptions,
        keyring: Arc<Keyring>,
        random: Arc<dyn Random>,
    ) -> Result<Self, StoreError> {
        let pool = Arc::new(Pool::new(&options)?);
        schema::check(&pool).await?;
        let committer =
            Committer { pool: Arc::clone(&pool), keyring: Arc::clone(&keyring), random: Arc::clone(&random) };
        let committer = Arc::new(committer);
        let group = options.group_commit.then(|| Group::start(&options, &committer)).transpose()?;
        Ok(Self { pool, keyring, random, committer, group, told: ToldOnce::default() })
    }

    /// How well calls that come at the same time are done together; all 0 where that is switched off.
    pub fn group_stats(&self) -> GroupStats {
        self.group.as_ref().map(Group::stats).unwrap_or_default()
    }
}

impl Group {
    /// Starts the writers and loaders, on connections of their own: theirs must not wait behind a list or a sweep.
    fn start(options: &PostgresOptions, committer: &Arc<Committer>) -> Result<Self, StoreError> {
        let connections = u32::try_from(WRITERS + LOADERS).unwrap_or(u32::MAX);
        let options = PostgresOptions { max_connections: connections, ..options.clone() };
        let pool = Arc::new(Pool::new(&options)?);
        let writer = Writer::start(Arc::clone(committer), Arc::clone(&pool));
        Ok(Self { loader: Loader::start(pool), writer })
    }

    fn stats(&self) -> GroupStats {
        GroupStats { commits: self.writer.stats(), loads: self.loader.stats() }
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("pool", &self.pool).finish_non_exhaustive()
    }
}

#[async_trait]
impl UserStore for PostgresStore {
    async fn load(&self, user: &UserRef, request: Option<&RequestKey>) -> Result<Option<Loaded>, StoreError> {
        self.load_user(user, request).await
    }

    async fn commit(&self, change: ChangeSet) -> Result<Commit, StoreError> {
        match &self.group {
            Some(group) => group.writer.commit(change).await,
            None => self.committer.commit_work(Work { change: &change, tenant: None }).await,
        }
    }

    async fn is_committed(&self, tenant: &TenantId, event: EventId) -> Result<bool, StoreError> {
        self.event_exists(tenant, event).await
    }
}

#[async_trait]
impl UserQueries for PostgresStore {
    async fn list(&self, query: &UserQuery) -> Result<Vec<UserId>, StoreError> {
        self.list_users(query).await
    }

    async fn count(
        &self,
        tenant: &TenantId,
        at: &FactsAt,
        teams: Option<&[TeamId]>,
    ) -> Result<Vec<(Facts, u64)>, StoreError> {
        self.count_users(tenant, at, teams).await
    }

    async fn with_keys_alone(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        self.count_keys_alone(tenant).await
    }

    async fn reset_requests(
        &self,
        query: &ResetRequestQuery,
    ) -> Result<Vec<(UserId, ResetRequest)>, StoreError> {
        self.list_reset_requests(query).await
    }
}

#[async_trait]
impl PolicyStore for PostgresStore {
    async fn policy(
        &self,
        tenant: &TenantId,
        revision: Option<PolicyRevision>,
    ) -> Result<Option<TenantRecord>, StoreError> {
        self.load_policy(tenant, revision).await
    }

    async fn put_policy(
        &self,
        record: TenantRecord,
        change: ChangeSet,
        tell: Tell,
    ) -> Result<Commit, StoreError> {
        let tenant = Some(TenantWork::Put(&record, tell));
        self.committer.commit_work(Work { change: &change, tenant }).await
    }

    async fn delete_tenant(&self, current: PolicyRevision, change: ChangeSet) -> Result<Commit, StoreError> {
        let tenant = Some(TenantWork::Delete(current));
        self.committer.commit_work(Work { change: &change, tenant }).await
    }

    async fn tenants(&self, after: Option<&TenantId>, limit: u32) -> Result<Vec<TenantRecord>, StoreError> {
        self.list_tenants(after, limit).await
    }
}

#[async_trait]
impl EventLog for PostgresStore {
    async fn look(&self, query: &EventQuery) -> Result<Look, StoreError> {
        self.look_at_events(query).await
    }

    async fn made_between(
        &self,
        tenant: &TenantId,
        kinds: &[EventType],
        times: (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.events_made_between(tenant, kinds, times, limit).await
    }

    async fn floor(&self, tenant: &TenantId) -> Result<Option<EventPosition>, StoreError> {
        self.event_floor(tenant).await
    }

    async fn head(&self, tenant: &TenantId) -> Result<Option<EventPosition>, StoreError> {
        self.event_head(tenant).await
    }
}

#[async_trait]
impl ClaimErasure for PostgresStore {
    async fn pending_erasure(&self, after: Option<&Erasing>) -> Result<Option<Erasing>, StoreError> {
        self.next_erasure(after).await
    }

    async fn erase_claims(&self, erasing: &Erasing, limit: u32) -> Result<Option<Erasing>, StoreError> {
        self.erase_page(erasing, limit).await
    }
}

#[async_trait]
impl Outbox for PostgresStore {
    async fn lease(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        self.lease_notices(now, lease_until, limit).await
    }

    async fn delivered(&self, notices: &[NoticeId]) -> Result<(), StoreError> {
        self.delete_notices(notices).await
    }

    async fn failed(
        &self,
        notice: &NoticeRecord,
        retry_time: Option<Timestamp>,
        why: &str,
    ) -> Result<(), StoreError> {
        self.postpone_notice(notice.id, retry_time, why).await
    }
}

#[async_trait]
impl SendLedger for PostgresStore {
    async fn counts(&self, tenant: &TenantId, counters: &SendCounters) -> Result<SendCounts, StoreError> {
        self.send_counts(tenant, counters).await
    }

    async fn give_back(&self, tenant: &TenantId, counters: &SendCounters) -> Result<(), StoreError> {
        self.give_back_send(tenant, counters).await
    }

    async fn charge(&self, tenant: &TenantId, charge: &SendCharge) -> Result<Commit, StoreError> {
        self.charge_send(tenant, charge).await
    }
}

#[async_trait]
impl Maintenance for PostgresStore {
    async fn check(&self) -> Result<(), StoreError> {
        let mut checkout = self.pool.checkout().await?;
        let settings = self.pool.within(durability::read(checkout.connection())).await;
        checkout.conclude(settings).map_err(|error| from_sql(&error))?.check()
    }

    async fn time(&self) -> Result<Option<Timestamp>, StoreError> {
        let query = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "time!""#);
        let mut checkout = self.pool.checkout().await?;
        let time = self.pool.within(query.fetch_one(checkout.connection())).await;
        checkout.conclude(time).map(|time| Some(time_out(time))).map_err(|error| from_sql(&error))
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let requests = self.sweep_requests(now, limit).await?;
        let sends = self.sweep_sends(now, limit).await?;
        // Each is bounded; whichever has more left calls for another round.
        Ok(requests.max(sends).max(self.sweep_deleted_tenants(limit).await?))
    }

    async fn fold_counts(&self, limit: u32) -> Result<u64, StoreError> {
        self.fold_tallies(limit).await
    }

    async fn prepare_events(&self, now: Timestamp) -> Result<(), StoreError> {
        self.make_partitions(now).await
    }

    async fn drop_events(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.drop_partitions(before).await
    }
}
