//! What is counted and traced of the road of a change. Names and labels stand in `docs/operations/metrics.md`; labels
//! are words of the domain, never of a caller (R53).

use countersign_domain::change::accepted_step_offset;
use countersign_domain::event::{Event, EventType};
use countersign_domain::time::Timestamp;
use countersign_domain::user::UserState;
use metrics::{Counter, Histogram};
use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock};
use tracing::{Span, info_span};

/// Details whose values are words of the domain, few in number.
const WORDS: [&str; 2] = ["finding", "assurance"];

/// The span of loading a user, exported where traces are; nothing else enables its target, so it costs nothing there.
pub(crate) fn load() -> Span {
    info_span!(target: "countersign_trace", "load")
}

/// The span of a commit. See [`load`].
pub(crate) fn commit() -> Span {
    info_span!(target: "countersign_trace", "commit")
}

/// What is counted with the changes of one application, kept so that it is not looked up by its name and labels each time.
/// Each is looked up when it is first needed, because a metric that was looked up is shown.
#[derive(Default)]
pub(crate) struct Known {
    /// By type, and by the word in the details.
    events: RwLock<HashMap<EventType, Vec<(String, Counter)>>>,
    step_offset: OnceLock<Histogram>,
}

impl Known {
    fn counter(&self, event: &Event) -> Counter {
        let word = word(event);
        let of = |words: &Vec<(String, Counter)>| {
            words.iter().find(|(known, _)| known == word).map(|(_, counter)| counter.clone())
        };
        let events = self.events.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = events.get(&event.kind).and_then(of) {
            return counter;
        }
        drop(events);
        let counter = counter(event);
        let mut events = self.events.write().unwrap_or_else(PoisonError::into_inner);
        let words = events.entry(event.kind).or_default();
        // Another one may have been faster.
        if of(words).is_none() {
            words.push((word.to_owned(), counter.clone()));
        }
        counter
    }
}

/// What is to be counted once a change is durable, and not before: a conflict must not count twice.
pub(crate) struct Tally {
    events: Vec<Counter>,
    step_offset: Option<i64>,
}

impl Tally {
    /// Of the change from `old` to `next`, decided at `now`.
    pub(crate) fn of(
        known: &Known,
        events: &[Event],
        old: &UserState,
        next: &UserState,
        now: Timestamp,
    ) -> Self {
        Self {
            events: events.iter().map(|event| known.counter(event)).collect(),
            step_offset: accepted_step_offset(old, next, now),
        }
    }

    /// The change is durable.
    pub(crate) fn committed(self, known: &Known) {
        for event in &self.events {
            event.increment(1);
        }
        if let Some(offset) = self.step_offset {
            // Offsets are -1, 0 or 1 by R7: exact in any float.
            #[expect(clippy::cast_precision_loss, reason = "see above")]
            known
                .step_offset
                .get_or_init(|| metrics::histogram!("countersign_totp_step_offset"))
                .record(offset as f64);
        }
    }
}

/// Counts an event that was committed beside the road of a user's change.
pub(crate) fn committed(event: &Event) {
    counter(event).increment(1);
}

/// Another node was faster, and the command is decided again.
pub(crate) fn conflicted() {
    metrics::counter!("countersign_conflicts_total").increment(1);
}

fn counter(event: &Event) -> Counter {
    let word = word(event).to_owned();
    metrics::counter!("countersign_events_total", "type" => event.kind.name(), "finding" => word)
}

/// The word of the domain that tells events of one type apart; empty where there is none.
fn word(event: &Event) -> &str {
    let word = event.details.iter().find(|(name, _)| WORDS.contains(&name.as_ref()));
    word.map_or("", |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R53: events are told apart by type and word, each of which is kept once however often it happens.
    #[test]
    fn counters_are_kept_once_by_type_and_word() {
        let known = Known::default();
        let allowed = |how: &str| Event::new(EventType::LoginAllowed).with("assurance", how);
        let refused = Event::new(EventType::LoginRefused).with("other", "verified");
        for event in [allowed("verified"), allowed("grace"), refused, allowed("verified"), allowed("grace")] {
            known.counter(&event).increment(1);
        }
        let events = known.events.read().unwrap();
        let words = |kind: EventType| events[&kind].iter().map(|(word, _)| &word[..]).collect::<Vec<_>>();
        assert_eq!(words(EventType::LoginAllowed), ["verified", "grace"]);
        assert_eq!(words(EventType::LoginRefused), [""]);
    }
}
