//! What holds for every decision whatever the command was, and a store that applies writes in its own way.

use countersign_domain::change::{Change, Decision, UserCore, Write, writes};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{
    Authenticator, Challenge, FirstFactor, PendingEnrollment, Ticket, Usage, UserState,
};

/// Panics where a decision breaks a law of the house.
pub fn hold<T>(old: &UserState, decision: &Decision<T>, now: Timestamp) {
    let Change { next, events, notices } = &decision.effect.own;
    for notice in notices {
        assert!(notice.event < events.len(), "B50: the notice is of an event that there is");
    }
    if next != old && *next != old.settled(now) {
        assert!(!events.is_empty(), "R55: a change without an event");
    }
    assert!(next.epoch >= old.epoch, "R34: the epoch only grows");
    let erased = *next == UserState { epoch: next.epoch, ..UserState::default() };
    let absurd = old.first_factor_since.is_some_and(|since| since > now.plus(FirstFactor::LEEWAY));
    assert!(
        erased || absurd || next.first_factor_since >= old.first_factor_since,
        "R34: an old first factor counts again"
    );
    let closes = |own: &&Authenticator| next.authenticator(own.id).is_none_or(|after| !after.is_active());
    if old.active().any(|own| closes(&own)) {
        // Not "grew": there is none after the last one.
        assert!(
            next.epoch >= old.epoch.next(),
            "R34: an authenticator is gone or disabled, and the epoch stayed"
        );
    }
    for before in &old.authenticators {
        let Some(after) = next.authenticator(before.id) else { continue };
        grows(before.credential.usage(), after.credential.usage());
    }
    if next.epoch > old.epoch {
        let kept = |kept: bool| assert!(!kept, "R34: something old outlived the epoch");
        kept(next.challenges.iter().any(|row| row.epoch != next.epoch || old.challenges.contains(row)));
        kept(next.tickets.iter().any(|row| row.epoch != next.epoch || old.tickets.contains(row)));
        kept(next.open_pending().any(|row| row.epoch != next.epoch || old.pending.contains(row)));
        kept(next.clients.iter().any(|row| row.epoch != next.epoch || old.client(row.id).is_some()));
    }
    bounded(next);
    writes_make(old, next);
}

/// What was used stays used.
fn grows(was: Usage, is: Usage) {
    match (was, is) {
        (Usage::Totp { last_step: was }, Usage::Totp { last_step: is }) => {
            assert!(is >= was, "R4: last_step only grows");
        }
        (Usage::Sms { sent: was }, Usage::Sms { sent: is }) => {
            let unused = was.zip(is).is_some_and(|(was, is)| {
                was.id == is.id && was.used_time.is_some() && was.used_time != is.used_time
            });
            assert!(!unused, "R71: a used code stays used");
        }
        (Usage::SecurityKey { sign_count: was, .. }, Usage::SecurityKey { sign_count: is, .. }) => {
            assert!(is >= was, "R70: a counter only grows");
        }
        _ => panic!("an authenticator changed its kind"),
    }
}

/// Panics where the writes from one state to another do not make that other one.
pub fn writes_make(old: &UserState, next: &UserState) {
    let mut stored = old.clone();
    apply(&mut stored, &UserCore::of(next), writes(old, next));
    assert_eq!(sorted(stored), sorted(next.clone()), "the writes do not make the state");
}

/// R49: caps that hold whatever the policy says.
fn bounded(state: &UserState) {
    let mut kinds: Vec<_> = state.pending.iter().map(PendingEnrollment::kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), state.pending.len(), "R20: one pending enrollment a kind");
    assert!(state.open_pending().all(|row| (1..=PendingEnrollment::MAX_TRIES).contains(&row.tries_left)));
    assert!(state.challenges.len() <= Challenge::MAX_OPEN);
    assert!(state.tickets.len() <= Ticket::MAX_OPEN);
    assert!(state.authenticators.len() <= 20);
    assert!(state.clients.len() <= 50);
    assert!(state.failures.recent.len() <= 100);
}

/// A store: the user's own row whole, then one write after the other.
pub fn apply(state: &mut UserState, core: &UserCore, writes: Vec<Write>) {
    state.epoch = core.epoch;
    state.state_since = core.state_since;
    state.failures = core.failures.clone();
    state.requirement = core.requirement;
    state.reset_request.clone_from(&core.reset_request);
    for write in writes {
        apply_one(state, write);
    }
}

fn apply_one(state: &mut UserState, write: Write) {
    match write {
        Write::SetFirstFactorSince(time) => state.first_factor_since = time,
        Write::PutAuthenticator(row) => put(&mut state.authenticators, row, |row| row.id),
        Write::UseAuthenticator { id, usage, last_use_time, consecutive_failures } => {
            let row = state.authenticators.iter_mut().find(|row| row.id == id).unwrap();
            grows(row.credential.usage(), usage);
            assert!(row.credential.set_usage(usage), "a use of another kind");
            row.last_use_time = last_use_time;
            row.consecutive_failures = consecutive_failures;
        }
        Write::RemoveAuthenticator(id) => take(&mut state.authenticators, |row| row.id == id),
        Write::PutPending(row) => put(&mut state.pending, row, |row| row.id),
        Write::ChargePending { id, tries_left } => {
            state.pending.iter_mut().find(|row| row.id == id).unwrap().tries_left = tries_left;
        }
        Write::RemovePending(id) => take(&mut state.pending, |row| row.id == id),
        Write::PutRecoverySet(set) => state.recovery = Some(set),
        Write::UseRecoveryCode { set, index, used_time } => {
            let own = state.recovery.as_mut().filter(|own| own.id == set).unwrap();
            let slot = &mut own.codes[index].used_time;
            assert_eq!(slot.replace(used_time), None, "R29: the guard of the statement would not hold");
        }
        Write::RemoveRecoverySet => assert!(state.recovery.take().is_some()),
        Write::AddChallenge(row) => add(&mut state.challenges, row, |row| row.id),
        Write::RemoveChallenge(id) => take(&mut state.challenges, |row| row.id == id),
        Write::AddTicket(row) => add(&mut state.tickets, row, |row| row.id),
        Write::RemoveTicket(id) => take(&mut state.tickets, |row| row.id == id),
        Write::PutClient(row) => put(&mut state.clients, row, |row| row.id),
        Write::RemoveClient(id) => take(&mut state.clients, |row| row.id == id),
        Write::PutDirectory(entry) => state.directory = Some(entry),
        Write::RemoveDirectory => assert!(state.directory.take().is_some()),
    }
}

/// Inserts a row, or replaces the one with its id.
fn put<T, I: PartialEq>(rows: &mut Vec<T>, row: T, id: impl Fn(&T) -> I) {
    rows.retain(|other| id(other) != id(&row));
    rows.push(row);
}

/// Inserts a row that must be new, as a primary key demands.
fn add<T, I: PartialEq>(rows: &mut Vec<T>, row: T, id: impl Fn(&T) -> I) {
    assert!(rows.iter().all(|other| id(other) != id(&row)), "a second row under one id");
    rows.push(row);
}

/// Deletes exactly one row.
fn take<T>(rows: &mut Vec<T>, gone: impl Fn(&T) -> bool) {
    let before = rows.len();
    rows.retain(|row| !gone(row));
    assert_eq!(rows.len() + 1, before, "a removal removes one row");
}

/// The state in an order that does not depend on who wrote it.
pub fn sorted(mut state: UserState) -> UserState {
    state.authenticators.sort_by_key(|row| row.id);
    state.pending.sort_by_key(|row| row.id);
    state.challenges.sort_by_key(|row| row.id);
    state.tickets.sort_by_key(|row| row.id);
    state.clients.sort_by_key(|row| row.id);
    state
}
