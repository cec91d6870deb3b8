//! A change set as statements that are run one after the other without anybody waiting in between: each wait is a way to the
//! connection's thread and back, and costs more than the statement.
//!
//! Statements have plain question marks and no numbers, because the arguments of all of them stand in one list.

use crate::error::Trouble;
use crate::stop::Stop;
use countersign_ports::StoreError;
use futures::TryStreamExt as _;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe, Either, Executor as _, SqliteConnection};
use std::collections::BTreeMap;
use uuid::Uuid;

/// So many scripts of one form are run at one go, the most first. What is prepared is kept for each of these sizes.
const TOGETHER: [usize; 3] = [16, 4, 1];

/// Statements of several scripts that are run at one go: more are not worth what is kept of them. A login has five or six.
const MAX_STATEMENTS: usize = 160;

/// What a statement has to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changes {
    /// A row, or nothing of the change set is committed.
    Row,
    /// The row of a tenant, which else is missing.
    Tenant,
    /// Whatever there is.
    Any,
}

impl Changes {
    /// Whether so many rows are what it has to change.
    fn check(self, rows: u64) -> Result<(), Stop> {
        match self {
            Self::Row if rows == 0 => Err(Stop::Conflict),
            Self::Tenant if rows == 0 => Err(StoreError::TenantMissing.into()),
            _ => Ok(()),
        }
    }
}

/// Statements with their arguments, which are not for the eyes of a log.
#[derive(Default)]
pub(crate) struct Script {
    /// Each ends with a semicolon.
    text: String,
    arguments: Vec<Value>,
    changes: Vec<Changes>,
}

impl Script {
    /// Adds a statement; [`add`] does it with its arguments.
    pub(crate) fn statement(&mut self, text: &'static str, changes: Changes) {
        debug_assert!(!text.contains("?1"), "a number counts from the first argument of all: {text}");
        self.text.push_str(text);
        self.text.push(';');
        self.changes.push(changes);
    }

    /// Adds an argument of the last statement.
    pub(crate) fn bind(&mut self, value: Value) {
        self.arguments.push(value);
    }

    /// Runs it, up to the first statement that does not change what it has to; what ran is to be undone then, and perhaps some
    /// of what stands behind it did.
    pub(crate) async fn run(self, at: &mut SqliteConnection) -> Result<(), Stop> {
        let arguments = arguments(self.arguments)?;
        let mut done = at.fetch_many(sqlx::query_with(AssertSqlSafe(self.text), arguments));
        let mut changes = self.changes.into_iter();
        while let Some(result) = done.try_next().await? {
            if let Either::Left(result) = result {
                changes.next().ok_or(sqlx::Error::WorkerCrashed)?.check(result.rows_affected())?;
            }
        }
        // The driver ends its results without an error where its thread has died.
        if changes.next().is_some() { Err(sqlx::Error::WorkerCrashed.into()) } else { Ok(()) }
    }
}

/// Runs them all, in whatever order. False where one of them does not change what it has to or cannot be run: which one it is
/// shows when each is run by itself, after all was undone.
pub(crate) async fn run_all(scripts: Vec<Script>, at: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let mut forms: BTreeMap<String, Vec<Script>> = BTreeMap::new();
    for mut script in scripts {
        forms.entry(std::mem::take(&mut script.text)).or_default().push(script);
    }
    for (text, mut scripts) in forms {
        let statements = scripts.first().map_or(0, |script| script.changes.len());
        for size in TOGETHER.into_iter().filter(|size| *size == 1 || size * statements <= MAX_STATEMENTS) {
            while scripts.len() >= size {
                let part = scripts.split_off(scripts.len() - size);
                let done = Script {
                    text: text.repeat(size),
                    changes: part.iter().flat_map(|script| script.changes.iter().copied()).collect(),
                    arguments: part.into_iter().flat_map(|script| script.arguments).collect(),
                };
                match done.run(at).await {
                    Ok(()) => {}
                    Err(Stop::Conflict | Stop::Trouble(Trouble::Own(_))) => return Ok(false),
                    Err(Stop::Trouble(Trouble::Database(error))) => return Err(error),
                }
            }
        }
    }
    Ok(true)
}

fn arguments(values: Vec<Value>) -> Result<SqliteArguments, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        match value {
            Value::Null => arguments.add(None::<i64>),
            Value::Integer(integer) => arguments.add(integer),
            Value::Text(text) => arguments.add(text),
            Value::Blob(bytes) => arguments.add(bytes),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// An argument.
pub(crate) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

/// What can be an argument, encoded as the driver does.
pub(crate) trait Argument {
    /// As a value of its own.
    fn value(&self) -> Value;
}

impl<T: Argument + ?Sized> Argument for &T {
    fn value(&self) -> Value {
        (**self).value()
    }
}

impl<T: Argument> Argument for Option<T> {
    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Null, Argument::value)
    }
}

impl Argument for i64 {
    fn value(&self) -> Value {
        Value::Integer(*self)
    }
}

impl Argument for u32 {
    fn value(&self) -> Value {
        Value::Integer(i64::from(*self))
    }
}

impl Argument for bool {
    fn value(&self) -> Value {
        Value::Integer(i64::from(*self))
    }
}

impl Argument for str {
    fn value(&self) -> Value {
        Value::Text(self.to_owned())
    }
}

impl Argument for String {
    fn value(&self) -> Value {
        self.as_str().value()
    }
}

impl Argument for [u8] {
    fn value(&self) -> Value {
        Value::Blob(self.to_vec())
    }
}

impl Argument for Vec<u8> {
    fn value(&self) -> Value {
        self.as_slice().value()
    }
}

impl Argument for Uuid {
    fn value(&self) -> Value {
        self.as_bytes().as_slice().value()
    }
}

/// Adds a statement with its arguments to a script.
macro_rules! add {
    ($script:expr, $changes:expr, $text:literal, $($argument:expr),+ $(,)?) => {{
        // Never called. It has the compiler hold the statement and the types of its arguments against the schema.
        let _ = || sqlx::query!($text, $($argument),+);
        $script.statement($text, $changes);
        $($script.bind($crate::script::Argument::value(&$argument));)+
    }};
}

pub(crate) use add;

#[cfg(test)]
mod tests;
