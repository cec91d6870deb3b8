//! How a change set ends that is not committed, and the guard of a statement that is in no script.

use crate::error::Trouble;
use crate::writer::Done;
use countersign_ports::Commit;

/// Why a change set is not committed.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A guard did not hold.
    Conflict,
    /// It cannot be committed at all.
    Trouble(Trouble),
}

impl<E: Into<Trouble>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Trouble(error.into())
    }
}

impl Stop {
    /// What the caller is told, once the change has been made or stopped.
    pub(crate) fn answer(made: Result<(), Self>) -> Result<Done<Commit>, Trouble> {
        match made {
            Ok(()) => Ok(Done::Keep(Commit::Done)),
            Err(Self::Conflict) => Ok(Done::Undo(Commit::Conflict)),
            Err(Self::Trouble(trouble)) => Err(trouble),
        }
    }
}

/// The guard of a statement: it changed a row, or nothing of the change set is committed.
pub(crate) fn guard(changed: u64) -> Result<(), Stop> {
    if changed == 0 { Err(Stop::Conflict) } else { Ok(()) }
}
