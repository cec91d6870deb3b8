//! Notices on their way out: the outbox that commits fill, and the notifier that delivers.

use crate::{EventRecord, NoticeId, NoticeRecord, StoreError};
use async_trait::async_trait;
use countersign_domain::time::Timestamp;
use std::time::Duration;

/// A notice with what its text needs.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxEntry {
    /// The notice.
    pub notice: NoticeRecord,
    /// The event that it tells of.
    pub event: EventRecord,
    /// Tries so far.
    pub attempts: u32,
}

/// How often a notice that cannot be read is leased before it is a dead letter; see [`is_given_up_unread`].
pub const MAX_UNREADABLE_LEASES: u32 = 30;

/// How old it is then at least: about as old as one whose delivery fails is given up.
pub const MIN_UNREADABLE_AGE: Duration = Duration::from_hours(48);

/// Whether a notice that cannot be read is given up, after so many leases. During an upgrade a newer node may be able to
/// read it, and an upgrade may take a day or two; leases end after minutes. One whose time does not read, or is
/// still to come, has no age.
pub fn is_given_up_unread(leases: u32, create_time: Option<Timestamp>, now: Timestamp) -> bool {
    let is_old = |time: Timestamp| time > now || now.since(time) >= MIN_UNREADABLE_AGE;
    leases >= MAX_UNREADABLE_LEASES && create_time.is_none_or(is_old)
}

/// The outbox: filled by commits, emptied by a dispatcher. At least once, in order per user (R57).
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Leases at most `limit` notices that are due at `now` until `lease_until`: only the oldest of each user, so that
    /// order is kept while several nodes share the work.
    ///
    /// One that cannot be read holds up nobody but its user: it is logged, left out and leased all the same, until it
    /// [is given up](is_given_up_unread).
    async fn lease(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, StoreError>;

    /// The notices are delivered, or there is nobody to tell: delete them, in one go.
    async fn delivered(&self, notices: &[NoticeId]) -> Result<(), StoreError>;

    /// Delivery failed, and `why`: due again at `retry_time`, and the user's later ones not before, or never (dead letter)
    /// where that is `None`. The reason is kept for operators; it says nothing of the address (R53).
    async fn failed(
        &self,
        notice: &NoticeRecord,
        retry_time: Option<Timestamp>,
        why: &str,
    ) -> Result<(), StoreError>;
}

/// A notice complete: with what the tenant's policy lets its text say. What a notifier needs, and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// The notice and its event.
    pub entry: OutboxEntry,
    /// Under which name users know the service: the tenant's issuer. Empty where the tenant is gone.
    pub service: String,
    /// Whom users may turn to; empty where the policy names nobody.
    pub support_contact: String,
    /// An `https` page that says what to do; empty where the policy names none.
    pub advice_url: String,
}

/// Why a notice was not delivered. Never carries the address, nor what a server says of it (R53).
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// There is no address that this channel could use. Nothing is broken.
    #[error("the notice has no address")]
    NoAddress,
    /// It may work later.
    #[error("delivery failed for now")]
    Transient(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It never will.
    #[error("delivery was refused for good")]
    Permanent(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Delivers notices to people.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Delivers one notice; may be called again with the same id after a crash, and dropped at any time.
    async fn notify(&self, letter: &Letter) -> Result<(), NotifyError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R57: what cannot be read is kept for days, and not for ever, whatever time it says.
    #[test]
    fn what_cannot_be_read_is_given_up_in_the_end() {
        let now = Timestamp::from_unix_micros(1_800_000_000_000_000);
        let (young, old) = (now.minus(Duration::from_hours(47)), now.minus(MIN_UNREADABLE_AGE));
        for (leases, time, given_up) in [
            (MAX_UNREADABLE_LEASES - 1, Some(old), false),
            (MAX_UNREADABLE_LEASES, Some(young), false),
            (MAX_UNREADABLE_LEASES, Some(old), true),
            (MAX_UNREADABLE_LEASES, Some(now.plus(Duration::from_hours(1))), true),
            (MAX_UNREADABLE_LEASES, None, true),
        ] {
            assert_eq!(is_given_up_unread(leases, time, now), given_up, "{leases} {time:?}");
        }
    }
}
