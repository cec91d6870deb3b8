//! Callers that were denied, told to the tenants that they asked for: at most one event a minute for each caller, reason
//! and tenant, with how many it stands for. Who is denied is decided by the adapter that knows callers.
//!
//! The bound holds for each node, in memory: a denied caller must not be able to fill a tenant's log, nor to learn from
//! the time an answer takes whether a tenant exists. So events are written beside the answer, never before it.

use crate::{AppError, Application, Meta};
use countersign_domain::actor::Principal;
use countersign_domain::event::{Event, EventType};
use countersign_domain::ids::{CallerId, TenantId};
use countersign_domain::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing::Instrument;

/// Between two events for the same caller, reason and tenant.
const PERIOD: Duration = Duration::from_mins(1);
/// Callers, reasons and tenants that are kept count of; beyond, denials are logged only.
const MAX_KEPT: usize = 10_000;

/// A caller that was denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeniedCall {
    /// The tenant that it asked for.
    pub tenant: TenantId,
    /// The caller by the name that was authenticated, which need not be configured.
    pub caller: CallerId,
    /// The reason that it was told.
    pub reason: &'static str,
    /// The method that it called.
    pub method: String,
    /// W3C trace-id, or empty.
    pub trace_id: String,
}

/// Denials that were not told yet.
#[derive(Debug, Default)]
pub(crate) struct Denials(Mutex<HashMap<Key, Kept>>);

type Key = (CallerId, &'static str, TenantId);

/// What is kept about one caller, reason and tenant.
#[derive(Debug)]
struct Kept {
    /// When an event was last written.
    told: Timestamp,
    /// The last denial since, and how many there were.
    since: Option<(DeniedCall, u64)>,
}

impl Kept {
    /// Whether its minute is not over. Who was told of in a minute to come was told of by a clock that had jumped (R65): it
    /// must not fall silent until then.
    fn was_just_told(&self, now: Timestamp) -> bool {
        now < self.told.plus(PERIOD) && self.told < now.plus(PERIOD)
    }
}

impl Denials {
    /// Counts a denial. Says how many to tell now: one where none was told in the last minute, else nothing yet.
    fn count(&self, call: &DeniedCall, now: Timestamp) -> Option<u64> {
        let key = (call.caller.clone(), call.reason, call.tenant.clone());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = all.get_mut(&key) {
            let before = kept.since.take().map_or(0, |(_, count)| count);
            if kept.was_just_told(now) {
                kept.since = Some((call.clone(), before + 1));
                return None;
            }
            kept.told = now;
            return Some(before + 1);
        }
        if all.len() >= MAX_KEPT {
            return None;
        }
        all.insert(key, Kept { told: now, since: None });
        Some(1)
    }

    /// Those whose minute is over, or all of them, with their counts; who was not denied since is forgotten.
    fn due(&self, now: Timestamp, all_of_them: bool) -> Vec<(DeniedCall, u64)> {
        let mut due = Vec::new();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, kept| {
            if !all_of_them && kept.was_just_told(now) {
                return true;
            }
            kept.told = now;
            kept.since.take().is_some_and(|since| {
                due.push(since);
                true
            })
        });
        due
    }
}

impl Application {
    /// Takes note of a denied call, and returns at once: whoever is denied learns nothing from the time it takes.
    pub fn note_denial(&self, call: DeniedCall) {
        let Some(count) = self.0.denials.count(&call, self.now()) else { return };
        let app = self.clone();
        let told = async move { app.tell_or_log(&call, count).await };
        self.0.tasks.spawn(told.in_current_span());
    }

    /// Tells what came after the first denial of each minute. Call it about once a minute, and with `all_of_them` when
    /// the node stops.
    pub async fn tell_denials(&self, all_of_them: bool) {
        for (call, count) in self.0.denials.due(self.now(), all_of_them) {
            self.tell_or_log(&call, count).await;
        }
    }

    async fn tell_or_log(&self, call: &DeniedCall, count: u64) {
        if let Err(error) = self.tell_denial(call, count).await {
            let (tenant, caller) = (call.tenant.as_str(), call.caller.as_str());
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::error!(tenant_id = tenant, caller, error, "a denied call could not be recorded");
        }
    }

    /// Writes the event, if there is such a tenant.
    async fn tell_denial(&self, call: &DeniedCall, count: u64) -> Result<(), AppError> {
        let meta = Meta { caller: call.caller.clone(), request: None, trace_id: call.trace_id.clone() };
        let actor = Principal::job_of(&call.caller).into();
        let event = Event::new(EventType::CallerDenied)
            .with("reason", call.reason)
            .with("method", call.method.as_str())
            .with("count", count.to_string());
        self.0.record((&call.tenant, None), (&meta, &actor), event).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(caller: &str, tenant: &str) -> DeniedCall {
        DeniedCall {
            tenant: TenantId::parse(tenant).unwrap(),
            caller: CallerId::parse(caller).unwrap(),
            reason: "CALLER_SCOPE_MISSING",
            method: "/a/B".to_owned(),
            trace_id: String::new(),
        }
    }

    /// R42: the first denial of a minute is told, the others are counted and told together; callers and tenants are told
    /// apart, and who stopped is forgotten.
    #[test]
    fn denials_are_told_once_a_minute_with_their_number() {
        let (denials, start) = (Denials::default(), Timestamp::from_unix_seconds(1_000));
        let at = |seconds| start.plus(Duration::from_secs(seconds));
        let a = call("a", "one");
        assert_eq!(denials.count(&a, start), Some(1));
        for second in 1..60 {
            assert_eq!(denials.count(&a, at(second)), None, "{second}");
        }
        assert_eq!(denials.count(&call("b", "one"), at(2)), Some(1));
        assert_eq!(denials.count(&call("a", "two"), at(2)), Some(1));
        assert_eq!(denials.due(at(59), false), []);
        assert_eq!(denials.count(&a, at(60)), Some(60), "59 that were only counted, and this one");
        assert_eq!(denials.count(&a, at(61)), None);
        assert_eq!(denials.due(at(120), false), [(a.clone(), 1)]);
        assert_eq!(denials.0.lock().unwrap().len(), 1, "who was not denied since is forgotten");
        assert_eq!(denials.count(&a, at(121)), None, "it was told a second ago");
        assert_eq!(denials.due(at(122), true), [(a, 1)]);
    }

    /// R65, R42: a clock that jumped ahead and came back silences nobody.
    #[test]
    fn denials_are_told_again_after_a_clock_that_jumped_ahead() {
        let (start, year) = (Timestamp::from_unix_seconds(1_000), Duration::from_hours(24 * 365));
        let a = call("a", "one");
        let counted = Denials::default();
        assert_eq!(counted.count(&a, start.plus(year)), Some(1));
        assert_eq!(counted.count(&a, start), Some(1));
        assert_eq!(counted.count(&a, start), None, "it was told just now");

        let due = Denials::default();
        assert_eq!(due.count(&a, start.plus(year)), Some(1));
        assert_eq!(due.count(&a, start.plus(year)), None);
        assert_eq!(due.due(start, false), [(a.clone(), 1)]);
        assert_eq!(due.count(&a, start), None, "it was told just now");
    }

    /// R49: what is kept is bounded.
    #[test]
    fn what_is_kept_is_bounded() {
        let (denials, now) = (Denials::default(), Timestamp::from_unix_seconds(1_000));
        for index in 0..MAX_KEPT {
            assert_eq!(denials.count(&call("a", &format!("t{index}")), now), Some(1));
        }
        assert_eq!(denials.count(&call("a", "one-more"), now), None);
        assert_eq!(denials.0.lock().unwrap().len(), MAX_KEPT);
        denials.due(now.plus(PERIOD), false);
        assert_eq!(denials.count(&call("a", "one-more"), now), Some(1));
    }
}
