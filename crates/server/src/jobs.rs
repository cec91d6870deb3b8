//! What the service does without being asked: delivers notices, deletes what expired, looks after the store. Each job is
//! a loop that the stop token ends between two rounds.

mod of_node;

pub(crate) use of_node::Work;

use crate::failure::chain;
use crate::standing::{ALARM_AFTER, Standing};
use crate::vault;
use countersign_application::audit::{Evidence, SealWhen, seal_next};
use countersign_application::{AppError, Application, NoticeRules};
use countersign_ports::{
    ClaimErasure, Clock, DeadLetters, Erasing, Maintenance, Notifier, StoreError, ToldOnce, Vault,
};
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How long a notice waits at most before it is first tried.
const DISPATCH_EVERY: Duration = Duration::from_secs(1);
/// How often denied callers are told of beyond the first time.
const DENIALS_EVERY: Duration = Duration::from_mins(1);
/// How often expired rows are deleted.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// How often the log is looked at: retention counts in days.
const KEEP_EVENTS_EVERY: Duration = Duration::from_hours(1);
/// How often changes of counts are folded: a coverage query reads every change not yet folded.
const FOLD_EVERY: Duration = Duration::from_secs(10);
/// Rows deleted by one statement: short enough not to hold up a login.
const SWEEP_ROWS: u32 = 1_000;
/// How often rows under an older root key are looked for.
const RESEAL_EVERY: Duration = Duration::from_mins(1);
/// How long an erased user's claims stay in the log at least, where nothing else is erased.
const ERASE_EVERY: Duration = Duration::from_secs(10);
/// Events looked at by one statement of an erasure.
const ERASE_ROWS: u32 = 500;
/// How often events to seal are looked for; more often where `seal_after` is shorter.
const SEAL_EVERY: Duration = Duration::from_secs(10);
/// Events that one seal covers at most; as soon as there are as many, they are sealed.
const SEAL_EVENTS: u32 = 1_000;
/// Tenants read at once.
const SEAL_TENANTS: u32 = 200;

/// A job that ends by itself when the node stops.
pub(crate) type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs `round` at once and then every `period` until `stop`. A round that panics is told, and the next one comes.
pub(crate) async fn every<F>(
    period: Duration,
    stop: CancellationToken,
    job: &'static str,
    round: impl Fn() -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    rounds(period, stop, job, round, |_| {}).await;
}

/// As [`every`], and tells `ended` of each round: `None` where it panicked.
async fn rounds<F>(
    period: Duration,
    stop: CancellationToken,
    job: &'static str,
    round: impl Fn() -> F,
    ended: impl Fn(Option<F::Output>),
) where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        ended(alone(job, round()).await);
    }
}

/// Runs one round in a task of its own, so that a panic ends the round and not the job. `None` where it panicked.
pub(crate) async fn alone<F>(job: &'static str, round: F) -> Option<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let ended = tokio::spawn(round).await;
    // The alarm is the panic hook's, which knows the place; a second one would count it twice.
    ended.inspect_err(|_| tracing::error!(job, "a round of a job panicked")).ok()
}

/// A round that panicked. Where and how often is the panic hook's to tell.
#[derive(Debug, thiserror::Error)]
#[error("the round panicked")]
struct Panicked;

/// As [`every`], with rounds that can fail. How they do is told.
async fn every_told<F, E>(
    period: Duration,
    stop: CancellationToken,
    standing: Standing,
    round: impl Fn() -> F,
) where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Error + Send + 'static,
{
    let stopped = stop.clone();
    rounds(period, stop, standing.job, round, |ended| match ended {
        // A round that was ended early did not work.
        _ if stopped.is_cancelled() => {}
        Some(ended) => standing.note(ended),
        None => standing.note(Err(Panicked)),
    })
    .await;
}

/// Delivers notices (R57).
async fn dispatch(
    app: Application,
    notifier: Arc<dyn Notifier>,
    rules: NoticeRules,
    stop: CancellationToken,
) {
    let stopped = stop.clone();
    let standing = Standing::new("dispatch", "notices could not be dispatched", ALARM_AFTER);
    every_told(DISPATCH_EVERY, stop, standing, move || {
        let (app, notifier, stopped) = (app.clone(), Arc::clone(&notifier), stopped.clone());
        async move { app.dispatch_notices(&notifier, rules, &stopped).await.map(drop) }
    })
    .await;
}

/// Tells of denied callers (R42), those of the last minute too when the node stops. Who is denied while it drains is told
/// of by the life cycle: a drain that takes too long must not take these with it.
async fn tell_denials(app: Application, stop: CancellationToken) {
    let told = app.clone();
    every(DENIALS_EVERY, stop, "denials", move || {
        let app = told.clone();
        async move { app.tell_denials(false).await }
    })
    .await;
    app.tell_denials(true).await;
}

/// Deletes what expired (R49).
async fn sweep(store: Arc<dyn Maintenance>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    let stopped = stop.clone();
    let standing = Standing::new("sweep", "expired rows could not be deleted", ALARM_AFTER);
    every_told(SWEEP_EVERY, stop, standing, move || {
        let (store, clock, stopped) = (Arc::clone(&store), Arc::clone(&clock), stopped.clone());
        async move { sweep_all(store.as_ref(), clock.as_ref(), &stopped).await }
    })
    .await;
}

async fn sweep_all(
    store: &dyn Maintenance,
    clock: &dyn Clock,
    stopped: &CancellationToken,
) -> Result<(), StoreError> {
    // By a clock that jumped ahead, everything would have expired.
    while let Some(now) = clock.trusted_now().filter(|_| !stopped.is_cancelled()) {
        let rows = store.sweep(now, SWEEP_ROWS).await?;
        if rows > 0 {
            tracing::debug!(rows, "expired rows were deleted");
        }
        if rows < u64::from(SWEEP_ROWS) {
            break;
        }
    }
    Ok(())
}

/// Deletes notices that were given up and that nobody wanted sent again for so long (R49).
async fn sweep_dead_letters(
    store: Arc<dyn DeadLetters>,
    keep: Duration,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let standing = Standing::new("sweep_dead_letters", "dead letters could not be deleted", ALARM_AFTER);
    every_told(SWEEP_EVERY, stop, standing, move || {
        let (store, clock) = (Arc::clone(&store), Arc::clone(&clock));
        async move {
            // By a clock that jumped ahead, all of them would be old.
            let Some(now) = clock.trusted_now() else { return Ok::<_, StoreError>(()) };
            // One piece a minute: what is left comes next.
            match store.sweep_dead_letters(now.minus(keep), SWEEP_ROWS).await? {
                0 => {}
                letters => tracing::info!(letters, "old notices that were given up were deleted"),
            }
            Ok(())
        }
    })
    .await;
}

/// Keeps counting short (P9). Every node does; each change is folded by one of them.
async fn fold(store: Arc<dyn Maintenance>, stop: CancellationToken) {
    let stopped = stop.clone();
    let standing = Standing::new("fold", "counts could not be folded", ALARM_AFTER);
    every_told(FOLD_EVERY, stop, standing, move || {
        let (store, stopped) = (Arc::clone(&store), stopped.clone());
        async move {
            let full = u64::from(SWEEP_ROWS);
            while !stopped.is_cancelled() && store.fold_counts(SWEEP_ROWS).await? >= full {}
            Ok::<_, StoreError>(())
        }
    })
    .await;
}

/// Seals what is under an older root key with the newest (R52). Every node does; each row is sealed by one of them.
async fn reseal(store: Arc<dyn Vault>, stop: CancellationToken) {
    let (stopped, named) = (stop.clone(), Arc::new(ToldOnce::default()));
    let standing = Standing::new("reseal", "rows could not be sealed again", ALARM_AFTER);
    every_told(RESEAL_EVERY, stop, standing, move || {
        let (store, named, stopped) = (Arc::clone(&store), Arc::clone(&named), stopped.clone());
        async move { vault::reseal(store.as_ref(), &named, &stopped).await }
    })
    .await;
}

/// Takes the claims of erased users out of the log. Several nodes may do it at once: they make the same of it.
async fn erase(store: Arc<dyn ClaimErasure>, stop: CancellationToken) {
    let (stopped, told) = (stop.clone(), Arc::new(ToldOnce::default()));
    let standing = Standing::new("erase", "claims could not be erased", ALARM_AFTER);
    every_told(ERASE_EVERY, stop, standing, move || {
        let (store, told, stopped) = (Arc::clone(&store), Arc::clone(&told), stopped.clone());
        async move { erase_all(store.as_ref(), &told, &stopped).await }
    })
    .await;
}

/// Keeps the log of security events in bounds, and room for what is to come. Dropping is for the owner of the tables alone:
/// where somebody else serves and a retention is configured, this fails until it is taken out.
async fn keep_events(
    app: Application,
    store: Arc<dyn Maintenance>,
    retention: Option<Duration>,
    evidence: Evidence,
    stop: CancellationToken,
) {
    let standing = Standing::new("keep_events", "the log of events was not kept in bounds", ALARM_AFTER);
    every_told(KEEP_EVENTS_EVERY, stop, standing, move || {
        let (app, store, evidence) = (app.clone(), Arc::clone(&store), evidence.clone());
        async move {
            match app.keep_sealed_events(store.as_ref(), retention, &evidence).await?.pieces {
                0 => {}
                pieces => tracing::info!(pieces, "security events past their retention were dropped"),
            }
            Ok::<_, AppError>(())
        }
    })
    .await;
}

async fn erase_all(
    store: &dyn ClaimErasure,
    told: &ToldOnce,
    stopped: &CancellationToken,
) -> Result<(), StoreError> {
    let (mut done, mut passed) = (None, None);
    while let Some(erasing) = store.pending_erasure(passed.as_ref()).await? {
        let tenant = &erasing.tenant;
        let outcome = if done.as_ref() == Some(&erasing) {
            let problem = "tells of an erasure that was carried out and is still to be";
            Err(StoreError::Corrupt { entity: "event", id: erasing.told.to_string(), problem })
        } else {
            carry_out(store, &erasing, stopped).await
        };
        match outcome {
            Ok(()) if stopped.is_cancelled() => return Ok(()),
            Ok(()) => {
                tracing::info!(tenant_id = %tenant, "the claims of an erased user left the log");
                done = Some(erasing);
            }
            // A log that somebody edited keeps one erasure from its end, and no other.
            Err(error @ StoreError::Corrupt { .. }) => {
                if told.is_new((tenant.as_str(), erasing.user.as_str(), erasing.told.to_string())) {
                    let error = chain(&error);
                    tracing::error!(alarm = true, tenant_id = %tenant, error, "an erasure cannot be carried out");
                }
                passed = Some(erasing);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Takes the steps of an erasure until it is through, or until `stopped`.
async fn carry_out(
    store: &dyn ClaimErasure,
    erasing: &Erasing,
    stopped: &CancellationToken,
) -> Result<(), StoreError> {
    let mut rest = Some(erasing.clone());
    while let Some(erasing) = rest.filter(|_| !stopped.is_cancelled()) {
        rest = store.erase_claims(&erasing, ERASE_ROWS).await?;
    }
    Ok(())
}

/// Seals the log (R56), tenant by tenant, while the clock can be relied on. Several nodes may do it at once: a seal's number
/// is given once, and who comes later finds the events sealed.
async fn seal(
    evidence: Evidence,
    after: Duration,
    alarm_after: Duration,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let when = SealWhen { events: SEAL_EVENTS, age: after };
    let stopped = stop.clone();
    let standing = Standing::new("seal", "the log could not be sealed", alarm_after);
    every_told(SEAL_EVERY.min(after), stop, standing, move || {
        let (evidence, clock, stopped) = (evidence.clone(), Arc::clone(&clock), stopped.clone());
        async move { seal_all(&evidence, when, clock.as_ref(), &stopped).await }
    })
    .await;
}

async fn seal_all(
    evidence: &Evidence,
    when: SealWhen,
    clock: &dyn Clock,
    stopped: &CancellationToken,
) -> Result<(), StoreError> {
    let store = evidence.log.as_ref();
    let mut last = None;
    loop {
        let tenants = store.audited_tenants(last.as_ref(), SEAL_TENANTS).await?;
        let Some(reached) = tenants.last().cloned() else { return Ok(()) };
        for tenant in tenants {
            loop {
                if stopped.is_cancelled() {
                    return Ok(());
                }
                // A statement says when it was made, and is signed: not by a clock that jumped (R65).
                let Some(now) = clock.trusted_now() else { return Ok(()) };
                match seal_next(store, &tenant, &evidence.key, when, now).await {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    // A chain that does not read stops its own tenant's seals, and nobody else's.
                    Err(error @ StoreError::Corrupt { .. }) => {
                        let error = chain(&error);
                        tracing::error!(alarm = true, tenant_id = %tenant, error, "the log cannot be sealed");
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        last = Some(reached);
    }
}

#[cfg(test)]
mod tests;
