//! The one budget for wrong codes (R10–R16): a growing delay, a rolling cap that success does not refill, and the memory
//! of the last wrong code so that retyping it is charged once.

use crate::digest::Digest;
use crate::policy::LockoutPolicy;
use crate::time::Timestamp;

/// The last wrong code, as a keyed digest, and when it was evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastWrong {
    /// The keyed digest of the code's normal form.
    pub digest: Digest,
    /// When it was evaluated.
    pub time: Timestamp,
}

/// Wrong codes of a user and what they led to. Kept in the store only, never per session or address (R10).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failures {
    /// Evaluated failures since the last success.
    pub consecutive: u32,
    /// Nothing is evaluated before this time.
    pub locked_until: Option<Timestamp>,
    /// Times of the evaluated failures of the rolling window, oldest first; at most 100 (the highest `rolling_limit`).
    pub recent: Vec<Timestamp>,
    /// The last wrong code.
    pub last_wrong: Option<LastWrong>,
}

impl Failures {
    /// Until when nothing is evaluated, if that is later than `now`.
    pub fn locked_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.locked_until.filter(|until| *until > now)
    }

    /// Whether the rolling window is full and has its lock. One that is full only since policy was tightened has none: the
    /// next failure starts it.
    pub(crate) fn is_capped(&self, policy: &LockoutPolicy) -> bool {
        let cap = self.rolling_cap(policy);
        cap.is_some() && self.locked_until >= cap
    }

    /// Charges one evaluated failure at `now`. Returns the lock that it started, if it started one.
    pub(crate) fn charge(
        &mut self,
        now: Timestamp,
        digest: Digest,
        policy: &LockoutPolicy,
    ) -> Option<Timestamp> {
        self.consecutive = self.consecutive.saturating_add(1);
        self.last_wrong = Some(LastWrong { digest, time: now });
        let window_start = now.minus(policy.rolling_window);
        self.recent.retain(|time| *time > window_start);
        self.recent.push(now);
        let surplus = self.recent.len().saturating_sub(policy.rolling_limit as usize);
        self.recent.drain(..surplus);

        let delay = self.delay(policy).map(|delay| now.plus(delay));
        let cap = self.rolling_cap(policy);
        let lock = delay.max(cap);
        self.locked_until = self.locked_until.max(lock);
        lock
    }

    /// A success: the streak and its delay are over. The rolling window is not refilled by it, so a full one keeps its lock
    /// (R13). It starts none and makes none longer: nobody is locked for being right, also where policy was tightened
    /// meanwhile. A lock that runs while the window is full only since then runs to its end: whether it was the delay's
    /// alone is not stored, and the policy that knew is gone.
    pub(crate) fn forget_streak(&mut self, policy: &LockoutPolicy) {
        self.locked_until = self.locked_until.min(self.rolling_cap(policy));
        self.consecutive = 0;
        self.last_wrong = None;
    }

    /// Lifts the lock and the window: a manager vouched for the user.
    pub(crate) fn forgive(&mut self) {
        *self = Self::default();
    }

    /// `first_delay × 2^k`, at most `max_delay`; `None` while failures are free.
    fn delay(&self, policy: &LockoutPolicy) -> Option<std::time::Duration> {
        let doublings = self.consecutive.checked_sub(policy.free_failures)?;
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        Some(policy.first_delay.saturating_mul(factor).min(policy.max_delay))
    }

    /// When a full window has room again; `None` while it has. Of more failures than the limit, kept under a wider one, only
    /// the last count.
    fn rolling_cap(&self, policy: &LockoutPolicy) -> Option<Timestamp> {
        let first = self.recent.len().checked_sub(policy.rolling_limit as usize)?;
        self.recent.get(first).map(|oldest| oldest.plus(policy.rolling_window))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::KeyId;
    use crate::policy::Preset;
    use crate::text::Issuer;
    use std::time::Duration;

    fn policy() -> LockoutPolicy {
        Preset::SelfServiceCode.document(Issuer::parse("Example").unwrap()).lockout
    }

    fn wrong(failures: &mut Failures, at: Timestamp) -> Option<Duration> {
        let digest = Digest { key: KeyId(1), value: [0; 32] };
        failures.charge(at, digest, &policy()).map(|until| until.since(at))
    }

    /// R13, ruling 4: the third failure starts 30 s, then 30 s × 2^k up to one hour.
    #[test]
    fn the_delay_grows_to_its_cap() {
        let mut failures = Failures::default();
        let mut at = Timestamp::from_unix_seconds(1_000_000);
        let mut delays = Vec::new();
        for _ in 0..12 {
            let delay = wrong(&mut failures, at);
            delays.push(delay.map_or(0, |delay| delay.as_secs()));
            at = at.plus(delay.unwrap_or_default());
        }
        assert_eq!(delays, [0, 0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
    }

    /// R13: the twentieth failure within 24 hours locks until the first leaves the window, also where every third
    /// guess was followed by a success.
    #[test]
    fn success_does_not_refill_the_rolling_window() {
        let mut failures = Failures::default();
        let start = Timestamp::from_unix_seconds(1_000_000);
        for guess in 0..20_u64 {
            assert!(failures.locked_until(start.plus(Duration::from_secs(guess))).is_none(), "guess {guess}");
            wrong(&mut failures, start.plus(Duration::from_secs(guess)));
            if guess % 2 == 1 && guess < 19 {
                failures.forget_streak(&policy());
            }
        }
        let day = Duration::from_hours(24);
        assert_eq!(
            failures.locked_until(start.plus(day).minus(Duration::from_secs(1))),
            Some(start.plus(day))
        );
        assert_eq!(failures.locked_until(start.plus(day)), None);
    }

    /// R49: the window keeps no more times than it needs.
    #[test]
    fn the_window_is_bounded() {
        let mut failures = Failures::default();
        for day in 0..200_i64 {
            wrong(&mut failures, Timestamp::from_unix_seconds(day * 600));
        }
        assert_eq!(failures.recent.len(), 20);
    }
}
