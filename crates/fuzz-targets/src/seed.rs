//! A seed: an input that a run begins with, and what it is.

use std::borrow::Cow;

/// What a target took an input for, in its own words; nothing where it refused it.
pub type Taken = Vec<Cow<'static, str>>;

/// How the names of near misses begin.
const NEAR: &str = "near-";

/// An input that a run begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// The name of its file. A near miss, which is refused, is called `near-` and what is wrong with it.
    pub name: String,
    /// The input.
    pub bytes: Vec<u8>,
    /// What the target must take it for.
    pub taken_for: Taken,
}

impl Seed {
    /// A good one.
    pub fn good(name: &str, bytes: impl Into<Vec<u8>>, taken_for: &[&'static str]) -> Self {
        assert!(!taken_for.is_empty() && !name.starts_with(NEAR), "{name} is not what its name says");
        Self {
            name: name.to_owned(),
            bytes: bytes.into(),
            taken_for: taken_for.iter().copied().map(Cow::Borrowed).collect(),
        }
    }

    /// One that is good but for what its name says.
    pub fn near(what: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: format!("{NEAR}{what}"), bytes: bytes.into(), taken_for: Taken::new() }
    }
}
