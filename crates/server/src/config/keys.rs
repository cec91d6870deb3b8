//! Root keys: where each comes from, and the one keyring made of them (R51, R52). What is refused as a key is the
//! keyring's business.

use super::raw::RawKeys;
use super::{Problem, Problems, key_command, read_root_key};
use countersign_domain::digest::KeyId;
use countersign_keyring::{Keyring, RootKey};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Where a root key comes from.
enum Source<'a> {
    /// A file that its owner alone may read.
    File(&'a PathBuf),
    /// The environment variable of this name.
    Variable(&'a str),
    /// What this program prints: the way to a key management service.
    Command(&'a [String]),
}

impl Source<'_> {
    /// The key, or a problem that names `key` of the configuration.
    fn read(&self, key: &str) -> Result<RootKey, Problem> {
        match self {
            Self::File(path) => read_root_key(key, path),
            Self::Variable(name) => variable(key, name),
            Self::Command(command) => key_command::read(key, command),
        }
    }
}

/// Reads a root key from the environment.
fn variable(key: &str, name: &str) -> Result<RootKey, Problem> {
    let text = Zeroizing::new(std::env::var(name).map_err(|_| {
        Problem::new(
            key,
            format!(
                "the environment variable {name} is not set or not text; set it, or keep the key in a file"
            ),
        )
    })?);
    RootKey::parse(&text).map_err(|error| {
        Problem::new(
            key,
            format!("the environment variable {name}: {error}; `countersign keys new` makes one"),
        )
    })
}

/// The keys of a configuration.
#[derive(Debug)]
pub(crate) struct Keys {
    /// What seals and digests.
    pub(crate) keyring: Keyring,
    /// Keys that are given up with everything that still needs them to be checked.
    pub(crate) retired: BTreeSet<KeyId>,
}

/// Reads every key.
pub(super) fn validate(raw: &RawKeys, problems: &mut Problems) -> Option<Keys> {
    let files = raw.files.iter().map(|(id, path)| ("files", id, Source::File(path)));
    let variables = raw.environment.iter().map(|(id, name)| ("environment", id, Source::Variable(name)));
    let commands = raw.commands.iter().map(|(id, command)| ("commands", id, Source::Command(command)));
    let mut roots = BTreeMap::new();
    let mut complete = true;
    for (table, id, source) in files.chain(variables).chain(commands) {
        let key = format!("keys.{table}.{id}");
        let Some(id) = problems.take(key_id(id, &key)) else {
            complete = false;
            continue;
        };
        if roots.contains_key(&id) {
            problems.add(Problem::new(key, "is the id of another key too; every id has one source"));
            complete = false;
            continue;
        }
        match problems.take(source.read(&key)) {
            Some(root) => complete &= roots.insert(id, root).is_none(),
            None => complete = false,
        }
    }
    let retired: BTreeSet<_> = raw.retired.iter().copied().map(KeyId).collect();
    for id in retired.iter().filter(|id| roots.contains_key(id)) {
        let text = format!("names key {}, which is configured; keep one of the two", id.0);
        problems.add(Problem::new("keys.retired", text));
        complete = false;
    }
    // Told above, each by its own key.
    if !complete {
        return None;
    }
    let keyring = match raw.seal_with {
        None => Keyring::new(roots).map_err(|error| {
            Problem::new("keys.files", format!("{error}; `countersign keys new` makes one"))
        }),
        Some(id) => Keyring::with_newest(roots, KeyId(id)).map_err(|error| {
            Problem::new(
                "keys.seal_with",
                format!("{error}; write the id of a configured key, or leave it out"),
            )
        }),
    };
    problems.take(keyring).map(|keyring| Keys { keyring, retired })
}

/// Leading zeros would give one id two spellings.
fn key_id(text: &str, key: &str) -> Result<KeyId, Problem> {
    let id = text.parse().ok().filter(|id: &u32| *id > 0 && id.to_string() == text);
    id.map(KeyId).ok_or_else(|| Problem::new(key, "is no key id; write 1, 2, … (the highest one seals)"))
}
