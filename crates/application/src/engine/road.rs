//! The one road of every change of a user: load, decide, commit; on a conflict once more.
//!
//! The reply leaves after the commit, negative ones included.

use super::change_set::change_set;
use super::command::{Answer, Counted, Done, Encode, Meta, Parties, Request, States, Subject};
use super::{Inner, Occasion};
use crate::AppError;
use crate::fresh::Source;
use crate::measure::{self, Tally};
use countersign_domain::change::Decision;
use countersign_domain::context::Context;
use countersign_domain::denial::Denial;
use countersign_domain::digest::Digest;
use countersign_domain::etag::Etag;
use countersign_domain::ids::EventId;
use countersign_domain::secret::SecretBytes;
use countersign_domain::sms::budget::{self, SendCounts};
use countersign_domain::sms::sending;
use countersign_domain::user::UserState;
use countersign_ports::{ChangeSet, Commit, Loaded, RequestKey, RequestRecord};
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;

/// Rounds before a command gives up on a user whom others keep changing.
const MAX_ROUNDS: usize = 16;
/// How long the answer to a request is kept to be repeated (ruling 8).
pub const REPEAT_FOR: Duration = Duration::from_mins(10);

/// A command on its way: what is asked, and who decides it.
pub(super) struct Road<T, F> {
    pub(super) inner: Arc<Inner>,
    pub(super) meta: Meta,
    pub(super) subject: Subject,
    pub(super) encode: Encode<T>,
    pub(super) decide: F,
}

/// What a decision is made of.
struct Read {
    loaded: Loaded,
    /// The others that it needs.
    parties: Parties<Loaded>,
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

impl<T, F> Road<T, F>
where
    F: Fn(&States<'_>, &Context<'_>, Source<'_>) -> Decision<Result<T, Denial>>,
{
    /// Goes the road, once more after each conflict.
    pub(super) async fn run(&self) -> Result<Answer<T>, AppError> {
        let _turn = self.inner.queues.enter(&self.subject.user).await?;
        for _ in 0..MAX_ROUNDS {
            if let Round::Answered(answer) = self.round().await? {
                return Ok(answer);
            }
            measure::conflicted();
            tracing::debug!(tenant_id = %self.subject.user.tenant, "another node was faster; deciding again");
        }
        Err(AppError::Contended)
    }

    async fn round(&self) -> Result<Round<T>, AppError> {
        let Self { inner, meta, subject, .. } = self;
        let now = inner.trusted_now()?;
        let key = meta.request.as_ref().map(|request| RequestKey {
            caller: meta.caller.clone(),
            user: subject.user.clone(),
            id: request.id,
        });
        let loaded = inner.load(&subject.user, key.as_ref()).instrument(measure::load()).await?;
        let earlier = loaded.earlier.as_ref().filter(|earlier| earlier.expire_time > now);
        let arguments = meta.request.as_ref().map(|request| self.arguments(request, earlier));
        if let Some(earlier) = earlier {
            let same = arguments == Some(earlier.arguments);
            let reply = same.then(|| earlier.reply.clone()).ok_or(AppError::RequestIdReused)?;
            return Ok(Round::Answered(Answer::Repeated(reply)));
        }
        if subject.etag.is_some_and(|etag| etag != Etag::of(&loaded.state)) {
            return Err(AppError::EtagMismatch);
        }
        let policy = inner.policies.get(&subject.user.tenant, loaded.policy_revision).await?;
        let parties = inner.parties(&subject.parties).await?;
        let ctx = inner.context(&subject.user, &policy, now);
        let sent = self.sent(&loaded.state, &ctx).await?;
        let read = Read { loaded, parties, sent, request: key.zip(arguments) };
        let Decided { outcome, commit } = self.decided(read, &ctx)?;
        let Some(Durable { change, event, tally }) = commit else {
            return Ok(Round::Answered(Answer::Fresh(outcome, None)));
        };
        let kept = change.request.as_ref().map(|request| request.reply.clone());
        Ok(match inner.commit(change, event).instrument(measure::commit()).await? {
            Commit::Done => {
                tally.committed(&inner.known);
                Round::Answered(Answer::Fresh(outcome, kept))
            }
            Commit::Conflict => Round::Conflicted,
        })
    }

    /// What was sent today to the telephone that is counted.
    async fn sent(&self, state: &UserState, ctx: &Context<'_>) -> Result<SendCounts, AppError> {
        let number = match &self.subject.counted {
            None => None,
            Some(Counted::Number(number)) => Some(number.clone()),
            Some(Counted::Challenge(command)) => sending::number_of(state, command),
        };
        let Some(number) = number else { return Ok(SendCounts::default()) };
        let counters = budget::counters(ctx, &number);
        Ok(self.inner.deps.sends.counts(&self.subject.user.tenant, &counters).await?)
    }

    /// The digest of the arguments, under the key that the earlier answer was digested with, where there is one.
    fn arguments(&self, request: &Request, earlier: Option<&RequestRecord>) -> Digest {
        let key = earlier.map(|earlier| earlier.arguments.key);
        request.arguments.digest(&self.inner.deps.digests.guesses, key)
    }

    /// Decides, and makes of the decision what is to be committed. No `async fn`: none of it is held while that is waited for.
    fn decided(&self, read: Read, ctx: &Context<'_>) -> Result<Decided<T>, AppError> {
        let Self { inner, meta, subject, encode, decide } = self;
        let (Read { loaded, parties, sent, request }, now) = (read, ctx.now);
        let source = Source { random: inner.deps.random.as_ref(), now };
        let states = States { own: &loaded.state, parties: parties.as_ref().map(|party| &party.state), sent };
        let decision = decide(&states, ctx, source);
        let Decision { outcome, effect, .. } = decision;
        let event = source.event();
        let outcome =
            outcome.map(|value| Done { value, event, policy_revision: loaded.policy_revision, time: now });
        let told_actor = effect.actor.as_ref().is_some_and(|actor| !actor.events.is_empty());
        if effect.own.events.is_empty() && !told_actor {
            // A denial that charges nothing and tells nothing leaves no trace to commit.
            return Ok(Decided { outcome, commit: None });
        }
        let request = request.map(|(key, arguments)| RequestRecord {
            key,
            arguments,
            reply: SecretBytes::new(encode(&outcome)),
            expire_time: now.plus(REPEAT_FOR),
        });
        let tally = Tally::of(&inner.known, &effect.own.events, &loaded.state, &effect.own.next, now);
        let (tenant, policy_revision) = (&subject.user.tenant, loaded.policy_revision);
        let occasion = Occasion { tenant, policy_revision, meta, source };
        let change = change_set(occasion, subject, &loaded, &parties, effect, request, event)?;
        Ok(Decided { outcome, commit: Some(Durable { change, event, tally }) })
    }
}

impl Inner {
    async fn commit(&self, change: ChangeSet, event: EventId) -> Result<Commit, AppError> {
        let tenant = change.tenant.clone();
        let ended = self.deps.users.commit(change).await;
        self.settle(&tenant, event, ended).await
    }
}
