//! The one road of every change: load, decide, commit; on a conflict once more.
//!
//! The reply leaves after the commit, negative ones included. A commit whose reply was lost is resolved by looking for
//! its event, never by trying again (R60).

mod arguments;
mod change_set;
mod command;

pub use arguments::Arguments;
pub use command::{Answer, Done, Encode, Etag, Meta, Request};
pub(crate) use command::{Counted, Device, States, Subject};

use crate::AppError;
use crate::committed::Committed;
use crate::denials::Denials;
use crate::deps::Deps;
use crate::fresh::Source;
use crate::measure::{self, Known, Tally};
use crate::policies::{InForce, Policies};
use crate::queues::Queues;
use crate::seal_alarms::SealAlarms;
use crate::sms::Handed;
use change_set::change_set;
use countersign_domain::actor::Actor;
use countersign_domain::change::Decision;
use countersign_domain::context::Context;
use countersign_domain::denial::Denial;
use countersign_domain::digest::{Digest, Digests};
use countersign_domain::ids::{EventId, TenantId, UserRef, Version};
use countersign_domain::secret::SecretBytes;
use countersign_domain::sms::budget::{self, SendCounts};
use countersign_domain::sms::sending;
use countersign_domain::time::Timestamp;
use countersign_domain::user::UserState;
use countersign_ports::{ChangeSet, Commit, Loaded, RequestKey, RequestRecord, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// Rounds before a command gives up on a user whom others keep changing.
const MAX_ROUNDS: usize = 16;
/// How long the answer to a request is kept to be repeated (ruling 8).
pub const REPEAT_FOR: Duration = Duration::from_mins(10);

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
            denials: Denials::default(),
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
        let inner = Arc::clone(&self.0);
        self.in_own_task(async move { inner.run(&meta, &subject, &encode, &decide).await })
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
                    Box::pin(self.seal_alarms.tell((&self.deps, &self.committed), user, entity)).await;
                }
                Err(error.into())
            }
        }
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
        Context { user, policy, policy_since: *since, digests, keys, now }
    }
}

/// What a decision is made of.
struct Read {
    loaded: Loaded,
    /// The others that it needs, in their order.
    parties: Vec<Loaded>,
    sent: SendCounts,
    /// The request to be answered again in the same way, with the digest of its arguments.
    request: Option<(RequestKey, Digest)>,
}

/// A decision as it will be told, and what makes it durable; `None` where it leaves no trace.
struct Decided<T> {
    outcome: Result<Done<T>, Denial>,
    commit: Option<Durable>,
}

/// What is committed, the first event of it, and what counts once it is.
struct Durable {
    change: ChangeSet,
    event: EventId,
    tally: Tally,
}

/// How one round of the road ended.
enum Round<T> {
    Answered(Answer<T>),
    Conflicted,
}

impl Inner {
    async fn run<T, F>(
        &self,
        meta: &Meta,
        subject: &Subject,
        encode: &Encode<T>,
        decide: &F,
    ) -> Result<Answer<T>, AppError>
    where
        F: Fn(&States<'_>, &Context<'_>, Source<'_>) -> Decision<Result<T, Denial>> + Sync,
    {
        let _turn = self.queues.enter(&subject.user).await?;
        for _ in 0..MAX_ROUNDS {
            if let Round::Answered(answer) = self.round(meta, subject, encode, decide).await? {
                return Ok(answer);
            }
            measure::conflicted();
            tracing::debug!(tenant_id = %subject.user.tenant, "another node was faster; deciding again");
        }
        Err(AppError::Contended)
    }

    async fn round<T, F>(
        &self,
        meta: &Meta,
        subject: &Subject,
        encode: &Encode<T>,
        decide: &F,
    ) -> Result<Round<T>, AppError>
    where
        F: Fn(&States<'_>, &Context<'_>, Source<'_>) -> Decision<Result<T, Denial>> + Sync,
    {
        let now = self.trusted_now()?;
        let key = meta.request.as_ref().map(|request| RequestKey {
            caller: meta.caller.clone(),
            user: subject.user.clone(),
            id: request.id,
        });
        let loaded = self.load(&subject.user, key.as_ref()).instrument(measure::load()).await?;
        let earlier = loaded.earlier.as_ref().filter(|earlier| earlier.expire_time > now);
        let arguments = meta.request.as_ref().map(|request| self.arguments(request, earlier));
        if let Some(earlier) = earlier {
            let same = arguments == Some(earlier.arguments);
            let reply = same.then(|| earlier.reply.clone()).ok_or(AppError::RequestIdReused)?;
            return Ok(Round::Answered(Answer::Repeated(reply)));
        }
        if subject.etag.is_some_and(|etag| etag.0 != loaded.version) {
            return Err(AppError::EtagMismatch);
        }
        let policy = self.policies.get(&subject.user.tenant, loaded.policy_revision).await?;
        let parties = self.parties(subject).await?;
        let ctx = self.context(&subject.user, &policy, now);
        let sent = self.sent(subject, &loaded.state, &ctx).await?;
        let read = Read { loaded, parties, sent, request: key.zip(arguments) };
        let Decided { outcome, commit } = self.decide(meta, subject, encode, decide, read, &ctx);
        let Some(Durable { change, event, tally }) = commit else {
            return Ok(Round::Answered(Answer::Fresh(outcome)));
        };
        Ok(match self.commit(change, event).instrument(measure::commit()).await? {
            Commit::Done => {
                tally.committed(&self.known);
                Round::Answered(Answer::Fresh(outcome))
            }
            Commit::Conflict => Round::Conflicted,
        })
    }

    /// Decides, and makes of the decision what is to be committed. No `async fn`: none of it is held while that is waited for.
    fn decide<T, F>(
        &self,
        meta: &Meta,
        subject: &Subject,
        encode: &Encode<T>,
        decide: &F,
        read: Read,
        ctx: &Context<'_>,
    ) -> Decided<T>
    where
        F: Fn(&States<'_>, &Context<'_>, Source<'_>) -> Decision<Result<T, Denial>>,
    {
        let (Read { loaded, parties, sent, request }, now) = (read, ctx.now);
        let source = Source { random: self.deps.random.as_ref(), now };
        let states: Vec<_> = parties.iter().map(|party| party.state.clone()).collect();
        let decision = decide(&States { own: &loaded.state, parties: &states, sent }, ctx, source);
        let (outcome, decision) = decision.split();
        let event = source.event();
        let outcome = outcome.map(|value| Done {
            value,
            event,
            policy_revision: loaded.policy_revision,
            version: version_after(&loaded, &decision.next),
            time: now,
        });
        let told_actor = decision.actor.as_ref().is_some_and(|actor| !actor.events.is_empty());
        if decision.events.is_empty() && !told_actor {
            // A denial that charges nothing and tells nothing leaves no trace to commit.
            return Decided { outcome, commit: None };
        }
        let request = request.map(|(key, arguments)| RequestRecord {
            key,
            arguments,
            reply: SecretBytes::new(encode(&outcome)),
            expire_time: now.plus(REPEAT_FOR),
        });
        let tally = Tally::of(&self.known, &decision.events, &loaded.state, &decision.next, now);
        let change = change_set(meta, subject, (&loaded, &parties), decision, request, source, event);
        Decided { outcome, commit: Some(Durable { change, event, tally }) }
    }

    /// The time to decide at. Refused while the clock cannot be relied on: a time ahead would consume steps that have not
    /// come, a time behind take codes that have expired (R65).
    pub(crate) fn trusted_now(&self) -> Result<Timestamp, AppError> {
        self.deps.clock.trusted_now().ok_or(AppError::ClockUntrusted)
    }

    /// What was sent today to the telephone that is counted.
    async fn sent(
        &self,
        subject: &Subject,
        state: &UserState,
        ctx: &Context<'_>,
    ) -> Result<SendCounts, AppError> {
        let number = match &subject.counted {
            None => None,
            Some(Counted::Number(number)) => Some(number.clone()),
            Some(Counted::Challenge(command)) => sending::number_of(state, command),
        };
        let Some(number) = number else { return Ok(SendCounts::default()) };
        Ok(self.deps.sends.counts(&subject.user.tenant, &budget::counters(ctx, &number)).await?)
    }

    /// The others that the decision needs, as loaded; unknown ones have the default state.
    async fn parties(&self, subject: &Subject) -> Result<Vec<Loaded>, AppError> {
        let mut parties = Vec::with_capacity(subject.parties.len());
        for user in &subject.parties {
            parties.push(self.load(user, None).await?);
        }
        Ok(parties)
    }

    /// Commits, and finds out where the store cannot say whether it did.
    async fn commit(&self, change: ChangeSet, event: EventId) -> Result<Commit, AppError> {
        let tenant = change.tenant.clone();
        let result = self.deps.users.commit(change).await;
        // Whatever came of it: looking once too often harms nobody.
        self.committed.tell(&tenant);
        match result {
            Err(StoreError::OutcomeUnknown(cause)) => {
                tracing::warn!(tenant_id = %tenant, event_id = %event, "the reply to a commit was lost; looking for its event");
                if self.deps.users.is_committed(&tenant, event).await? {
                    Ok(Commit::Done)
                } else {
                    // It may still be under way: refusing is safe, deciding again would not be.
                    Err(StoreError::Unavailable(cause).into())
                }
            }
            result => Ok(result?),
        }
    }

    /// The digest of the arguments, under the key that the earlier answer was digested with, where there is one.
    fn arguments(&self, request: &Request, earlier: Option<&RequestRecord>) -> Digest {
        request.arguments.digest(&self.deps.digests.guesses, earlier.map(|earlier| earlier.arguments.key))
    }
}

fn version_after(loaded: &Loaded, next: &UserState) -> Option<Version> {
    if *next == loaded.state {
        return loaded.version;
    }
    Some(loaded.version.map_or(Version(1), Version::next))
}
