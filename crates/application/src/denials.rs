//! Callers that were denied, told to the tenants that they asked for: at most one event a minute for each caller, reason
//! and tenant, with how many it stands for. Who is denied is decided by the adapter that knows callers.
//!
//! The bound holds for each node, in memory: a denied caller must not be able to fill a tenant's log, nor to learn from
//! the time an answer takes whether a tenant exists. So events are written beside the answer, never before it. Nor must it be
//! able to hide the denials of another caller: each has a bound of its own. Tenants that it made up give way to others once
//! they were looked up, up to a bound a minute. Whoever sends more names at once, or in a minute, than there is room for
//! may leave no event of what it tries at a tenant that there is: that is counted, and an alarm.

use crate::{AppError, Application, Meta};
use countersign_domain::actor::Principal;
use countersign_domain::event::{Event, EventType};
use countersign_domain::ids::{CallerId, TenantId};
use countersign_domain::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tracing::Instrument;

/// Between two events for the same caller, reason and tenant.
const PERIOD: Duration = Duration::from_mins(1);
/// Reasons and tenants that are kept count of for each caller, and for all together who are not configured; beyond, denials
/// are logged only.
const MAX_KEPT: usize = 256;
/// Reasons and tenants of each of them that are looked up between two rounds of telling: each takes a query, and made-up
/// ones give way to any number of others.
const MAX_FRESH: u32 = 1_024;
/// Events that are written at a time, beside the one by which counts are told: a storm of denials must not take the store from
/// those who are let in.
const AT_A_TIME: usize = 4;

/// A caller that was denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeniedCall {
    /// The tenant that it asked for.
    pub tenant: TenantId,
    /// The caller by the name that was authenticated, which need not be configured.
    pub caller: CallerId,
    /// Whether it is configured. There are any number of names of those who are not, and together they have as much room as
    /// one who is.
    pub is_configured: bool,
    /// The reason that it was told.
    pub reason: &'static str,
    /// The method that it called.
    pub method: String,
    /// W3C trace-id, or empty.
    pub trace_id: String,
}

/// Denials that were not told yet.
#[derive(Debug)]
pub(crate) struct Denials {
    by_caller: Mutex<HashMap<Party, OfParty>>,
    turns: Semaphore,
}

/// A caller, or all who are not configured.
type Party = Option<CallerId>;

/// What is kept about one party.
#[derive(Debug, Default)]
struct OfParty {
    kept: HashMap<Key, Kept>,
    /// How many came into `kept` since the last round of telling.
    fresh: u32,
    /// Denials that there was no room for, since that was last told.
    dropped: u64,
}

type Key = (CallerId, &'static str, TenantId);

/// What is kept about one caller, reason and tenant.
#[derive(Debug)]
struct Kept {
    /// When an event was last written.
    told: Timestamp,
    /// The last denial since, and how many there were.
    since: Option<(DeniedCall, u64)>,
    /// Whether there was no such tenant when it was last to be told.
    is_made_up: bool,
}

impl Kept {
    /// Whether its minute is not over. Who was told of in a minute to come was told of by a clock that had jumped (R65): it
    /// must not fall silent until then.
    fn was_just_told(&self, now: Timestamp) -> bool {
        now < self.told.plus(PERIOD) && self.told < now.plus(PERIOD)
    }
}

impl DeniedCall {
    fn party(&self) -> Party {
        self.is_configured.then(|| self.caller.clone())
    }

    fn key(&self) -> Key {
        (self.caller.clone(), self.reason, self.tenant.clone())
    }
}

impl OfParty {
    fn count(&mut self, call: &DeniedCall, now: Timestamp) -> Option<u64> {
        let key = call.key();
        if let Some(kept) = self.kept.get_mut(&key) {
            let before = kept.since.take().map_or(0, |(_, count)| count);
            if kept.was_just_told(now) {
                kept.since = Some((call.clone(), before + 1));
                return None;
            }
            kept.told = now;
            return Some(before + 1);
        }
        // Where there is no room for another one anyway, those that are kept go on being counted.
        if self.kept.len() >= MAX_KEPT && self.fresh < MAX_FRESH {
            self.kept.retain(|_, kept| !kept.is_made_up);
        }
        if self.kept.len() >= MAX_KEPT || self.fresh >= MAX_FRESH {
            self.dropped += 1;
            return None;
        }
        self.fresh += 1;
        self.kept.insert(key, Kept { told: now, since: None, is_made_up: false });
        Some(1)
    }
}

/// What is to be told now.
#[derive(Debug, Default, PartialEq, Eq)]
struct Due {
    /// Denials with their counts.
    calls: Vec<(DeniedCall, u64)>,
    /// How many there was no room for.
    dropped: Vec<(Party, u64)>,
}

impl Denials {
    /// None of them.
    pub(crate) fn new() -> Self {
        Self { by_caller: Mutex::default(), turns: Semaphore::new(AT_A_TIME) }
    }

    /// Counts a denial. Says how many to tell now: one where none was told in the last minute, else nothing yet.
    fn count(&self, call: &DeniedCall, now: Timestamp) -> Option<u64> {
        self.all().entry(call.party()).or_default().count(call, now)
    }

    /// Takes note whether there is such a tenant: what is kept about one that is not gives way where room is needed.
    fn looked_for(&self, call: &DeniedCall, is_there: bool) {
        if let Some(kept) = self.all().get_mut(&call.party()).and_then(|own| own.kept.get_mut(&call.key())) {
            kept.is_made_up = !is_there;
        }
    }

    /// What is to be told of those whose minute is over, or of all of them; who was not denied since is forgotten. Begins the
    /// next round.
    fn due(&self, now: Timestamp, all_of_them: bool) -> Due {
        let mut due = Due::default();
        self.all().retain(|party, own| {
            own.kept.retain(|_, kept| {
                if !all_of_them && kept.was_just_told(now) {
                    return true;
                }
                kept.told = now;
                kept.since.take().is_some_and(|since| {
                    due.calls.push(since);
                    true
                })
            });
            own.fresh = 0;
            if own.dropped > 0 {
                due.dropped.push((party.clone(), std::mem::take(&mut own.dropped)));
            }
            !own.kept.is_empty()
        });
        due
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Party, OfParty>> {
        self.by_caller.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Application {
    /// Takes note of a denied call, and returns at once: whoever is denied learns nothing from the time it takes.
    pub fn note_denial(&self, call: DeniedCall) {
        let Some(count) = self.0.denials.count(&call, self.now()) else { return };
        let app = self.clone();
        let told = async move {
            // There is always a turn: they are never closed.
            let _turn = app.0.denials.turns.acquire().await;
            app.tell_or_log(&call, count).await;
        };
        self.0.tasks.spawn(told.in_current_span());
    }

    /// Tells what came after the first denial of each minute, and how many denials there was no room for. Call it about once
    /// a minute, and with `all_of_them` when the node stops.
    pub async fn tell_denials(&self, all_of_them: bool) {
        let Due { calls, dropped } = self.0.denials.due(self.now(), all_of_them);
        for (party, denials) in dropped {
            let caller = party.as_ref().map(CallerId::as_str);
            tracing::error!(
                alarm = true,
                caller,
                denials,
                "denied calls left no event: too many callers, reasons and tenants in a minute"
            );
        }
        for (call, count) in calls {
            self.tell_or_log(&call, count).await;
        }
    }

    async fn tell_or_log(&self, call: &DeniedCall, count: u64) {
        match self.tell_denial(call, count).await {
            Ok(is_there) => self.0.denials.looked_for(call, is_there),
            Err(error) => {
                let (tenant, caller) = (call.tenant.as_str(), call.caller.as_str());
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::error!(tenant_id = tenant, caller, error, "a denied call could not be recorded");
            }
        }
    }

    /// Writes the event, if there is such a tenant; whether there is.
    async fn tell_denial(&self, call: &DeniedCall, count: u64) -> Result<bool, AppError> {
        let meta = Meta { caller: call.caller.clone(), request: None, trace_id: call.trace_id.clone() };
        let actor = Principal::job_of(&call.caller).into();
        let event = Event::new(EventType::CallerDenied)
            .with("reason", call.reason)
            .with("method", call.method.as_str())
            .with("count", count.to_string());
        self.0.record(&call.tenant, None, &meta, &actor, event).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(caller: &str, tenant: &str) -> DeniedCall {
        DeniedCall {
            tenant: TenantId::parse(tenant).unwrap(),
            caller: CallerId::parse(caller).unwrap(),
            is_configured: true,
            reason: "CALLER_SCOPE_MISSING",
            method: "/a/B".to_owned(),
            trace_id: String::new(),
        }
    }

    /// R42: the first denial of a minute is told, the others are counted and told together; callers and tenants are told
    /// apart, and who stopped is forgotten.
    #[test]
    fn denials_are_told_once_a_minute_with_their_number() {
        let (denials, start) = (Denials::new(), Timestamp::from_unix_seconds(1_000));
        let at = |seconds| start.plus(Duration::from_secs(seconds));
        let a = call("a", "one");
        assert_eq!(denials.count(&a, start), Some(1));
        for second in 1..60 {
            assert_eq!(denials.count(&a, at(second)), None, "{second}");
        }
        assert_eq!(denials.count(&call("b", "one"), at(2)), Some(1));
        assert_eq!(denials.count(&call("a", "two"), at(2)), Some(1));
        assert_eq!(denials.due(at(59), false), Due::default());
        assert_eq!(denials.count(&a, at(60)), Some(60), "59 that were only counted, and this one");
        assert_eq!(denials.count(&a, at(61)), None);
        assert_eq!(denials.due(at(120), false).calls, [(a.clone(), 1)]);
        assert_eq!(denials.all().len(), 1, "who was not denied since is forgotten");
        assert_eq!(denials.all()[&a.party()].kept.len(), 1, "nor is the other tenant kept");
        assert_eq!(denials.count(&a, at(121)), None, "it was told a second ago");
        assert_eq!(denials.due(at(122), true).calls, [(a, 1)]);
    }

    /// R65, R42: a clock that jumped ahead and came back silences nobody.
    #[test]
    fn denials_are_told_again_after_a_clock_that_jumped_ahead() {
        let (start, year) = (Timestamp::from_unix_seconds(1_000), Duration::from_hours(24 * 365));
        let a = call("a", "one");
        let counted = Denials::new();
        assert_eq!(counted.count(&a, start.plus(year)), Some(1));
        assert_eq!(counted.count(&a, start), Some(1));
        assert_eq!(counted.count(&a, start), None, "it was told just now");

        let due = Denials::new();
        assert_eq!(due.count(&a, start.plus(year)), Some(1));
        assert_eq!(due.count(&a, start.plus(year)), None);
        assert_eq!(due.due(start, false).calls, [(a.clone(), 1)]);
        assert_eq!(due.count(&a, start), None, "it was told just now");
    }

    /// R42, R49: what is kept is bounded, and who fills the bound takes nobody's room but its own. What it drops is counted.
    #[test]
    fn who_fills_its_room_silences_no_other() {
        let (denials, now) = (Denials::new(), Timestamp::from_unix_seconds(1_000));
        let stranger =
            |caller: &str, tenant: &str| DeniedCall { is_configured: false, ..call(caller, tenant) };
        for index in 0..MAX_KEPT {
            assert_eq!(denials.count(&call("a", &format!("t{index}")), now), Some(1));
            assert_eq!(denials.count(&stranger(&format!("s{index}"), "one"), now), Some(1));
        }
        assert_eq!(denials.count(&call("a", "one-more"), now), None);
        assert_eq!(denials.count(&call("a", "t0"), now), None, "it is counted");
        assert_eq!(denials.count(&stranger("one-more", "one"), now), None);
        assert_eq!(denials.count(&stranger("one-more", "two"), now), None);
        assert_eq!(denials.count(&call("b", "one-more"), now), Some(1), "the first of another one");
        let kept: Vec<_> = denials.all().values().map(|own| own.kept.len()).collect();
        assert_eq!(kept.iter().sum::<usize>(), 2 * MAX_KEPT + 1, "{kept:?}");

        let Due { calls, mut dropped } = denials.due(now, false);
        dropped.sort();
        assert_eq!((calls, dropped), (vec![], vec![(None, 2), (call("a", "t0").party(), 1)]));
        let due = denials.due(now.plus(PERIOD), false);
        assert_eq!((due.calls.len(), due.dropped.len()), (1, 0), "told once");
        assert_eq!(denials.count(&call("a", "one-more"), now), Some(1));
    }

    /// R42: tenants that there are not give way, so that nobody hides behind them what it tries at one that there is.
    #[test]
    fn tenants_that_are_made_up_give_way() {
        let (denials, now) = (Denials::new(), Timestamp::from_unix_seconds(1_000));
        let made_up = |index| call("a", &format!("t{index}"));
        for index in 0..MAX_KEPT {
            assert_eq!(denials.count(&made_up(index), now), Some(1));
        }
        for index in 1..MAX_KEPT {
            denials.looked_for(&made_up(index), false);
            assert_eq!(
                denials.count(&made_up(index), now),
                None,
                "nobody looks for it again within the minute"
            );
        }
        assert_eq!(denials.count(&call("a", "one"), now), Some(1));
        assert_eq!(denials.count(&made_up(0), now), None, "what was told is kept");
        assert_eq!(denials.all()[&made_up(0).party()].kept.len(), 2);
        assert_eq!(denials.due(now, false), Due::default(), "nothing was dropped");
    }

    /// R42, R49: however many tenants a caller makes up, so many are looked up from round to round. What it drops is counted.
    #[test]
    fn made_up_tenants_are_looked_up_within_a_bound() {
        let (denials, now) = (Denials::new(), Timestamp::from_unix_seconds(1_000));
        for round in 0..2 {
            let names: Vec<_> =
                (0..MAX_FRESH + 3).map(|index| call("a", &format!("t{round}-{index}"))).collect();
            let looked_up = names.iter().filter(|call| {
                let is_looked_up = denials.count(call, now).is_some();
                denials.looked_for(call, false);
                is_looked_up
            });
            assert_eq!(looked_up.count(), usize::try_from(MAX_FRESH).unwrap());
            assert_eq!(
                denials.count(&call("b", "one"), now).is_some(),
                round == 0,
                "another one has its own"
            );
            assert_eq!(denials.due(now, false).dropped, [(names[0].party(), 3)]);
        }
    }

    /// R42: at that bound nothing gives way any more, so that what is kept is counted and not dropped.
    #[test]
    fn what_is_kept_is_counted_where_no_more_is_looked_up() {
        let (denials, now) = (Denials::new(), Timestamp::from_unix_seconds(1_000));
        let names: Vec<_> = (0..=MAX_FRESH).map(|index| call("a", &format!("t{index}"))).collect();
        let (new, kept) = names.split_last().unwrap();
        for call in kept {
            assert_eq!(denials.count(call, now), Some(1));
            denials.looked_for(call, false);
        }
        assert_eq!(denials.all()[&new.party()].kept.len(), MAX_KEPT);
        assert_eq!(denials.count(new, now), None);
        assert_eq!(denials.count(kept.last().unwrap(), now), None);
        assert_eq!(denials.due(now, false).dropped, [(new.party(), 1)]);
    }
}
