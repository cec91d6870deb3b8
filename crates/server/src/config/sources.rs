//! Reading a configuration from its file, the environment and flags, in this order. Values are not judged here.

use super::raw::{Raw, RawNotices, RawNoticesFile, RawStore};
use super::{Problem, Problems, store};
use figment::error::{Actual, Kind};
use figment::providers::{Env, Serialized};
use figment::{Error, Figment};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// Environment variables begin with this; two underscores part the words of a key.
const ENV_PREFIX: &str = "COUNTERSIGN__";
const ENV_SEPARATOR: &str = "__";
/// A longer file is not a configuration.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Where a configuration comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// The file; without one, everything comes from the environment and flags.
    pub(crate) file: Option<PathBuf>,
    /// `--listen`.
    pub(crate) listen: Option<String>,
    /// `--store`.
    pub(crate) store: Option<String>,
}

impl Sources {
    /// Everything that was written, the later source over the earlier.
    pub(super) fn read(&self) -> Result<Raw, Problems> {
        let file = self.file.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let figment = Figment::from(Serialized::defaults(file))
            .merge(Env::prefixed(ENV_PREFIX).split(ENV_SEPARATOR).lowercase(true));
        let mut raw: Raw = extract(&figment)?;
        if let Some(listen) = &self.listen {
            raw.listen.address = Some(listen.clone());
        }
        if let Some(target) = &self.store {
            let witness_file = raw.store.witness_file.take();
            raw.store = RawStore { witness_file, ..store::from_flag(target)? };
        }
        Ok(raw)
    }
}

/// The values of `figment`, or what does not fit, by key.
fn extract<T: DeserializeOwned>(figment: &Figment) -> Result<T, Problems> {
    figment.extract().map_err(|error| {
        let mut problems = Problems::default();
        error.into_iter().for_each(|error| problems.add(problem(error)));
        problems
    })
}

/// Reads a file with a section `[notices]` and nothing else.
pub(super) fn read_notices(path: &Path) -> Result<RawNotices, Problems> {
    let figment = Figment::from(Serialized::defaults(read_file(path)?));
    Ok(extract::<RawNoticesFile>(&figment)?.notices)
}

/// Reads the values of a file's text; for tests, the example and fuzzing.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn parse(text: &str) -> Result<Raw, Problems> {
    extract(&Figment::from(Serialized::defaults(parse_table(text)?)))
}

fn read_file(path: &Path) -> Result<toml::Table, Problem> {
    let fail = |error: std::io::Error| {
        Problem::new(
            "--config",
            format!("{} cannot be read ({}); check the path", path.display(), error.kind()),
        )
    };
    if std::fs::metadata(path).map_err(fail)?.len() > MAX_FILE_BYTES {
        return Err(Problem::new("--config", format!("{} is too long; check the path", path.display())));
    }
    parse_table(&std::fs::read_to_string(path).map_err(fail)?)
}

/// Says where the text breaks the rules of TOML. Never quotes the line: it may hold a password.
fn parse_table(text: &str) -> Result<toml::Table, Problem> {
    text.parse::<toml::Table>().map_err(|error| {
        let line = error.span().map_or(1, |span| {
            let before = text.get(..span.start).unwrap_or(text);
            before.matches('\n').count() + 1
        });
        Problem::new("--config", format!("line {line} is not TOML: {}", error.message()))
    })
}

/// What figment says, as a problem with its key and without the value.
fn problem(error: Error) -> Problem {
    let mut path = error.path;
    let from_environment = error.metadata.is_some_and(|metadata| metadata.name.contains("environment"));
    let text = match error.kind {
        Kind::UnknownField(name, known) => {
            // The path may end with the field already.
            if path.last() != Some(&name) {
                path.push(name);
            }
            format!("is not a key of this version; known here: {}", known.join(", "))
        }
        // A variable has no type: what looks like a number is read as one, also in a place for texts.
        Kind::InvalidType(actual, expected) if from_environment && expected.contains("string") => {
            let kind = kind_of(&actual);
            format!("is {kind}; write it in double quotes, inside those of the shell: '\"…\"'")
        }
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            format!("is {}; write {expected}", kind_of(&actual))
        }
        Kind::InvalidLength(length, expected) => format!("has {length} entries; write {expected}"),
        Kind::ISizeOutOfRange(_) | Kind::USizeOutOfRange(_) => {
            "is out of range; write a smaller number".to_owned()
        }
        // The text of the others may quote the value.
        _ => "cannot be read; compare it with the example in the documentation".to_owned(),
    };
    let key = path.join(".");
    if from_environment {
        let variable = format!("{ENV_PREFIX}{}", path.join(ENV_SEPARATOR).to_uppercase());
        return Problem::new(key, format!("{text} (from the environment, {variable})"));
    }
    Problem::new(key, text)
}

/// The kind of a value, without the value.
const fn kind_of(actual: &Actual) -> &'static str {
    match actual {
        Actual::Bool(_) => "a boolean",
        Actual::Unsigned(_) | Actual::Signed(_) => "a whole number that does not fit here",
        Actual::Float(_) => "a number with a fraction",
        Actual::Char(_) | Actual::Str(_) => "a text",
        Actual::Seq => "a list",
        Actual::Map => "a table",
        _ => "of another kind",
    }
}
