//! The use cases' engine: what they share, reads of users, the one road of every change of a user, and how every commit
//! is settled.

mod arguments;
mod change_set;
mod command;
mod occasion;
mod road;
mod settle;

pub use arguments::Arguments;
pub use command::{Answer, Done, Encode, Meta, Request};
pub(crate) use command::{Counted, Device, Parties, States, Subject};
pub(crate) use occasion::Occasion;
pub use road::REPEAT_FOR;

use crate::AppError;
use crate::committed::Committed;
use crate::denials::Denials;
use crate::deps::Deps;
use crate::fresh::Source;
use crate::measure::Known;
use crate::policies::{InForce, Policies};
use crate::queues::Queues;
use crate::seal_alarms::SealAlarms;
use crate::sms::Handed;
use countersign_domain::actor::Actor;
use countersign_domain::change::Decision;
use countersign_domain::context::Context;
use countersign_domain::denial::Denial;
use countersign_domain::digest::Digests;
use countersign_domain::ids::{TenantId, UserRef};
use countersign_domain::time::Timestamp;
use countersign_ports::{Loaded, RequestKey, StoreError};
use road::Road;
use std::sync::Arc;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// The use cases. Cheap to clone; clones share queues and caches.
#[derive(Clone)]
pub struct Application(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) deps: Deps,
    pub(crate) policies: Policies,
    pub(crate) seal_alarms: SealAlarms,
    pub(crate) denials: Denials,
    queues: Queues,
    known: Known,
    pub(crate) tasks: TaskTracker,
    /// Told of every commit of this node, so that who follows the log looks at once.
    pub(crate) committed: Committed,
    pub(crate) handed: Handed,
}

impl Application {
    /// The use cases over these dependencies.
    pub fn new(deps: Deps) -> Self {
        Self(Arc::new(Inner {
            policies: Policies::new(Arc::clone(&deps.policies)),
            deps,
            seal_alarms: SealAlarms::default(),
            denials: Denials::new(),
            queues: Queues::default(),
            known: Known::default(),
            tasks: TaskTracker::new(),
            committed: Committed::new(),
            handed: Handed::default(),
        }))
    }

    /// How often a backup of the store was put back: what was said of places in its log before does not hold after (R64).
    pub fn restores(&self) -> u64 {
        self.0.deps.restores
    }

    /// The digest keys, for opening tokens at the seam.
    pub fn digests(&self) -> &Digests {
        &self.0.deps.digests
    }

    /// The service's time: what every decision is made at.
    pub fn now(&self) -> Timestamp {
        self.0.deps.clock.now()
    }

    /// The same, if the clock can be relied on just now (R65): for what is told for good.
    pub fn trusted_now(&self) -> Option<Timestamp> {
        self.0.deps.clock.trusted_now()
    }

    /// Waits until every command under way is committed and answered. New ones are still taken: stop the callers first.
    pub async fn drained(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.tasks.reopen();
    }

    /// Runs a command in a task of its own: a caller who leaves changes nothing about it (R17).
    pub(crate) fn change<T, F>(
        &self,
        meta: Meta,
        subject: Subject,
        encode: Encode<T>,
        decide: F,
    ) -> impl Future<Output = Result<Answer<T>, AppError>> + use<T, F>
    where
        T: Send + 'static,
        F: Fn(&States<'_>, &Context<'_>, Source<'_>) -> Decision<Result<T, Denial>> + Send + Sync + 'static,
    {
        let road = Road { inner: Arc::clone(&self.0), meta, subject, encode, decide };
        self.in_own_task(async move { road.run().await })
    }

    /// Runs work in a task of its own, which goes on where the caller leaves (R17). A panic goes on in the caller, as if there
    /// were no task between them, and is not told a second time (R48).
    ///
    /// The task begins at once, and not when it is first waited for: what waits does not hold the work beside it.
    pub(crate) fn in_own_task<T: Send + 'static, W>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<T, AppError>> + use<T, W>
    where
        W: Future<Output = Result<T, AppError>> + Send + 'static,
    {
        let task = self.0.tasks.spawn(work.in_current_span());
        async move {
            match task.await {
                Ok(result) => result,
                Err(ended) => match ended.try_into_panic() {
                    // The panic hook, which tells of it, ran where it began and does not run again.
                    Ok(panicked) => std::panic::resume_unwind(panicked),
                    Err(_) => Err(AppError::Interrupted),
                },
            }
        }
    }
}

/// A user as read, with the policy to judge by.
pub(crate) struct Snapshot {
    pub(crate) loaded: Loaded,
    pub(crate) policy: Arc<InForce>,
    pub(crate) now: Timestamp,
}

impl Inner {
    /// The user as stored. Rows that do not open refuse, whatever was asked, and are told of.
    async fn load(&self, user: &UserRef, request: Option<&RequestKey>) -> Result<Loaded, AppError> {
        match self.deps.users.load(user, request).await {
            Ok(loaded) => loaded.ok_or(AppError::TenantNotFound),
            Err(error) => {
                if let StoreError::SealBroken { entity, .. } = &error {
                    // Rare and large: a future of its own, so that no load makes room for it.
                    Box::pin(self.tell_broken_seal(user, entity)).await;
                }
                Err(error.into())
            }
        }
    }

    /// The others that a decision needs, as stored; unknown ones have the default state.
    pub(crate) async fn parties(&self, users: &Parties<UserRef>) -> Result<Parties<Loaded>, AppError> {
        let mut parties = Parties::NOBODY;
        if let Some(user) = &users.actor {
            parties.actor = Some(self.load(user, None).await?);
        }
        if let Some(user) = &users.second {
            parties.second = Some(self.load(user, None).await?);
        }
        Ok(parties)
    }

    /// Reads a user without changing anything.
    pub(crate) async fn snapshot(&self, user: &UserRef) -> Result<Snapshot, AppError> {
        let loaded = self.load(user, None).await?;
        let policy = self.policies.get(&user.tenant, loaded.policy_revision).await?;
        Ok(Snapshot { loaded, policy, now: self.deps.clock.now() })
    }

    /// What is stored of the actor; `None` for operators and jobs, of whom nothing is.
    pub(crate) async fn actor_snapshot(
        &self,
        tenant: &TenantId,
        actor: &Actor,
    ) -> Result<Option<Snapshot>, AppError> {
        match actor.user_in(tenant) {
            Some(user) => self.snapshot(&user).await.map(Some),
            None => Ok(None),
        }
    }

    /// The surroundings of a decision about the user, with what they are for every decision of this service.
    pub(crate) fn context<'a>(
        &'a self,
        user: &'a UserRef,
        policy: &'a InForce,
        now: Timestamp,
    ) -> Context<'a> {
        let InForce { policy, since } = policy;
        let (digests, keys) = (&self.deps.digests, &*self.deps.keys);
        let gateway = self.deps.text_messages.is_some();
        Context { user, policy, policy_since: *since, digests, keys, gateway, now }
    }

    /// The time to decide at. Refused while the clock cannot be relied on: a time ahead would consume steps that have not
    /// come, a time behind take codes that have expired (R65).
    pub(crate) fn trusted_now(&self) -> Result<Timestamp, AppError> {
        self.deps.clock.trusted_now().ok_or(AppError::ClockUntrusted)
    }
}
