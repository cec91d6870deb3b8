//! What one user of a tenant owns. State only: what may happen to it is decided in the command modules.
//!
//! Every collection is bounded (R49); the bounds stand beside the types. [`UserState::settled`] is what a decision
//! starts from: the loaded state without what has expired.

mod authenticator;
mod directory;
mod failures;
mod login_state;

pub use authenticator::{
    Authenticator, Credential, PendingCredential, PendingEnrollment, PendingSms, RecoveryEntry, RecoverySet,
    SentCode, SmsCredential, Standing, TotpCredential, Usage,
};
pub use directory::{DirectoryEntry, Role, TeamMembership};
pub use failures::{Failures, LastWrong};
pub use login_state::{
    Challenge, ChallengePurpose, ClientClaims, FirstFactor, RememberedClient, ResetRequest, Ticket,
    TicketIssuer,
};

use crate::context::Context;
use crate::ids::{AuthenticatorId, ChallengeId, ClientId, EnrollmentId, Epoch};
use crate::policy::{AuthenticatorType, LockoutPolicy};
use crate::sms::MAX_RESEND_INTERVAL;
use crate::time::Timestamp;
use std::time::Duration;

/// How long a request for a reset stays open (ruling 15).
pub const RESET_REQUEST_LIFETIME: Duration = Duration::from_hours(7 * 24);

/// How far a user is from what the tenant's requirement asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequirementState {
    /// When the grace period began: the first login after the requirement did. Never moves once set (B46).
    pub grace_started: Option<Timestamp>,
    /// Whether a reset or a removal left the user obliged to enroll (B45, R35).
    pub must_enroll: bool,
}

/// The second factor of one user, whole. An unknown user has the default state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserState {
    /// Raised whenever something old must die (R34).
    pub epoch: Epoch,
    /// When the second factor was last switched on or off.
    pub state_since: Option<Timestamp>,
    /// When the first factor last changed as far as it was reported, in whole seconds, rounded down: one that passed before
    /// counts no more (R34). Outlives resets and switching off. Only grows, unless it lies further ahead than
    /// [`FirstFactor::LEEWAY`]: then a clock was wrong.
    pub first_factor_since: Option<Timestamp>,
    /// Active and disabled authenticators, oldest first; at most 20 by policy.
    pub authenticators: Vec<Authenticator>,
    /// Pending enrollments, at most one a kind (R20), and closed ones of telephones.
    pub pending: Vec<PendingEnrollment>,
    /// The current set of recovery codes.
    pub recovery: Option<RecoverySet>,
    /// Wrong codes and what they led to.
    pub failures: Failures,
    /// Open challenges, oldest first; at most [`Challenge::MAX_OPEN`].
    pub challenges: Vec<Challenge>,
    /// Open enrollment tickets, oldest first; at most [`Ticket::MAX_OPEN`].
    pub tickets: Vec<Ticket>,
    /// Remembered clients; at most 50 by policy.
    pub clients: Vec<RememberedClient>,
    /// Where the user stands with the requirement.
    pub requirement: RequirementState,
    /// An open request for a reset.
    pub reset_request: Option<ResetRequest>,
    /// What the tenant's directory said, if it ever did.
    pub directory: Option<DirectoryEntry>,
}

impl UserState {
    /// The state without what has expired by `now`: what every decision starts from, so that nothing expired is
    /// found, and what is expired leaves with the next commit. What a first factor opened that was replaced has expired too: a
    /// node of the version before knows of no change, and opens something for an old one at the new epoch.
    #[must_use]
    pub fn settled(&self, now: Timestamp) -> Self {
        let mut state = self.clone();
        let (epoch, changed) = (state.epoch, state.first_factor_since);
        let replaced = |first: &FirstFactor| first.is_from_before(changed);
        state.pending.retain_mut(|pending| {
            if pending.expire_time > now && pending.epoch == epoch {
                return true;
            }
            pending.close();
            pending.outlives_its_end() && pending.create_time.plus(MAX_RESEND_INTERVAL) > now
        });
        state.challenges.retain(|challenge| {
            challenge.expire_time > now && challenge.epoch == epoch && !replaced(&challenge.first_factor)
        });
        state.tickets.retain(|ticket| {
            let replaced = ticket.issuer.first_factor().is_some_and(replaced);
            ticket.expire_time > now && ticket.epoch == epoch && !replaced
        });
        state.clients.retain(|client| client.expire_time > now && client.epoch == epoch);
        if state.reset_request.as_ref().is_some_and(|request| request.expire_time() <= now) {
            state.reset_request = None;
        }
        state
    }

    /// Whether logins of this user are asked for a second factor. A disabled authenticator counts: fifty wrong
    /// guesses must not switch the second factor off.
    pub fn is_on(&self) -> bool {
        !self.authenticators.is_empty()
    }

    /// Whether lists and counts name this user: the directory put them, they ever enrolled, or their grace period began. What
    /// an erasure leaves, or a report about an id that nobody has, is nobody's.
    pub fn is_known(&self) -> bool {
        let RequirementState { grace_started, must_enroll } = self.requirement;
        // Who must enroll was reset, and so on before.
        let ever_enrolled = self.is_on() || self.state_since.is_some() || must_enroll;
        self.directory.is_some() || ever_enrolled || grace_started.is_some()
    }

    /// Whether the directory says that the account is disabled: it may neither log in nor act on anybody.
    pub fn is_account_disabled(&self) -> bool {
        self.directory.as_ref().is_some_and(|entry| entry.disabled)
    }

    /// Whether an authenticator of this user could serve right now, locks aside.
    pub fn has_active(&self) -> bool {
        self.active().next().is_some()
    }

    /// Whether an authenticator of this user could take a code right now, locks aside.
    pub fn takes_codes(&self) -> bool {
        self.active().any(|authenticator| authenticator.kind().takes_codes())
    }

    /// Whether codes are not evaluated at that time: because a lock runs, or until a manager unlocks (R13).
    pub fn is_locked(&self, at: Timestamp) -> bool {
        self.failures.locked_until(at).is_some() || self.has_codes_disabled()
    }

    /// Whether all that took codes was disabled. A user with security keys alone has nothing that a code could fit.
    pub(crate) fn has_codes_disabled(&self) -> bool {
        !self.takes_codes() && self.authenticators.iter().any(|own| own.kind().takes_codes())
    }

    /// The active authenticators.
    pub fn active(&self) -> impl Iterator<Item = &Authenticator> {
        self.authenticators.iter().filter(|authenticator| authenticator.is_active())
    }

    /// The active authenticators that could pass a challenge: keys serve nobody where the policy names nobody for whom they
    /// sign, nor telephones where nobody delivers.
    pub(crate) fn serving(&self, ctx: &Context<'_>) -> impl Iterator<Item = &Authenticator> {
        let keys_serve = ctx.policy.security_key.is_named();
        let telephones_serve = ctx.delivers_text_messages();
        self.active().filter(move |own| match own.kind() {
            AuthenticatorType::SecurityKey => keys_serve,
            AuthenticatorType::Sms => telephones_serve,
            AuthenticatorType::Totp | AuthenticatorType::RecoveryCode => true,
        })
    }

    /// Until when a lock closes something. Where everything is disabled, or what takes codes serves nobody, waiting does not
    /// help.
    pub(crate) fn codes_wait_until(&self, ctx: &Context<'_>) -> Option<Timestamp> {
        let until = self.failures.locked_until(ctx.now)?;
        self.serving(ctx).any(|own| own.kind().takes_codes()).then_some(until)
    }

    /// The authenticator with that id, active or disabled.
    pub fn authenticator(&self, id: AuthenticatorId) -> Option<&Authenticator> {
        self.authenticators.iter().find(|authenticator| authenticator.id == id)
    }

    /// The pending enrollments that may be confirmed.
    pub fn open_pending(&self) -> impl Iterator<Item = &PendingEnrollment> {
        self.pending.iter().filter(|pending| pending.is_open())
    }

    /// The one with that id.
    pub fn pending(&self, id: EnrollmentId) -> Option<&PendingEnrollment> {
        self.open_pending().find(|pending| pending.id == id)
    }

    /// The open challenge with that id.
    pub fn challenge(&self, id: ChallengeId) -> Option<&Challenge> {
        self.challenges.iter().find(|challenge| challenge.id == id)
    }

    /// The remembered client with that id.
    pub fn client(&self, id: ClientId) -> Option<&RememberedClient> {
        self.clients.iter().find(|client| client.id == id)
    }

    /// Recovery codes not yet used.
    pub fn recovery_codes_remaining(&self) -> usize {
        self.recovery.as_ref().map_or(0, RecoverySet::remaining)
    }

    /// Raises the epoch: every challenge, ticket, remembered client and pending enrollment is dead (R34).
    pub(crate) fn raise_epoch(&mut self) {
        self.epoch = self.epoch.next();
        self.close_pending();
        self.challenges.clear();
        self.tickets.clear();
        self.clients.clear();
    }

    /// Takes first factors from before `time` for stale (R34), in whole seconds: callers may tell no more of when one passed, and
    /// one that passed in the second of the change counts. An earlier change than the last one is none. A last one that
    /// lies further ahead than a first factor may is of a clock that was wrong, and would lock its owner out until then.
    pub(crate) fn change_first_factor(&mut self, time: Timestamp, now: Timestamp) {
        let latest = now.plus(FirstFactor::LEEWAY);
        let changed = Timestamp::from_unix_seconds(time.min(latest).unix_seconds());
        let last = self.first_factor_since.filter(|last| *last <= latest);
        self.first_factor_since = last.max(Some(changed));
    }

    /// Ends every pending enrollment.
    pub(crate) fn close_pending(&mut self) {
        self.pending.retain(PendingEnrollment::outlives_its_end);
        self.pending.iter_mut().for_each(PendingEnrollment::close);
    }

    /// Takes away everything that could pass a challenge, and raises the epoch (B29, B41).
    pub(crate) fn strip(&mut self, policy: &LockoutPolicy, now: Timestamp) {
        self.authenticators.clear();
        self.recovery = None;
        // The rolling window stays: switching off and on again must not refill the budget.
        self.failures.forget_streak(policy);
        self.state_since = Some(now);
        // Whoever switched off, the request is answered: a later reset would take what was set up since (ruling 15).
        self.reset_request = None;
        self.raise_epoch();
    }

    pub(crate) fn authenticator_mut(&mut self, id: AuthenticatorId) -> Option<&mut Authenticator> {
        self.authenticators.iter_mut().find(|authenticator| authenticator.id == id)
    }
}
