//! Who is covered by a second factor and who would be stopped, counted over facts that a store can count without
//! loading users. Stores know facts; what a fact means under a policy is decided here.

use crate::policy::{PolicyDocument, RequirementMode};
use crate::status::TwoFactorState;
use crate::time::Timestamp;

/// Where a user's grace period stands, against the cutoff of [`FactsAt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grace {
    /// It has not begun.
    NotStarted,
    /// It began after the cutoff.
    Running,
    /// It began at the cutoff or before.
    Over,
}

/// What a store knows of a user without loading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Facts {
    /// Whether the user has a second factor.
    pub on: bool,
    /// Whether a reset left them obliged to enroll.
    pub must_enroll: bool,
    /// Whether they are in one of the groups of [`FactsAt`].
    pub in_groups: bool,
    /// Their grace period.
    pub grace: Grace,
}

impl Facts {
    /// Every combination.
    pub fn all() -> impl Iterator<Item = Self> {
        let flags = [false, true];
        flags.into_iter().flat_map(move |on| {
            flags.into_iter().flat_map(move |must_enroll| {
                flags.into_iter().flat_map(move |in_groups| {
                    [Grace::NotStarted, Grace::Running, Grace::Over].into_iter().map(move |grace| Self {
                        on,
                        must_enroll,
                        in_groups,
                        grace,
                    })
                })
            })
        })
    }
}

/// What facts are taken against: the requirement's groups, and the time at which a grace period must have begun to be
/// over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactsAt {
    /// The groups; empty where everybody is meant, and then `in_groups` is false.
    pub groups: Vec<String>,
    /// A grace period that began at this time or before is over.
    pub grace_cutoff: Timestamp,
}

impl FactsAt {
    /// What to count for a policy at a time.
    pub fn of(policy: &PolicyDocument, at: Timestamp) -> Self {
        let rule = &policy.requirement;
        Self { groups: rule.groups.clone(), grace_cutoff: at.minus(rule.grace_period) }
    }
}

/// What the facts mean for a login at that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The user has a second factor.
    On,
    /// They have none and none is asked.
    Off,
    /// They have none and may put it off.
    InGrace,
    /// They have none and are stopped.
    Stopped,
}

impl Standing {
    /// The state that lists and filters know.
    pub const fn state(self) -> TwoFactorState {
        match self {
            Self::On => TwoFactorState::On,
            Self::Off | Self::InGrace => TwoFactorState::Off,
            Self::Stopped => TwoFactorState::EnrollmentRequired,
        }
    }
}

/// What facts mean under a policy at a time; agrees with what a login would be told that no trusted provider vouches for.
pub fn standing(facts: Facts, policy: &PolicyDocument, at: Timestamp) -> Standing {
    let rule = &policy.requirement;
    if facts.on {
        return Standing::On;
    }
    if facts.must_enroll {
        return Standing::Stopped;
    }
    let meant = rule.groups.is_empty() || facts.in_groups;
    let begun = rule.required_from.is_none_or(|from| from <= at);
    if rule.mode == RequirementMode::Optional || !meant || !begun {
        return Standing::Off;
    }
    match facts.grace {
        Grace::NotStarted if !rule.grace_period.is_zero() => Standing::InGrace,
        Grace::Running => Standing::InGrace,
        Grace::NotStarted | Grace::Over => Standing::Stopped,
    }
}

/// Whether a second factor is required of a user with these facts, whether they have one or not, and whether the requirement
/// has begun or is yet to: as a status says it.
pub fn is_required(facts: Facts, policy: &PolicyDocument) -> bool {
    let rule = &policy.requirement;
    let meant = rule.groups.is_empty() || facts.in_groups;
    facts.must_enroll || rule.mode == RequirementMode::Required && meant
}

/// Users of a tenant by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// All that are known: see [`UserState::is_known`](crate::user::UserState::is_known).
    pub total: u64,
    /// With a second factor.
    pub on: u64,
    /// Without, and let through.
    pub off: u64,
    /// Without, and told to enroll.
    pub enrollment_required: u64,
    /// Of those let through, the ones in their grace period.
    pub in_grace: u64,
    /// Whose login would be stopped, unless a trusted provider vouches for them: that is no fact that a store knows.
    pub stopped: u64,
}

/// The coverage that counted facts mean.
pub fn coverage(
    counts: impl IntoIterator<Item = (Facts, u64)>,
    policy: &PolicyDocument,
    at: Timestamp,
) -> Coverage {
    let mut coverage = Coverage::default();
    for (facts, count) in counts {
        coverage.total += count;
        match standing(facts, policy, at) {
            Standing::On => coverage.on += count,
            Standing::Off => coverage.off += count,
            Standing::InGrace => {
                coverage.off += count;
                coverage.in_grace += count;
            }
            Standing::Stopped => {
                coverage.enrollment_required += count;
                coverage.stopped += count;
            }
        }
    }
    coverage
}

/// How many users a rule stops, by whom it means: what [`newly_stopped`] is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// It means the groups of the old policy.
    pub old_groups: u64,
    /// It means those of the new one.
    pub new_groups: u64,
    /// It means both.
    pub either: u64,
}

impl Stopped {
    /// Those in groups of both policies: counted twice where each is counted by itself.
    const fn both(self) -> u64 {
        (self.old_groups + self.new_groups).saturating_sub(self.either)
    }
}

/// How many users a change of policy stops who were not stopped before, given whom the old rule and the new one would stop.
///
/// A difference of totals would not do: moving the requirement from one group to another frees some and stops others. Of
/// those whom both policies mean, one rule stops all that the other one does.
pub const fn newly_stopped(old: Stopped, new: Stopped) -> u64 {
    let newly_meant = new.either.saturating_sub(new.old_groups);
    newly_meant + new.both().saturating_sub(old.both())
}

/// The groups of either list; empty, which means everybody, where one of them does.
pub fn either(old: &[String], new: &[String]) -> Vec<String> {
    if old.is_empty() || new.is_empty() {
        return Vec::new();
    }
    let more = new.iter().filter(|group| !old.contains(group));
    old.iter().chain(more).cloned().collect()
}
