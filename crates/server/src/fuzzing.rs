//! The door for `crates/fuzz-targets`: what the server reads that others wrote, as functions of texts. Compiled for fuzzing
//! and for tests; what must hold of the answers is said by the targets.

use crate::config::{self, Exposure};
use crate::hangups::Hangups;
use crate::tokens::{self, Algorithm, Freshness, Origin, Rules, Settings, Source, Tokens};
use countersign_api_grpc::TokenVerifier;
use countersign_ports::Clock;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The one issuer of [`verifier`]'s tokens.
pub const ISSUER: &str = "https://issuer.example";
/// What [`verifier`]'s tokens call this service.
pub const AUDIENCE: &str = "countersign";
/// A subject that is configured for the caller `login.internal`.
pub const SUBJECT: &str = "system:serviceaccount:a:login";
/// How far clocks may differ.
pub const LEEWAY: Duration = Duration::from_secs(30);
/// How long a token may be good for.
pub const MAX_LIFETIME: Duration = Duration::from_mins(10);

/// What a configuration that was taken says, as far as it must hold whatever the text was.
#[derive(Debug)]
pub struct Taken {
    /// The whole configuration as it would be logged.
    pub debug: String,
    /// Whether callers speak plain text.
    pub plain_text: bool,
    /// Whether only this machine can connect.
    pub loopback: bool,
    /// Whether signed tokens say who calls.
    pub tokens: bool,
    /// How many callers may do something.
    pub callers: usize,
    /// How long stopping takes at most.
    pub drain_timeout: Duration,
}

/// Reads and checks a configuration, or tells all that is wrong with it, a problem a line. Programs that it names for its
/// keys are left out: whoever fuzzes must not run them.
pub fn config(text: &str) -> Result<Taken, String> {
    let config = config::of_text(text).map_err(|problems| problems.to_string())?;
    let debug = format!("{config:?}");
    let Exposure::Production { tls, callers, tokens, .. } = config.exposure else {
        return Err("development is no configuration of a file".to_owned());
    };
    Ok(Taken {
        debug,
        plain_text: tls.is_none(),
        loopback: config.listen.ip().is_loopback(),
        tokens: tokens.is_some(),
        callers: callers.len(),
        drain_timeout: config.limits.drain_timeout,
    })
}

/// How many keys for tokens a JWK set or PEM holds, or what is wrong with it.
pub fn token_keys(text: &str) -> Result<usize, &'static str> {
    tokens::key_count(text)
}

/// The judge of tokens over the keys in a file, by the rules above; it lives as long as the guard. Needs a runtime.
pub fn verifier(keys: PathBuf, clock: Arc<dyn Clock>) -> (Arc<dyn TokenVerifier>, DropGuard) {
    let freshness = Freshness { refresh: Duration::from_hours(24), max_stale: Duration::from_hours(24) };
    let settings = Settings {
        rules: Rules {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            leeway: LEEWAY,
            max_lifetime: MAX_LIFETIME,
        },
        algorithms: vec![Algorithm::EdDsa, Algorithm::Es256],
        source: Source { origin: Origin::File(keys), freshness },
        subjects: [(SUBJECT.to_owned(), "login.internal".to_owned())].into(),
    };
    let stop = CancellationToken::new();
    let (judge, job) = Tokens::new(settings, clock, Hangups::never(), stop.clone());
    tokio::spawn(job);
    (Arc::new(judge), stop.drop_guard())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is fuzzed must not run programs: one that a configuration names is not started, not even looked for.
    #[test]
    fn programs_of_a_configuration_are_left_out() {
        let told = config("[keys.commands]\n1 = [\"/none/at/all\"]\n").unwrap_err();
        assert!(told.contains("keys.files: ") && !told.contains("/none/at/all"), "{told}");
    }
}
