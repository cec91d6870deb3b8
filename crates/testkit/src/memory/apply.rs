//! One user's change: the guard, then each write on a copy.

use countersign_domain::change::Write;
use countersign_domain::ids::Version;
use countersign_domain::user::{Authenticator, Usage, UserState};
use countersign_ports::{StoreError, UserChange};

/// Why a change is not made.
pub(super) enum Refused {
    /// A guard did not hold.
    Conflict,
    /// It cannot be made at all.
    Error(StoreError),
}

impl Refused {
    const NAME_TAKEN: Self = Self::broken("gives two authenticators one name");

    const fn broken(problem: &'static str) -> Self {
        Self::Error(StoreError::Corrupt { entity: "change set", id: String::new(), problem })
    }
}

/// The user after the change, if the guard holds.
pub(super) fn apply_user(
    stored: Option<&(Version, UserState)>,
    change: UserChange,
) -> Result<(Version, UserState), Refused> {
    if stored.map(|(version, _)| *version) != change.expected {
        return Err(Refused::Conflict);
    }
    let version = change.expected.map_or(Version(1), Version::next);
    let mut state = stored.map(|(_, state)| state.clone()).unwrap_or_default();
    let core = change.core;
    state.epoch = core.epoch;
    state.state_since = core.state_since;
    state.failures = core.failures;
    state.requirement = core.requirement;
    state.reset_request = core.reset_request;
    for write in change.writes {
        apply(&mut state, write)?;
    }
    Ok((version, state))
}

fn apply(state: &mut UserState, write: Write) -> Result<(), Refused> {
    match write {
        Write::SetFirstFactorSince(time) => state.first_factor_since = time,
        Write::PutAuthenticator(row) => return put_authenticator(state, row),
        Write::UseAuthenticator { id, usage, last_use_time, consecutive_failures } => {
            let row = state.authenticators.iter_mut().find(|row| row.id == id).ok_or(Refused::Conflict)?;
            if takes_back(row.credential.usage(), usage) || !row.credential.set_usage(usage) {
                return Err(Refused::Conflict);
            }
            row.last_use_time = last_use_time;
            row.consecutive_failures = consecutive_failures;
        }
        Write::RemoveAuthenticator(id) => state.authenticators.retain(|row| row.id != id),
        Write::PutPending(row) => put(&mut state.pending, row, |row| row.id),
        Write::ChargePending { id, tries_left } => {
            state.pending.iter_mut().find(|row| row.id == id).ok_or(Refused::Conflict)?.tries_left =
                tries_left;
        }
        Write::RemovePending(id) => state.pending.retain(|row| row.id != id),
        Write::PutRecoverySet(set) => state.recovery = Some(set),
        Write::UseRecoveryCode { set, index, used_time } => {
            let current = state.recovery.as_mut().filter(|current| current.id == set);
            let code = current.and_then(|set| set.codes.get_mut(index)).ok_or(Refused::Conflict)?;
            if code.used_time.replace(used_time).is_some() {
                return Err(Refused::Conflict);
            }
        }
        Write::RemoveRecoverySet => state.recovery = None,
        Write::AddChallenge(row) => put(&mut state.challenges, row, |row| row.id),
        Write::RemoveChallenge(id) => state.challenges.retain(|row| row.id != id),
        Write::AddTicket(row) => put(&mut state.tickets, row, |row| row.id),
        Write::RemoveTicket(id) => state.tickets.retain(|row| row.id != id),
        Write::PutClient(row) => put(&mut state.clients, row, |row| row.id),
        Write::RemoveClient(id) => state.clients.retain(|row| row.id != id),
        Write::PutDirectory(entry) => state.directory = Some(entry),
        Write::RemoveDirectory => state.directory = None,
    }
    Ok(())
}

fn put_authenticator(state: &mut UserState, row: Authenticator) -> Result<(), Refused> {
    let name = row.display_name.fold_key();
    if state.authenticators.iter().any(|other| other.id != row.id && other.display_name.fold_key() == name) {
        return Err(Refused::NAME_TAKEN);
    }
    let stored = state.authenticator(row.id).map(|stored| stored.credential.usage());
    if stored.is_some_and(|stored| takes_back(stored, row.credential.usage())) {
        return Err(Refused::Conflict);
    }
    put(&mut state.authenticators, row, |row| row.id);
    Ok(())
}

/// Whether a use that was made would be unmade: a step that falls (R4), a sent code that is no longer used (R71),
/// a counter that falls (R70).
fn takes_back(stored: Usage, given: Usage) -> bool {
    match (stored, given) {
        (Usage::Totp { last_step: stored }, Usage::Totp { last_step: given }) => given < stored,
        (Usage::Sms { sent: Some(stored) }, Usage::Sms { sent: Some(given) }) => {
            stored.id == given.id && stored.used_time.is_some() && given.used_time != stored.used_time
        }
        (Usage::SecurityKey { sign_count: stored, .. }, Usage::SecurityKey { sign_count: given, .. }) => {
            given < stored
        }
        (Usage::Sms { .. } | Usage::Totp { .. } | Usage::SecurityKey { .. }, _) => false,
    }
}

/// Replaces the row with that id where it stands, or adds it at the end.
fn put<T, I: PartialEq>(rows: &mut Vec<T>, row: T, id: impl Fn(&T) -> I) {
    match rows.iter_mut().find(|other| id(other) == id(&row)) {
        Some(other) => *other = row,
        None => rows.push(row),
    }
}
