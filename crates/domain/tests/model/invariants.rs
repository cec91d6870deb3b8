//! What must hold after every step whatever the rules say, looked at in the states and events alone.

use countersign_domain::event::{Event, EventType};
use countersign_domain::ids::AuthenticatorId;
use countersign_domain::otp::Step;
use countersign_domain::policy::Policy;
use countersign_domain::time::Timestamp;
use countersign_domain::user::UserState;
use std::collections::BTreeSet;

/// What happened in one step.
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that may have happened")]
pub(crate) struct Happened<'a> {
    pub(crate) before: &'a UserState,
    pub(crate) after: &'a UserState,
    pub(crate) events: &'a [Event],
    pub(crate) now: Timestamp,
    /// The denial's reason, where it was denied.
    pub(crate) denied: Option<&'static str>,
    /// Whether a code of an app was told to be right.
    pub(crate) verified: bool,
    /// Whether an enrollment was confirmed.
    pub(crate) confirmed: bool,
    /// Whether the user is one who may never be without a second factor.
    pub(crate) mandatory: bool,
    /// Whether what the user guessed is forgotten, because others reset, switched off or erased them or lifted their lock.
    pub(crate) forgiven: bool,
    /// The same by what is done to who may never be without a second factor, too.
    pub(crate) cared_for: bool,
}

/// What one user's history has shown so far.
#[derive(Default)]
pub(crate) struct Watch {
    consumed: BTreeSet<(AuthenticatorId, Step)>,
    guesses: Vec<Timestamp>,
}

impl Watch {
    /// Panics where a step breaks an invariant.
    pub(crate) fn see(&mut self, step: &Happened<'_>, policy: &Policy) {
        self.one_success_a_step(step);
        self.guesses_within_budget(step, policy);
        on_and_off(step);
        if step.denied.is_some() {
            denial_changes_charges_alone(step);
        }
    }

    /// R4, R5: a success consumes a step that no success has consumed before, and only a success does.
    fn one_success_a_step(&mut self, step: &Happened<'_>) {
        let mut fresh = 0;
        for own in &step.after.authenticators {
            let last = last_step(own);
            let was = step.before.authenticator(own.id).map(last_step);
            if was != Some(last) {
                assert!(was.is_none_or(|was| was < last), "R4: last_step went back");
                assert!(self.consumed.insert((own.id, last)), "R5: a step was consumed twice");
                fresh += 1;
            }
        }
        if step.verified {
            assert_eq!(fresh, 1, "R4: a success consumes exactly one step");
        }
        assert!(step.denied.is_none() || fresh == 0, "a denial consumed a step");
    }

    /// R11, R13: evaluated guesses that were wrong stay within the rolling cap, by what the events tell.
    fn guesses_within_budget(&mut self, step: &Happened<'_>, policy: &Policy) {
        if step.forgiven {
            self.guesses.clear();
        }
        let charged = |event: &&Event| {
            event.kind == EventType::LoginRefused
                && event.details.iter().any(|(name, value)| {
                    name == "finding" && ["wrong", "pending", "disabled"].contains(&value.as_str())
                })
        };
        let now = step.now;
        self.guesses.extend(step.events.iter().filter(charged).map(|_| now));
        self.guesses.retain(|time| now.since(*time) < policy.lockout.rolling_window);
        assert!(self.guesses.len() <= policy.lockout.rolling_limit as usize, "R13: the cap did not hold");
        let failures = &step.after.failures;
        if self.guesses.len() == policy.lockout.rolling_limit as usize {
            assert!(failures.locked_until(now).is_some(), "R13: the cap does not lock");
        }
    }
}

fn last_step(own: &countersign_domain::user::Authenticator) -> Step {
    let totp = own.credential.totp().unwrap();
    totp.last_step
}

/// B6: on only by a confirmation. B45, R37: never off again while mandatory, but by a reset that obliges to enroll.
fn on_and_off(step: &Happened<'_>) {
    let (was, is) = (step.before.is_on(), step.after.is_on());
    if !was && is {
        assert!(step.confirmed, "B6: on without a confirmation");
        assert_eq!(step.after.state_since, Some(step.now), "B11");
    }
    if was && !is && step.mandatory {
        assert!(step.cared_for, "R37: off in mandatory mode");
    }
    if was && !is {
        assert!(step.after.epoch > step.before.epoch, "ruling 10");
        assert!(step.after.recovery.is_none(), "B33: recovery codes outlived the second factor");
    }
}

/// A denial changes nothing but charges, tries and what has expired: nothing at all unless a code was evaluated.
fn denial_changes_charges_alone(step: &Happened<'_>) {
    let mut expected = step.before.settled(step.now);
    let after = step.after;
    if after == step.before {
        return;
    }
    if step.denied == Some("incorrect") {
        expected.failures.clone_from(&after.failures);
        for own in &mut expected.authenticators {
            let charged = after.authenticator(own.id).expect("no authenticator is gone");
            own.consecutive_failures = charged.consecutive_failures;
            own.standing = charged.standing;
        }
        for pending in &mut expected.pending {
            pending.tries_left = after.pending(pending.id).map_or(0, |after| after.tries_left);
        }
        expected.pending.retain(|pending| pending.tries_left > 0);
        if after.failures.locked_until != step.before.failures.locked_until {
            // R14: the lock that this charge started killed them.
            expected.challenges.clear();
        }
        let disabled = |state: &UserState| state.active().count();
        if disabled(after) < disabled(step.before) {
            assert!(after.epoch > step.before.epoch, "ruling 10");
            expected.epoch = after.epoch;
            expected.pending.clear();
            expected.tickets.clear();
            expected.clients.clear();
            expected.challenges.clear();
        }
    }
    assert_eq!(*after, expected, "a denial changed more than charges: {:?}", step.denied);
}
