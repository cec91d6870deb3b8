//! How many messages are sent in a day: per user, per number, per tenant (R71). They cost money, and a number that is not
//! the user's belongs to somebody.
//!
//! The counts live in the store, beside what users own, and are raised in the commit that sends; a day is 86,400 s since
//! 1970. Who is counted is a keyed digest, so that nobody reads numbers out of the counts.

use crate::context::Context;
use crate::phone_number::PhoneNumber;
use crate::time::Timestamp;
use std::time::Duration;

const DAY: i64 = 86_400;

/// How many messages a day allows. What they cost is the operator's matter, so it is configuration and not policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendLimits {
    /// To one user, whatever the number.
    pub user: u32,
    /// To one number of a tenant, whoever the user.
    pub number: u32,
    /// To all users of a tenant.
    pub tenant: u32,
}

impl Default for SendLimits {
    fn default() -> Self {
        Self { user: 10, number: 10, tenant: 10_000 }
    }
}

/// How many messages were sent today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SendCounts {
    /// To the user.
    pub user: u32,
    /// To the number.
    pub number: u32,
    /// To the tenant's users.
    pub tenant: u32,
}

impl SendCounts {
    /// With one more message in each.
    pub(super) const fn and_one_more(self) -> Self {
        Self {
            user: self.user.saturating_add(1),
            number: self.number.saturating_add(1),
            tenant: self.tenant.saturating_add(1),
        }
    }
}

/// Where one message is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendCounters {
    /// The day since 1970.
    pub day: i64,
    /// The user's counter.
    pub user: [u8; 32],
    /// The number's.
    pub number: [u8; 32],
    /// The tenant's.
    pub tenant: [u8; 32],
}

impl SendCounters {
    /// The three counters, in the order in which every commit raises them: that nobody waits in a circle.
    pub const fn all(&self) -> [[u8; 32]; 3] {
        [self.user, self.number, self.tenant]
    }
}

/// One message to count in the commit that sends it: each counter is raised only while it is below its limit, else
/// nothing is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendCharge {
    /// Where it is counted.
    pub counters: SendCounters,
    /// Below what.
    pub limits: SendLimits,
}

impl SendCharge {
    /// Counters and limits, in the order of [`SendCounters::all`].
    pub const fn all(&self) -> [([u8; 32], u32); 3] {
        let [user, number, tenant] = self.counters.all();
        [(user, self.limits.user), (number, self.limits.number), (tenant, self.limits.tenant)]
    }
}

/// Where a message to this number is counted now. A rotated root key starts all counts anew.
pub fn counters(ctx: &Context<'_>, number: &PhoneNumber) -> SendCounters {
    let tenant = ctx.user.tenant.as_str().as_bytes();
    let digest = |what: &[u8], id: &[u8]| {
        ctx.digests.text_messages.digest(&[b"text-message-count", what, tenant, id]).value
    };
    SendCounters {
        day: day(ctx.now),
        user: digest(b"user", ctx.user.user.as_str().as_bytes()),
        number: digest(b"number", number.expose().as_bytes()),
        tenant: digest(b"tenant", b""),
    }
}

/// The day of a time.
pub const fn day(time: Timestamp) -> i64 {
    time.unix_seconds().div_euclid(DAY)
}

/// How long until tomorrow, where a limit is reached.
pub(super) fn wait(ctx: &Context<'_>, limits: &SendLimits, counts: &SendCounts) -> Option<Duration> {
    let full = counts.user >= limits.user || counts.number >= limits.number || counts.tenant >= limits.tenant;
    let tomorrow = Timestamp::from_unix_seconds((day(ctx.now) + 1).saturating_mul(DAY));
    full.then(|| tomorrow.since(ctx.now))
}
