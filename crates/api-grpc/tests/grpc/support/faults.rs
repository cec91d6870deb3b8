//! Stores that fail, or take their time, when told to.

use async_trait::async_trait;
use countersign_domain::event::EventType;
use countersign_domain::ids::{EventId, TenantId, UserRef};
use countersign_domain::time::Timestamp;
use countersign_ports::{
    ChangeSet, Commit, EventLog, EventPosition, EventQuery, Loaded, Look, RequestKey, StoreError,
    StoredEvent, UserStore,
};
use countersign_testkit::MemoryStore;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;

/// What happens to the next loads or commits.
#[derive(Clone, Default)]
pub(crate) enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The store cannot be reached.
    Unavailable,
    /// The reply to a commit that did not happen was lost.
    OutcomeUnknown,
    /// A row that nobody can have written.
    Corrupt,
    /// A sealed value does not open.
    SealBroken,
    /// Somebody else was faster.
    Conflict,
    /// The same, with the next commit alone.
    ConflictOnce,
    /// A panic.
    Panic,
    /// Waits until the semaphore has a permit, then goes on.
    Wait(Arc<Semaphore>),
}

impl Fault {
    async fn strike(self) -> Result<Option<Commit>, StoreError> {
        match self {
            Self::None => Ok(None),
            Self::Unavailable => Err(StoreError::Unavailable("connection refused at 10.0.0.7".into())),
            Self::OutcomeUnknown => Err(StoreError::OutcomeUnknown("connection reset".into())),
            Self::Corrupt => {
                let (entity, problem) = ("authenticator", "a negative step");
                Err(StoreError::Corrupt { entity, id: "row-id-that-nobody-is-told".to_owned(), problem })
            }
            Self::SealBroken => {
                let id = "row-id-that-nobody-is-told".to_owned();
                Err(StoreError::SealBroken { entity: "authenticator", id })
            }
            Self::Conflict | Self::ConflictOnce => Ok(Some(Commit::Conflict)),
            Self::Panic => panic!("the store of a test panics"),
            Self::Wait(until) => {
                until.acquire().await.unwrap().forget();
                Ok(None)
            }
        }
    }
}

/// A memory store whose loads and commits can be made to fail.
pub(crate) struct FaultyStore {
    pub(crate) inner: Arc<MemoryStore>,
    pub(crate) load: Mutex<Fault>,
    pub(crate) commit: Mutex<Fault>,
    /// Commits that have begun.
    pub(crate) commits: AtomicUsize,
}

#[async_trait]
impl UserStore for FaultyStore {
    async fn load(&self, user: &UserRef, request: Option<&RequestKey>) -> Result<Option<Loaded>, StoreError> {
        let fault = self.load.lock().unwrap().clone();
        fault.strike().await?;
        self.inner.load(user, request).await
    }

    async fn commit(&self, change: ChangeSet) -> Result<Commit, StoreError> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        let fault = {
            let mut fault = self.commit.lock().unwrap();
            let next = if matches!(*fault, Fault::ConflictOnce) { Fault::None } else { fault.clone() };
            std::mem::replace(&mut *fault, next)
        };
        match fault.strike().await? {
            Some(commit) => Ok(commit),
            None => self.inner.commit(change).await,
        }
    }

    async fn is_committed(&self, tenant: &TenantId, event: EventId) -> Result<bool, StoreError> {
        self.inner.is_committed(tenant, event).await
    }
}

/// The log of a memory store. Looks at it can be made to take their time, by a test whose time stands still.
pub(crate) struct SlowLog {
    pub(crate) inner: Arc<MemoryStore>,
    pub(crate) takes: Mutex<Option<Duration>>,
    /// Looks for some types alone wait until this has a permit.
    pub(crate) held: Mutex<Option<Arc<Semaphore>>>,
    /// Looks that had to wait.
    pub(crate) held_up: AtomicUsize,
}

#[async_trait]
impl EventLog for SlowLog {
    async fn look(&self, query: &EventQuery) -> Result<Look, StoreError> {
        let takes = *self.takes.lock().unwrap();
        if let Some(takes) = takes {
            tokio::time::advance(takes).await;
        }
        let held = self.held.lock().unwrap().clone();
        if let Some(until) = held.filter(|_| !query.kinds.is_empty()) {
            self.held_up.fetch_add(1, Ordering::SeqCst);
            until.acquire().await.unwrap().forget();
        }
        self.inner.look(query).await
    }

    async fn made_between(
        &self,
        tenant: &TenantId,
        kinds: &[EventType],
        times: (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.inner.made_between(tenant, kinds, times, limit).await
    }

    async fn floor(&self, tenant: &TenantId) -> Result<Option<EventPosition>, StoreError> {
        self.inner.floor(tenant).await
    }

    async fn head(&self, tenant: &TenantId) -> Result<Option<EventPosition>, StoreError> {
        self.inner.head(tenant).await
    }
}
