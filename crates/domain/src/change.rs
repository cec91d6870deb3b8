//! What a decision is made of, and the difference between two states as a list of writes: the transaction as data.
//!
//! Command modules build the next state; [`writes`] alone knows how to tell a store what changed, so that no command
//! can forget to.

use crate::event::Event;
use crate::ids::{AuthenticatorId, ChallengeId, ClientId, EnrollmentId, Epoch, RecoverySetId, TicketId};
use crate::otp::Step;
use crate::sms::budget::SendCharge;
use crate::time::Timestamp;
use crate::user::{
    Authenticator, Challenge, DirectoryEntry, Failures, PendingEnrollment, RecoverySet, RememberedClient,
    RequirementState, ResetRequest, Ticket, Usage, UserState,
};

/// What a command decided: the answer, and what is committed before it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a decision that is not committed loses charges and events"]
pub struct Decision<T> {
    /// The answer, negative ones included.
    pub outcome: T,
    /// What is to be committed.
    pub effect: Effect,
    /// How it came about, in the order of the rules that were asked; the last one decided. For explanations.
    pub steps: Vec<RuleStep>,
}

/// What a decision does, all in one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// To the user whom the command is about.
    pub own: Change,
    /// To the one who acts, where a command on another user evaluated a proof of theirs: it is charged or consumed, and told as
    /// what happened to them and not to the target.
    pub actor: Option<Change>,
    /// A text message to count.
    pub send: Option<SendCharge>,
}

/// What becomes of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The state to commit.
    pub next: UserState,
    /// What happened, the verdict or the change first.
    pub events: Vec<Event>,
    /// Which events the owner is told of: one a change. A call makes two at most, where a rotated-out token revoked its
    /// family beside whatever else it did.
    pub notices: Vec<Notice>,
}

/// That the owner of the second factor is told of one of the events beside it (B50).
#[derive(Clone, PartialEq, Eq)]
pub struct Notice {
    /// The position of the event in [`Change::events`].
    pub event: usize,
    /// An address that has just been replaced and is told too (B51).
    pub old_address: Option<String>,
}

impl std::fmt::Debug for Notice {
    /// Leaves out the address (R53).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notice").field("event", &self.event).finish_non_exhaustive()
    }
}

/// One rule that a decision asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleStep {
    /// The field of the policy, as callers write it; empty where the rule is no policy.
    pub field: &'static str,
    /// What it said.
    pub finding: &'static str,
}

impl<T> Decision<T> {
    /// The same decision with another form of its outcome.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Decision<U> {
        Decision { outcome: f(self.outcome), effect: self.effect, steps: self.steps }
    }

    /// A decision that changes and tells nothing.
    pub fn unchanged(outcome: T, state: &UserState) -> Self {
        let own = Change { next: state.clone(), events: Vec::new(), notices: Vec::new() };
        Self { outcome, effect: Effect { own, actor: None, send: None }, steps: Vec::new() }
    }
}

/// The fields that stand in the user's own row and are written whole with every change: all but
/// [`UserState::first_factor_since`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCore {
    /// See [`UserState::epoch`].
    pub epoch: Epoch,
    /// See [`UserState::is_on`]: derived, kept beside so that lists and counts need not look at authenticators.
    pub on: bool,
    /// See [`UserState::is_known`]: derived, for the same reason. A change that leaves the user on, and puts neither an
    /// authenticator nor the directory's part, leaves this as it was.
    pub known: bool,
    /// See [`UserState::state_since`].
    pub state_since: Option<Timestamp>,
    /// See [`UserState::failures`].
    pub failures: Failures,
    /// See [`UserState::requirement`].
    pub requirement: RequirementState,
    /// See [`UserState::reset_request`].
    pub reset_request: Option<ResetRequest>,
}

impl UserCore {
    /// The core of a state.
    pub fn of(state: &UserState) -> Self {
        Self {
            epoch: state.epoch,
            on: state.is_on(),
            known: state.is_known(),
            state_since: state.state_since,
            failures: state.failures.clone(),
            requirement: state.requirement,
            reset_request: state.reset_request.clone(),
        }
    }
}

/// One change to a row beside the user's own, or to what in that is not written with every change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Set [`UserState::first_factor_since`]. No login changes it, and so none sends it along.
    SetFirstFactorSince(Option<Timestamp>),
    /// Insert the authenticator, or replace it whole.
    PutAuthenticator(Authenticator),
    /// Only what using or failing changes: the hot path does not seal a key again.
    UseAuthenticator {
        /// The authenticator.
        id: AuthenticatorId,
        /// What its kind keeps of its use.
        usage: Usage,
        /// When a code of it was last accepted.
        last_use_time: Option<Timestamp>,
        /// Failures since.
        consecutive_failures: u32,
    },
    /// Delete the authenticator.
    RemoveAuthenticator(AuthenticatorId),
    /// Insert the pending enrollment, or replace the one with its id.
    PutPending(PendingEnrollment),
    /// Only a wrong code at confirmation: the key is not sealed again.
    ChargePending {
        /// The pending enrollment.
        id: EnrollmentId,
        /// Tries left.
        tries_left: u32,
    },
    /// Delete the pending enrollment.
    RemovePending(EnrollmentId),
    /// Replace whatever recovery codes there are by this set.
    PutRecoverySet(RecoverySet),
    /// Mark one code of the set as used.
    UseRecoveryCode {
        /// The set.
        set: RecoverySetId,
        /// The position in the set, from 0.
        index: usize,
        /// When.
        used_time: Timestamp,
    },
    /// Delete all recovery codes.
    RemoveRecoverySet,
    /// Insert the challenge; challenges never change.
    AddChallenge(Challenge),
    /// Delete the challenge.
    RemoveChallenge(ChallengeId),
    /// Insert the ticket; tickets never change.
    AddTicket(Ticket),
    /// Delete the ticket.
    RemoveTicket(TicketId),
    /// Insert the remembered client, or replace it.
    PutClient(RememberedClient),
    /// Delete the remembered client.
    RemoveClient(ClientId),
    /// Insert the directory's part, or replace it, memberships included.
    PutDirectory(DirectoryEntry),
    /// Delete the directory's part.
    RemoveDirectory,
}

/// The writes that turn `old` into `next`, removals before insertions so that unique names can change hands.
/// Empty where only the core differs, or nothing does.
pub fn writes(old: &UserState, next: &UserState) -> Vec<Write> {
    // Most changes write one row: not the room for four that the first one would bring along.
    let mut writes = Vec::with_capacity(1);
    if old.first_factor_since != next.first_factor_since {
        writes.push(Write::SetFirstFactorSince(next.first_factor_since));
    }
    authenticators(old, next, &mut writes);
    pending(old, next, &mut writes);
    recovery(old, next, &mut writes);
    let put = |row: &Challenge| Write::AddChallenge(row.clone());
    rows(&old.challenges, &next.challenges, |row| row.id, Write::RemoveChallenge, put, &mut writes);
    let put = |row: &Ticket| Write::AddTicket(row.clone());
    rows(&old.tickets, &next.tickets, |row| row.id, Write::RemoveTicket, put, &mut writes);
    let put = |row: &RememberedClient| Write::PutClient(row.clone());
    rows(&old.clients, &next.clients, |row| row.id, Write::RemoveClient, put, &mut writes);
    if old.directory != next.directory {
        writes.push(next.directory.clone().map_or(Write::RemoveDirectory, Write::PutDirectory));
    }
    writes
}

/// By how many steps the code that this change accepted was ahead of the server's clock (negative: behind); `None`
/// where it accepted no code of an authenticator app. (Making a user safe after a restore consumes steps too, and is not
/// counted by anybody.) What operators see drifting before codes are refused (R7).
pub fn accepted_step_offset(old: &UserState, next: &UserState, now: Timestamp) -> Option<i64> {
    next.authenticators.iter().find_map(|after| {
        let totp = after.credential.totp()?;
        let before = old.authenticator(after.id).and_then(|before| before.credential.totp());
        let current = Step::at(now.unix_seconds(), totp.parameters.period);
        let accepted = before.is_none_or(|before| totp.last_step > before.last_step);
        accepted.then(|| totp.last_step.number().cast_signed() - current.number().cast_signed())
    })
}

/// Removes rows whose id is gone, puts rows that are new or differ.
fn rows<T: Clone + PartialEq, I: PartialEq>(
    old: &[T],
    next: &[T],
    id: impl Fn(&T) -> I,
    remove: impl Fn(I) -> Write,
    put: impl Fn(&T) -> Write,
    writes: &mut Vec<Write>,
) {
    for row in old.iter().filter(|row| !next.iter().any(|kept| id(kept) == id(row))) {
        writes.push(remove(id(row)));
    }
    for row in next.iter().filter(|row| !old.contains(row)) {
        writes.push(put(row));
    }
}

fn authenticators(old: &UserState, next: &UserState, writes: &mut Vec<Write>) {
    let put = |row: &Authenticator| match old.authenticator(row.id).map(|before| used(before, row)) {
        Some(Some(write)) => write,
        _ => Write::PutAuthenticator(row.clone()),
    };
    rows(&old.authenticators, &next.authenticators, |row| row.id, Write::RemoveAuthenticator, put, writes);
}

/// The cheap write, where `after` differs from `before` by use alone.
fn used(before: &Authenticator, after: &Authenticator) -> Option<Write> {
    let usage = after.credential.usage();
    let mut same = before.clone();
    same.last_use_time = after.last_use_time;
    same.consecutive_failures = after.consecutive_failures;
    let same_kind = same.credential.set_usage(usage);
    (same_kind && same == *after).then_some(Write::UseAuthenticator {
        id: after.id,
        usage,
        last_use_time: after.last_use_time,
        consecutive_failures: after.consecutive_failures,
    })
}

fn pending(old: &UserState, next: &UserState, writes: &mut Vec<Write>) {
    let put = |row: &PendingEnrollment| {
        let charged = |before: &PendingEnrollment| {
            PendingEnrollment { tries_left: row.tries_left, ..before.clone() } == *row
        };
        if old.pending.iter().any(charged) {
            Write::ChargePending { id: row.id, tries_left: row.tries_left }
        } else {
            Write::PutPending(row.clone())
        }
    };
    rows(&old.pending, &next.pending, |row| row.id, Write::RemovePending, put, writes);
}

fn recovery(old: &UserState, next: &UserState, writes: &mut Vec<Write>) {
    match (&old.recovery, &next.recovery) {
        (Some(_), None) => writes.push(Write::RemoveRecoverySet),
        (Some(before), Some(after)) if before.id == after.id => {
            for (index, (was, is)) in before.codes.iter().zip(&after.codes).enumerate() {
                if let (None, Some(used_time)) = (was.used_time, is.used_time) {
                    writes.push(Write::UseRecoveryCode { set: after.id, index, used_time });
                }
            }
        }
        (_, Some(set)) => writes.push(Write::PutRecoverySet(set.clone())),
        (None, None) => {}
    }
}
