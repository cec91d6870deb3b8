//! Empties the outbox: leases what is due, hands it to the notifier, settles what became of it (R57).

use crate::{AppError, Application};
use countersign_domain::time::Timestamp;
use countersign_ports::{Notifier, NotifyError, OutboxEntry};
use std::time::Duration;

/// Notices leased at a time.
const BATCH: u32 = 50;
/// How long a lease lasts: longer than a slow delivery, short enough to be taken over after a crash.
const LEASE: Duration = Duration::from_mins(2);
/// Tries before a notice is a dead letter; with the growing pauses about three days.
const MAX_ATTEMPTS: u32 = 20;
/// The first pause after a failed try; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_hours(6);

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dispatched {
    /// Delivered.
    pub delivered: usize,
    /// To be tried again.
    pub postponed: usize,
    /// Given up on.
    pub dead: usize,
}

impl Application {
    /// Delivers what is due, once round. At least once: a crash between delivery and settling repeats it.
    pub async fn dispatch_notices(&self, notifier: &dyn Notifier) -> Result<Dispatched, AppError> {
        let deps = &self.0.deps;
        let now = deps.clock.now();
        let entries = deps.outbox.lease(now, now.plus(LEASE), BATCH).await?;
        let mut done = Dispatched::default();
        for entry in &entries {
            match notifier.notify(entry).await {
                Ok(()) => {
                    deps.outbox.delivered(&entry.notice).await?;
                    done.delivered += 1;
                }
                Err(error) => {
                    let retry = retry_time(entry, &error, deps.clock.now());
                    deps.outbox.failed(&entry.notice, retry).await?;
                    if retry.is_some() {
                        tracing::warn!(event_id = %entry.event.id, attempts = entry.attempts, "a notice was not delivered; trying again later");
                        done.postponed += 1;
                    } else {
                        tracing::error!(event_id = %entry.event.id, attempts = entry.attempts, "a notice is undeliverable");
                        done.dead += 1;
                    }
                }
            }
        }
        Ok(done)
    }
}

fn retry_time(entry: &OutboxEntry, error: &NotifyError, now: Timestamp) -> Option<Timestamp> {
    let worth_it = matches!(error, NotifyError::Transient(_)) && entry.attempts + 1 < MAX_ATTEMPTS;
    let pause =
        FIRST_PAUSE.saturating_mul(1_u32.checked_shl(entry.attempts).unwrap_or(u32::MAX)).min(MAX_PAUSE);
    worth_it.then(|| now.plus(pause))
}
