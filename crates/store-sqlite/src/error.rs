//! Where the database's failures become the store's, in one place. What a caller is told is decided by the application.

use countersign_keyring::OpenError;
use countersign_ports::StoreError;
use countersign_ports::document::DocumentError;
use sqlx::error::DatabaseError;
use std::fmt::Display;
use std::sync::Arc;

/// Why a piece of work did not come about, told apart by whom it concerns.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// This piece of work cannot be done; its neighbours can.
    Own(StoreError),
    /// The database failed: nothing of the whole transaction can be relied on.
    Database(sqlx::Error),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Own(error)
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(broken) if is_own(&*broken) => Self::Own(StoreError::Corrupt {
                entity: "change set",
                id: String::new(),
                problem: "breaks a constraint of the schema",
            }),
            error if is_unreadable(&error) => Self::Own(unreadable()),
            error => Self::Database(error),
        }
    }
}

/// What a caller is told of a database that failed before anything was committed.
pub(crate) fn unavailable(error: sqlx::Error) -> StoreError {
    if is_unreadable(&error) { unreadable() } else { StoreError::Unavailable(Box::new(error)) }
}

/// Whether the statement is to blame and not the database. The transaction goes on after these: constraint (19),
/// mismatch (20), too big (18), range (25).
fn is_own(error: &dyn DatabaseError) -> bool {
    matches!(primary(error), Some(18 | 19 | 20 | 25))
}

fn primary(error: &dyn DatabaseError) -> Option<i32> {
    error.code().and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff)
}

/// Whether a statement for many may have failed because of one of them: a value that does not read, or a page that is broken.
pub(crate) fn may_be_of_one_row(error: &sqlx::Error) -> bool {
    const CORRUPT: Option<i32> = Some(11);
    is_unreadable(error) || error.as_database_error().is_some_and(|error| primary(error) == CORRUPT)
}

fn is_unreadable(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_))
}

fn unreadable() -> StoreError {
    StoreError::Corrupt {
        entity: "row",
        id: String::new(),
        problem: "has a value that is not of its column's type",
    }
}

/// One failure that several callers are told of.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the database failed")]
pub(crate) struct Shared(#[source] Arc<sqlx::Error>);

impl Shared {
    pub(crate) fn new(error: sqlx::Error) -> Self {
        Self(Arc::new(error))
    }
}

/// A row that is being read: what an error names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<I> {
    entity: &'static str,
    id: I,
}

impl<I: Display> Row<I> {
    /// `id` never holds personal data: user ids may be e-mail addresses, so a user's own row is named by its tenant.
    pub(crate) const fn new(entity: &'static str, id: I) -> Self {
        Self { entity, id }
    }

    /// This row is one that this service cannot have written.
    pub(crate) fn corrupt(&self, problem: &'static str) -> StoreError {
        StoreError::Corrupt { entity: self.entity, id: self.id.to_string(), problem }
    }

    /// The document in this row does not read.
    pub(crate) fn document<T>(&self, read: Result<T, DocumentError>) -> Result<T, StoreError> {
        read.map_err(|error| self.corrupt(error.problem()))
    }

    /// The sealed value in this row does not open (R50).
    pub(crate) fn sealed<T>(&self, opened: Result<T, OpenError>) -> Result<T, StoreError> {
        opened.map_err(|_| StoreError::SealBroken { entity: self.entity, id: self.id.to_string() })
    }

    /// An unsigned number from a signed column.
    pub(crate) fn unsigned<T: TryFrom<i64>>(&self, value: i64) -> Result<T, StoreError> {
        T::try_from(value).map_err(|_| self.corrupt("has a number out of range"))
    }
}

/// A 64-bit number as a column keeps it: signed, so that the upper half does not fit.
pub(crate) fn signed(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Corrupt {
        entity: "change set",
        id: String::new(),
        problem: "has a number above the range of a column",
    })
}
