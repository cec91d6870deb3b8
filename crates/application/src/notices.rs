//! Empties the outbox: leases what is due, hands it to the notifier, settles what became of it (R57).
//!
//! At least once: a crash between delivery and settling repeats it, with the same id. In order per user: a store leases
//! only the oldest notice of each, so the next one is leased after that one is settled. Nodes share the work by leases.

use crate::engine::Inner;
use crate::{AppError, Application};
use countersign_domain::time::Timestamp;
use countersign_ports::{Letter, NoticeId, Notifier, NotifyError, OutboxEntry};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

/// Notices under way at the same time, each of another user. Leased only when they can be delivered at once, so that no
/// lease is spent waiting.
const CONCURRENCY: usize = 16;
/// Places that are free before more are leased: a lease is a flush to the disk, whether of one notice or of many.
const LEASED_TOGETHER: usize = CONCURRENCY / 2;
/// How often is looked for notices that came, or that fell due, while deliveries are under way: a slow one holds up its own
/// user and nobody else. For that much patience a single free place is worth a lease.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How much longer than the slowest delivery a lease lasts: room to settle it. A crashed node's are taken over then.
const LEASE_FACTOR: u32 = 2;
/// How long deliveries under way may take after the node was told to stop; then they are released to other nodes.
const FAREWELL: Duration = Duration::from_secs(10);

/// When a delivery that failed is tried again, and when it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoticeRules {
    /// The first pause after a failed try; it doubles each time. Up to a quarter less, differently for each notice, so
    /// that not all of them come back at once.
    pub first_pause: Duration,
    /// The longest pause.
    pub max_pause: Duration,
    /// Tries before a notice is a dead letter. Whoever leases one counts as trying; so that those who could not even try (a
    /// version that does not know its event, a node that was stopped) do not use up its tries, it is not given up sooner
    /// than that many tries take.
    pub max_attempts: u32,
    /// The longest delivery; a slower one is given up and tried again. A lease lasts twice as long.
    pub delivery_timeout: Duration,
}

impl Default for NoticeRules {
    /// Gives up after 42 to 57 hours: the pauses between 20 tries, without and with all that is taken off them.
    fn default() -> Self {
        Self {
            first_pause: Duration::from_secs(15),
            max_pause: Duration::from_hours(6),
            max_attempts: 20,
            delivery_timeout: Duration::from_mins(1),
        }
    }
}

impl NoticeRules {
    /// The longest pause after the try that comes after `tried` others.
    fn pause(&self, tried: u32) -> Duration {
        let doubled = 1_u32.checked_shl(tried).unwrap_or(u32::MAX);
        self.first_pause.saturating_mul(doubled).min(self.max_pause)
    }

    /// How long all tries take at least: their pauses with all that is taken off them.
    fn shortest_life(&self) -> Duration {
        let pauses = (0..self.max_attempts.saturating_sub(1)).map(|tried| self.pause(tried));
        pauses.fold(Duration::ZERO, |sum, pause| sum.saturating_add(pause / 4 * 3))
    }
}

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dispatched {
    /// Delivered.
    pub delivered: usize,
    /// Settled without anybody to tell.
    pub unaddressed: usize,
    /// To be tried again.
    pub postponed: usize,
    /// Given up on.
    pub dead: usize,
}

impl Application {
    /// Delivers what is due until nothing is, or until `stop`; then what is under way is finished or released.
    pub async fn dispatch_notices(
        &self,
        notifier: &Arc<dyn Notifier>,
        rules: NoticeRules,
        stop: &CancellationToken,
    ) -> Result<Dispatched, AppError> {
        let mut round = Round {
            inner: Arc::clone(&self.0),
            notifier: Arc::clone(notifier),
            rules,
            running: JoinSet::new(),
            entries: HashMap::new(),
            done: Dispatched::default(),
        };
        // Nothing is leased any more after a failure of the store, but what is under way is settled.
        let mut failure = None;
        let (mut more, mut worth_a_lease) = (true, LEASED_TOGETHER);
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.reset();
        loop {
            let free = CONCURRENCY - round.running.len();
            if more && free >= worth_a_lease && failure.is_none() && !stop.is_cancelled() {
                worth_a_lease = LEASED_TOGETHER;
                match round.lease(free).await {
                    Ok(leased) => more = leased == free,
                    Err(error) => failure = Some(error),
                }
            }
            let next = tokio::select! {
                biased;
                next = round.running.join_next_with_id() => next,
                () = stop.cancelled() => {
                    round.wind_up().await?;
                    None
                }
                _ = look.tick() => {
                    (more, worth_a_lease) = (true, 1);
                    continue;
                }
            };
            let Some(next) = next else { break };
            let ended = round.ended_with(next).await;
            match round.settle(ended).await {
                // The next notices of those users may be due.
                Ok(any) => more |= any,
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(round.done), Err)
    }
}

/// Deliveries under way.
struct Round {
    inner: Arc<Inner>,
    notifier: Arc<dyn Notifier>,
    rules: NoticeRules,
    running: JoinSet<Delivery>,
    /// What each of them delivers.
    entries: HashMap<Id, OutboxEntry>,
    done: Dispatched,
}

/// What came of a try: an error where it could not even be made.
type Delivery = Result<Result<(), NotifyError>, AppError>;
type Joined = Result<(Id, Delivery), JoinError>;

impl Round {
    /// Leases at most `free` notices and starts to deliver them; none by a clock that cannot be relied on (R65): leases from
    /// a clock that jumped ahead would hold notices until their time has come, and nobody else would deliver them.
    async fn lease(&mut self, free: usize) -> Result<usize, AppError> {
        let deps = &self.inner.deps;
        let Some(now) = deps.clock.trusted_now() else { return Ok(0) };
        let limit = u32::try_from(free).unwrap_or(u32::MAX);
        let leased =
            deps.outbox.lease(now, now.plus(self.rules.delivery_timeout * LEASE_FACTOR), limit).await?;
        let count = leased.len();
        for entry in leased {
            let task =
                deliver(Arc::clone(&self.inner), Arc::clone(&self.notifier), self.rules, entry.clone());
            self.entries.insert(self.running.spawn(task).id(), entry);
        }
        Ok(count)
    }

    /// Those that have ended by now, with the first of them: a quick channel ends many at the same time.
    async fn ended_with(&mut self, first: Joined) -> Vec<Joined> {
        tokio::task::yield_now().await;
        let mut ended = vec![first];
        ended.extend(std::iter::from_fn(|| self.running.try_join_next_with_id()));
        ended
    }

    /// Writes down what became of them, those that are done with in one go. Says whether any are, or are given up. One that
    /// panicked failed like any other, so that it cannot hold its user's notices up for ever.
    async fn settle(&mut self, ended: Vec<Joined>) -> Result<bool, AppError> {
        let (mut settled, mut counted, mut failure) = (Vec::new(), Dispatched::default(), None);
        for joined in ended {
            let id = joined.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
            let Some(entry) = self.entries.remove(&id) else { continue };
            let delivered = match joined {
                Ok((_, Ok(delivered))) => delivered,
                Ok((_, Err(error))) => {
                    failure = failure.or(Some(error));
                    continue;
                }
                // What a panic says may carry what was being worked on (R53).
                Err(_) => Err(NotifyError::Transient("the delivery panicked".into())),
            };
            match delivered {
                Ok(()) => {
                    counted.delivered += 1;
                    settled.push(entry.notice.id);
                }
                Err(NotifyError::NoAddress) => {
                    tracing::info!(
                        notice_id = %entry.notice.id.0, event_id = %entry.event.id, tenant_id = %entry.event.tenant,
                        "nobody was told: the directory knows no address of the user"
                    );
                    counted.unaddressed += 1;
                    settled.push(entry.notice.id);
                }
                Err(error) => match self.inner.put_off(&entry, &error, self.rules).await {
                    Ok(true) => self.done.postponed += 1,
                    Ok(false) => self.done.dead += 1,
                    Err(error) => failure = failure.or(Some(error)),
                },
            }
        }
        if !settled.is_empty() {
            self.inner.deps.outbox.delivered(&settled).await?;
        }
        self.done.delivered += counted.delivered;
        self.done.unaddressed += counted.unaddressed;
        failure.map_or(Ok(!settled.is_empty()), Err)
    }

    /// Waits a little for what is under way, and releases what is not done by then.
    async fn wind_up(&mut self) -> Result<(), AppError> {
        let finishing = async {
            while let Some(joined) = self.running.join_next_with_id().await {
                // What could not be settled is repeated when its lease ends.
                drop(self.settle(vec![joined]).await);
            }
        };
        if timeout(FAREWELL, finishing).await.is_ok() {
            return Ok(());
        }
        self.running.abort_all();
        while self.running.join_next().await.is_some() {}
        let deps = &self.inner.deps;
        // Without a time that can be relied on their leases release them.
        let Some(now) = deps.clock.trusted_now() else { return Ok(()) };
        for (_, entry) in self.entries.drain() {
            deps.outbox.failed(&entry.notice, Some(now), "the service was stopped").await?;
        }
        Ok(())
    }
}

async fn deliver(
    inner: Arc<Inner>,
    notifier: Arc<dyn Notifier>,
    rules: NoticeRules,
    entry: OutboxEntry,
) -> Delivery {
    let letter = inner.letter(entry).await?;
    let delivered = timeout(rules.delivery_timeout, notifier.notify(&letter)).await;
    Ok(delivered.unwrap_or_else(|late| Err(NotifyError::Transient(late.into()))))
}

impl Inner {
    /// The notice with what the tenant's policy adds, as it was when the event happened.
    async fn letter(&self, entry: OutboxEntry) -> Result<Letter, AppError> {
        let event = &entry.event;
        let policy = self.policies.get(&event.tenant, event.policy_revision);
        let (service, support_contact, advice_url) = match policy.await {
            Ok(policy) => (
                policy.totp.issuer.as_str().to_owned(),
                policy.notices.support_contact.clone(),
                policy.notices.advice_url.clone(),
            ),
            // Its owner is told all the same.
            Err(AppError::TenantNotFound | AppError::PolicyCorrupt) => Default::default(),
            Err(error) => return Err(error),
        };
        Ok(Letter { entry, service, support_contact, advice_url })
    }

    /// Writes down that a try failed. Says whether there will be another one. Nothing is put off by a clock that cannot be
    /// relied on: the notice is repeated when its lease ends.
    async fn put_off(
        &self,
        entry: &OutboxEntry,
        error: &NotifyError,
        rules: NoticeRules,
    ) -> Result<bool, AppError> {
        let (notice_id, event_id, attempts) = (entry.notice.id.0, entry.event.id, entry.attempts + 1);
        let retry = match error {
            NotifyError::Transient(_) => {
                let now = self.trusted_now()?;
                retry_pause(entry, rules, now).map(|pause| now.plus(pause))
            }
            NotifyError::Permanent(_) | NotifyError::NoAddress => None,
        };
        let error = told(error);
        self.deps.outbox.failed(&entry.notice, retry, &error).await?;
        if retry.is_some() {
            tracing::warn!(%notice_id, %event_id, attempts, error, "a notice was not delivered; trying again later");
        } else {
            tracing::error!(alarm = true, %notice_id, %event_id, attempts, error, "a notice was given up: it is a dead letter");
        }
        Ok(retry.is_some())
    }
}

/// The error with its cause.
fn told(error: &NotifyError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

/// How long to wait for the next try, if there will be one.
fn retry_pause(entry: &OutboxEntry, rules: NoticeRules, now: Timestamp) -> Option<Duration> {
    let tried_enough = entry.attempts + 1 >= rules.max_attempts
        && now.since(entry.notice.create_time) >= rules.shortest_life();
    let pause = rules.pause(entry.attempts);
    (!tried_enough).then(|| pause.saturating_sub(spread(entry.notice.id, entry.attempts, pause)))
}

/// Up to a quarter of the pause, by the random part of the id: what failed together does not come back together.
fn spread(id: NoticeId, attempts: u32, pause: Duration) -> Duration {
    let drawn = u32::from(id.0.as_bytes()[15]).wrapping_add(attempts.wrapping_mul(97)) % 256;
    pause / 1024 * drawn
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_ports::MIN_UNREADABLE_AGE;

    /// R57: a notice that nobody can read yet lives as long as one whose delivery fails.
    #[test]
    fn an_unreadable_notice_is_not_given_up_sooner_than_one_that_fails() {
        assert!(MIN_UNREADABLE_AGE >= NoticeRules::default().shortest_life());
    }
}
