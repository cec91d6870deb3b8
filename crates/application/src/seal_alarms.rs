//! Sealed rows that do not open: the call is refused, and the log of events tells that somebody's rows are not as the
//! service wrote them (R50). How often it tells is bounded, so that whoever asks again and again fills no log.

use crate::Meta;
use crate::engine::Inner;
use countersign_domain::actor::Principal;
use countersign_domain::event::{Event, EventType};
use countersign_domain::ids::{CallerId, UserRef};
use countersign_domain::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Who tells, in the log.
const NAME: &str = "seal-check";
/// A user's rows are told of once in this time, on each node.
const ONCE_IN: Duration = Duration::from_mins(1);
/// Users who are remembered as told of. More of them at once is one disaster, of which these tell enough.
const MOST: usize = 1_000;

/// Whose rows were told of, and when.
#[derive(Debug, Default)]
pub(crate) struct SealAlarms(Mutex<HashMap<UserRef, Timestamp>>);

impl SealAlarms {
    /// Whether it is time to tell of this user, who then counts as told of.
    fn is_due(&self, user: &UserRef, now: Timestamp) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, time| now.since(*time) < ONCE_IN && *time <= now);
        if told.len() >= MOST || told.contains_key(user) {
            return false;
        }
        told.insert(user.clone(), now);
        true
    }
}

impl Inner {
    /// Tells of a row of the user that does not open, unless that was just done. Best effort: the call is refused in any
    /// case, and the alarm in the log of the service is raised where it is answered.
    pub(crate) async fn tell_broken_seal(&self, user: &UserRef, entity: &'static str) {
        if !self.seal_alarms.is_due(user, self.deps.clock.now()) {
            return;
        }
        let Ok(caller) = CallerId::parse(NAME) else { return };
        let meta = Meta { caller, request: None, trace_id: String::new() };
        let actor = Principal::Job(NAME.to_owned()).into();
        let event = Event::new(EventType::SealOpenFailed).with("row", entity);
        if let Err(error) = self.record(&user.tenant, Some(&user.user), &meta, &actor, event).await {
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::warn!(tenant_id = %user.tenant, error, "the event of a broken seal could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_domain::ids::{TenantId, UserId};

    fn user(number: usize) -> UserRef {
        UserRef {
            tenant: TenantId::parse("acme").expect("a tenant"),
            user: UserId::parse(&format!("u{number}")).expect("a user"),
        }
    }

    /// R50, R49: each user is told of once a minute, and not without bounds.
    #[test]
    fn broken_seals_are_told_of_once_a_minute_and_within_bounds() {
        let (alarms, start) = (SealAlarms::default(), Timestamp::from_unix_seconds(1_000));
        assert!(alarms.is_due(&user(0), start) && !alarms.is_due(&user(0), start));
        assert!(!alarms.is_due(&user(0), start.plus(Duration::from_secs(59))));
        assert!((1..MOST).all(|number| alarms.is_due(&user(number), start)));
        assert!(!alarms.is_due(&user(MOST), start));
        assert!(alarms.is_due(&user(0), start.plus(ONCE_IN)));
    }
}
