//! The configuration: where it is read from, and the one validated form that the rest of the program takes.
//!
//! A file comes first, then the environment, then flags. Everything is checked before a port opens, all problems are
//! told at once, and each names its key. What a key means is written in `docs/operations/running.md`.
//!
//! # To add a key
//! 1. A field in `raw`, its check in `validate` (with its range), its value here.
//! 2. A line in `docs/operations/countersign.example.toml` and one in the table of `running.md`.
//! 3. A bad value in the table of `tests`.

mod audit;
mod callers;
mod key_command;
mod keys;
mod limits;
mod notices;
mod observe;
mod raw;
mod sms;
mod sources;
mod store;
mod tokens;
mod validate;

#[cfg(test)]
mod tests;

pub(crate) use audit::AuditConfig;
pub(crate) use keys::Keys;
pub(crate) use notices::{Channel, NoticesConfig};
pub(crate) use observe::{Observe, Traces};
pub(crate) use sms::SmsConfig;
pub(crate) use sources::Sources;
pub(crate) use store::StoreConfig;

use crate::problem::{Problem, Problems};
use crate::secret_file::{Readers, read as read_secret, read_root_key};
use crate::tls;
use crate::tokens::Settings;
use countersign_api_grpc::{CallLimits, Grants, Rate};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// A configuration that was checked.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// To whom.
    pub(crate) exposure: Exposure,
    /// Where state is kept.
    pub(crate) store: StoreConfig,
    /// Where this node remembers how far the store had come.
    pub(crate) witness: Option<PathBuf>,
    /// What it is sealed with.
    pub(crate) keys: Keys,
    /// Text messages.
    pub(crate) sms: SmsConfig,
    /// What is refused as too much.
    pub(crate) limits: Limits,
    /// How to log.
    pub(crate) log: Log,
    /// What else is told of the service while it runs.
    pub(crate) observe: Observe,
    /// How people hear of changes.
    pub(crate) notices: NoticesConfig,
    /// How long security events are kept; for ever where this is `None`.
    pub(crate) retention: Option<Duration>,
    /// How the log is sealed, and where its seals go.
    pub(crate) audit: AuditConfig,
}

/// Who may connect, and how. One value, so that plain text beyond loopback cannot be written down (R46).
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one in a process, moved a few times at its start")]
pub(crate) enum Exposure {
    /// Development: plain text, every caller has every scope, reflection. Only ever with a loopback address.
    Development,
    /// Production: callers by the names in their certificates or tokens.
    Production {
        /// The certificates as they are at the start, to be loaded again when they change. `None` behind a mesh: plain
        /// text, and then the address is loopback and there are tokens.
        tls: Option<tls::Served>,
        /// What each caller may do.
        callers: HashMap<String, Grants>,
        /// How often each may call, where that differs from the limits, by name.
        rates: HashMap<String, Rate>,
        /// How tokens are judged, where they are taken.
        tokens: Option<Settings>,
    },
}

/// What is refused as too much, and what is waited for at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Of calls.
    pub(crate) calls: CallLimits,
    /// Connections open at the same time.
    pub(crate) max_connections: usize,
    /// From the accepted connection to the first bytes of HTTP/2.
    pub(crate) handshake_timeout: Duration,
    /// When a connection is told to reconnect, so that load spreads and certificates are looked at again.
    pub(crate) max_connection_age: Duration,
    /// How long calls under way may take after a signal to stop; at most 30 s (R67).
    pub(crate) drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls: CallLimits::default(),
            max_connections: 1_000,
            handshake_timeout: Duration::from_secs(5),
            max_connection_age: Duration::from_hours(1),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// How to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Log {
    /// For machines or for people.
    pub(crate) format: LogFormat,
    /// Of our own crates; libraries are never above `warn`, because they print what they carry.
    pub(crate) level: LevelFilter,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For reading along.
    Human,
}

/// Loads and checks everything, or tells everything that is wrong.
pub(crate) fn load(sources: &Sources) -> Result<Config, Problems> {
    validate::validate(sources.read()?)
}

/// Checks a file's text, without the programs that it names for its keys.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn of_text(text: &str) -> Result<Config, Problems> {
    let mut raw = sources::parse(text)?;
    raw.keys.commands.clear();
    validate::validate(raw)
}

/// Loads and checks where the store is, and nothing else: migrations need no keys and no certificates.
pub(crate) fn load_store(sources: &Sources) -> Result<StoreConfig, Problems> {
    let mut problems = Problems::default();
    store::validate(sources.read()?.store, &mut problems).ok_or(problems)
}

/// Loads and checks where the store is and what it is sealed with, and nothing else.
pub(crate) fn load_vault(sources: &Sources) -> Result<(StoreConfig, Keys, Option<PathBuf>), Problems> {
    let mut problems = Problems::default();
    let raw = sources.read()?;
    let witness = store::witness(&raw.store);
    let store = store::validate(raw.store, &mut problems);
    let keys = keys::validate(&raw.keys, &mut problems);
    match (store, keys) {
        (Some(store), Some(keys)) if problems.is_empty() => Ok((store, keys, witness)),
        _ => Err(problems),
    }
}

/// How notices leave, from a file that says nothing else: for development, which takes no configuration.
pub(crate) fn load_notices(file: &Path) -> Result<NoticesConfig, Problems> {
    let mut problems = Problems::default();
    notices::validate(sources::read_notices(file)?, &mut problems).ok_or(problems)
}

/// The store that `--store` names, with nothing from a file or the environment.
pub(crate) fn store_of_flag(target: &str) -> Result<StoreConfig, Problems> {
    let mut problems = Problems::default();
    store::validate(store::from_flag(target)?, &mut problems).ok_or(problems)
}
