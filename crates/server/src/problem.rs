//! What is wrong with a configuration: the key, and what to do. Never the value, which may be a secret.

use std::fmt;
use std::ops::RangeInclusive;

/// One thing to put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The key as it stands in the file (`store.postgres.url`), or the flag (`--listen`).
    pub(crate) key: String,
    /// What is wrong, and the fix after a semicolon.
    pub(crate) text: String,
}

impl Problem {
    /// A problem with `key`.
    pub(crate) fn new(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self { key: key.into(), text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.text)
    }
}

/// Everything that is wrong, so that it can be put right at once. Not empty where it is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    /// Notes one more.
    pub(crate) fn add(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// The value, or `None` with its problem noted.
    pub(crate) fn take<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.add(problem)).ok()
    }

    /// The number, where one is written and it is in its range.
    pub(crate) fn number(
        &mut self,
        key: impl Into<String>,
        value: Option<u32>,
        range: &RangeInclusive<u32>,
    ) -> Option<u32> {
        let value = value?;
        if range.contains(&value) {
            return Some(value);
        }
        self.add(Problem::new(key, format!("is out of range; write {} to {}", range.start(), range.end())));
        None
    }

    /// How many there are.
    pub(crate) const fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}
