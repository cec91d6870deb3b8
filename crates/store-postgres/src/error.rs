//! What PostgreSQL says, as what the ports say: the one place where SQL errors are read.
//!
//! Texts of the server are not passed on: a detail may quote a row. What is kept is the SQLSTATE and the name of a
//! constraint.

use countersign_ports::StoreError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};
use std::fmt;

/// The class of SQLSTATEs of values that do not fit (PostgreSQL, appendix A).
const DATA_EXCEPTION: &str = "22";
/// The class of broken constraints.
const INTEGRITY_VIOLATION: &str = "23";

/// Why a step of a transaction did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server or the connection said so.
    Sql(sqlx::Error),
    /// A value did not fit, or a row is not as it must be.
    Store(StoreError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    /// The change set cannot be kept at all.
    pub(crate) fn change_set(problem: &'static str) -> Self {
        Self::Store(StoreError::Corrupt { entity: "change set", id: String::new(), problem })
    }

    /// The failure of a step before anything can have been committed.
    pub(crate) fn into_store(self) -> StoreError {
        match self {
            Self::Sql(error) => from_sql(&error),
            Self::Store(error) => error,
        }
    }

    /// Whether the same transaction may succeed when tried once more: it lost against another one.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Sql(error) => is_transient(error),
            Self::Store(_) => false,
        }
    }

    /// Whether one row of many may be to blame: a value or constraint, or a race that it lost. Anything else (a full
    /// disk, a server that only reads) would meet the others as well.
    pub(crate) fn may_be_of_one_row(&self) -> bool {
        let class = match self {
            Self::Sql(error) => database_error(error).and_then(|it| it.code().get(..2)),
            Self::Store(_) => None,
        };
        matches!(class, Some(DATA_EXCEPTION | INTEGRITY_VIOLATION)) || self.is_transient()
    }
}

/// Whether the server ended a statement because it lost against another transaction, and it may succeed when tried once more.
pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    const SERIALIZATION_FAILURE: &str = "40001";
    const DEADLOCK_DETECTED: &str = "40P01";
    database_error(error).is_some_and(|it| matches!(it.code(), SERIALIZATION_FAILURE | DEADLOCK_DETECTED))
}

/// Whether a read for many may have failed because of one of them: a value that does not read, or a page that is broken.
/// Anything else (a lock, a limit of time or memory) would meet each part of them again, one after the other (R66).
pub(crate) fn read_may_fail_for_one_row(error: &sqlx::Error) -> bool {
    is_of_a_row(error) || database_error(error).is_some_and(|it| is_code_of_one_row(it.code()))
}

fn is_code_of_one_row(code: &str) -> bool {
    const DATA_CORRUPTED: &str = "XX001";
    code == DATA_CORRUPTED || code.starts_with(DATA_EXCEPTION)
}

/// A failure of a read, or of a write that was not committed.
pub(crate) fn from_sql(error: &sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::RowNotFound => {
            StoreError::Corrupt { entity: "row", id: String::new(), problem: "is not of the expected form" }
        }
        sqlx::Error::Database(_) => from_server(error),
        _ => unavailable(error),
    }
}

fn from_server(error: &sqlx::Error) -> StoreError {
    let Some(server) = database_error(error) else { return unavailable(error) };
    match server.code().get(..2) {
        Some(INTEGRITY_VIOLATION) if server.constraint() == Some("users_tenant") => StoreError::TenantMissing,
        Some(DATA_EXCEPTION | INTEGRITY_VIOLATION) => StoreError::Corrupt {
            entity: "change set",
            id: server.constraint().unwrap_or_default().to_owned(),
            problem: "breaks a constraint of the schema",
        },
        _ => unavailable(error),
    }
}

/// The store cannot be reached, is overloaded, or is not set up.
pub(crate) fn unavailable(error: &sqlx::Error) -> StoreError {
    StoreError::Unavailable(Box::new(Cause::of(error)))
}

/// The connection failed while a commit was under way.
pub(crate) fn outcome_unknown(error: &sqlx::Error) -> StoreError {
    StoreError::OutcomeUnknown(Box::new(Cause::of(error)))
}

/// The store answers, but is not to be trusted.
pub(crate) fn untrusted(problem: String) -> StoreError {
    StoreError::Unavailable(Box::new(Cause(problem)))
}

/// Too many calls wait already; nothing was begun.
pub(crate) fn overloaded() -> StoreError {
    StoreError::Unavailable(Box::new(Cause("too many calls wait for the database".to_owned())))
}

/// The same failure once more, for another caller whom it met.
pub(crate) fn repeated(error: &StoreError) -> StoreError {
    match error {
        StoreError::OutcomeUnknown(cause) => StoreError::OutcomeUnknown(Box::new(Cause(cause.to_string()))),
        StoreError::Unavailable(cause) => StoreError::Unavailable(Box::new(Cause(cause.to_string()))),
        StoreError::Corrupt { entity, id, problem } => {
            StoreError::Corrupt { entity, id: id.clone(), problem }
        }
        other => StoreError::Unavailable(Box::new(Cause(other.to_string()))),
    }
}

/// A task of ours ended without an answer: it may have committed before.
pub(crate) fn unanswered() -> StoreError {
    StoreError::OutcomeUnknown(Box::new(Cause("the task that commits has ended".to_owned())))
}

/// Whether the server itself refused the statement, with the connection sound and the transaction undone. Anything
/// else (a broken connection, a timeout, a server that ends the session) leaves open what happened.
pub(crate) fn is_refusal(error: &sqlx::Error) -> bool {
    database_error(error).is_some_and(|it| matches!(it.severity(), PgSeverity::Error))
}

/// Whether the connection can serve on after this error.
pub(crate) fn leaves_connection_sound(error: &sqlx::Error) -> bool {
    is_refusal(error) || is_of_a_row(error) && !is_panic(error)
}

/// Whether the driver could not read a row.
fn is_of_a_row(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_))
}

/// The driver panicked over a row. What it left of the connection nobody knows.
pub(crate) fn panicked() -> sqlx::Error {
    sqlx::Error::Decode(Box::new(Panicked))
}

/// Whether it is that.
pub(crate) fn is_panic(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Decode(cause) if cause.is::<Panicked>())
}

#[derive(Debug, thiserror::Error)]
#[error("a row made the driver panic")]
struct Panicked;

pub(crate) fn database_error(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error().and_then(|it| it.try_downcast_ref::<PgDatabaseError>())
}

/// An operation took longer than its callers may wait.
pub(crate) fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

/// What may be told of an error: never the text of the server, a statement or a URL.
#[derive(Debug)]
struct Cause(String);

impl Cause {
    fn of(error: &sqlx::Error) -> Self {
        Self(match error {
            sqlx::Error::Database(_) => match database_error(error) {
                Some(server) => format!("the server refused with SQLSTATE {}", server.code()),
                None => "the server refused".to_owned(),
            },
            sqlx::Error::Io(error) => format!("the connection failed: {}", error.kind()),
            sqlx::Error::Tls(_) => "TLS could not be agreed".to_owned(),
            sqlx::Error::Configuration(_) => "the URL or a setting in it does not read".to_owned(),
            sqlx::Error::Protocol(_) => "the connection broke the protocol".to_owned(),
            sqlx::Error::Migrate(_) => "a migration failed".to_owned(),
            sqlx::Error::PoolTimedOut => "no connection became free in time".to_owned(),
            _ => "the driver failed".to_owned(),
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

#[cfg(test)]
mod tests {
    use super::*;

    /// R66: a shared load is split for a value or a page that may be of one user, and for nothing that each part would wait
    /// for again: a limit of time, a lock, a server that has too little of something or ends.
    #[test]
    fn only_what_may_be_of_one_row_splits_a_load() {
        for code in ["22001", "22021", "22P02", "XX001"] {
            assert!(is_code_of_one_row(code), "{code}");
        }
        for code in ["57014", "55P03", "40P01", "40001", "53100", "53200", "57P01", "25006", "42P01", "XX000"]
        {
            assert!(!is_code_of_one_row(code), "{code}");
        }
        assert!(read_may_fail_for_one_row(&sqlx::Error::Decode("".into())));
        assert!(read_may_fail_for_one_row(&panicked()));
        assert!(!read_may_fail_for_one_row(&timed_out()));
        assert!(!read_may_fail_for_one_row(&sqlx::Error::PoolTimedOut));
    }

    /// R48: nobody is served by a connection over which the driver panicked.
    #[test]
    fn a_panic_leaves_no_connection_sound() {
        assert!(leaves_connection_sound(&sqlx::Error::Decode("".into())));
        assert!(!leaves_connection_sound(&panicked()));
        assert!(matches!(from_sql(&panicked()), StoreError::Corrupt { .. }));
    }
}
