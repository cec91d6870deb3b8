//! What is counted and traced of the road of a change. Names and labels stand in `docs/operations/metrics.md`; labels
//! are words of the domain, never of a caller (R53).

use countersign_domain::change::accepted_step_offset;
use countersign_domain::event::Event;
use countersign_domain::time::Timestamp;
use countersign_domain::user::UserState;
use countersign_ports::EventRecord;
use metrics::Counter;
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

/// What is to be counted once a change is durable, and not before: a conflict must not count twice.
pub(crate) struct Tally {
    events: Vec<Counter>,
    step_offset: Option<i64>,
}

impl Tally {
    /// Of the change from `old` to `next`, decided at `now`.
    pub(crate) fn of(events: &[Event], old: &UserState, next: &UserState, now: Timestamp) -> Self {
        Self {
            events: events.iter().map(counter).collect(),
            step_offset: accepted_step_offset(old, next, now),
        }
    }

    /// The change is durable.
    pub(crate) fn committed(self) {
        for event in &self.events {
            event.increment(1);
        }
        if let Some(offset) = self.step_offset {
            // Offsets are -1, 0 or 1 by R7: exact in any float.
            #[expect(clippy::cast_precision_loss, reason = "see above")]
            metrics::histogram!("countersign_totp_step_offset").record(offset as f64);
        }
    }
}

/// Counts events that were committed outside of the road of a user's change.
pub(crate) fn committed(events: &[EventRecord]) {
    for record in events {
        counter(&record.event).increment(1);
    }
}

/// Another node was faster, and the command is decided again.
pub(crate) fn conflicted() {
    metrics::counter!("countersign_conflicts_total").increment(1);
}

fn counter(event: &Event) -> Counter {
    let word = event.details.iter().find(|(name, _)| WORDS.contains(&name.as_ref()));
    let word = word.map(|(_, value)| value.clone()).unwrap_or_default();
    metrics::counter!("countersign_events_total", "type" => event.kind.name(), "finding" => word)
}
