//! Signed workload tokens: who calls, where a mesh and not TLS says so (R42). What the caller may do is not decided here.
//!
//! `jws` takes a token apart and checks its signature, `keys` reads the issuer's public keys, `claims` judges what the
//! token says, `source` keeps the keys current, `fetch` gets them over HTTPS.
//!
//! No general library does it: those at hand ask the ambient clock for the time, or bring a second stack of
//! cryptography (docs/adr/0012-tokens-of-workloads.md).

mod algorithm;
mod claims;
mod fetch;
mod jws;
mod keys;
mod source;

#[cfg(test)]
mod tests;

pub(crate) use algorithm::Algorithm;
pub(crate) use claims::Rules;
pub(crate) use fetch::Endpoint;
pub(crate) use source::{Freshness, Origin, Source};

use crate::hangups::Hangups;
use countersign_api_grpc::TokenVerifier;
use countersign_ports::Clock;
use jws::Jws;
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Why a token is not taken. For the log alone: the caller is told one thing, whatever it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not a token in compact form, or one with extensions.
    Malformed,
    /// An algorithm that is not allowed.
    Algorithm,
    /// No key of that name.
    UnknownKey,
    /// The signature is another's.
    Signature,
    /// Claims of the wrong shape, or missing.
    Claims,
    /// Another issuer's.
    Issuer,
    /// For another audience.
    Audience,
    /// Its time is over.
    Expired,
    /// Its time is to come.
    NotYet,
    /// Good for longer than tokens may be.
    Lifetime,
    /// The subject is nobody's who is configured.
    Subject,
    /// There are no keys that are fresh enough.
    NoKeys,
}

impl Refusal {
    /// A word for the log.
    const fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown key",
            Self::Signature => "signature",
            Self::Claims => "claims",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYet => "not yet valid",
            Self::Lifetime => "lifetime",
            Self::Subject => "subject",
            Self::NoKeys => "no fresh keys",
        }
    }
}

/// What the configuration says about tokens.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// What is asked of every token.
    pub(crate) rules: Rules,
    /// The algorithms that are taken.
    pub(crate) algorithms: Vec<Algorithm>,
    /// Where the keys are.
    pub(crate) source: Source,
    /// Callers by the subject of their tokens, where that is not their name.
    pub(crate) subjects: HashMap<String, String>,
}

/// Judges tokens.
pub(crate) struct Tokens {
    rules: Rules,
    algorithms: Vec<Algorithm>,
    subjects: HashMap<String, String>,
    keys: source::Current,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl Tokens {
    /// The judge, and the job that keeps its keys current until `stop`.
    pub(crate) fn new(
        settings: Settings,
        clock: Arc<dyn Clock>,
        hangups: Hangups,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let Settings { rules, algorithms, source, subjects } = settings;
        let (keys, job) = source.watch(hangups, stop);
        (Self { rules, algorithms, subjects, keys, clock }, job)
    }

    async fn judge(&self, token: &str) -> Result<String, Refusal> {
        let jws = Jws::parse(token)?;
        if !self.algorithms.contains(&jws.algorithm) {
            return Err(Refusal::Algorithm);
        }
        let mut checked = self.signed(&jws);
        if matches!(checked, Err(Refusal::UnknownKey | Refusal::NoKeys)) {
            // The issuer may have begun to sign with a key that came after the set was read.
            self.keys.ask_again().await;
            checked = self.signed(&jws);
        }
        let claims = checked?;
        #[expect(clippy::cast_precision_loss, reason = "seconds are whole up to 2^53")]
        let now = self.clock.now().unix_seconds() as f64;
        let subject = self.rules.subject(&claims, now)?;
        match self.subjects.get(&subject) {
            Some(name) => Ok(name.clone()),
            // A SPIFFE id is a name as it stands (JWT-SVID section 3.1), and only who is configured gets further.
            None if subject.starts_with("spiffe://") && crate::tls::is_caller_name(&subject) => Ok(subject),
            None => Err(Refusal::Subject),
        }
    }

    fn signed(&self, jws: &Jws<'_>) -> Result<Vec<u8>, Refusal> {
        let keys = self.keys.now().ok_or(Refusal::NoKeys)?;
        jws.verified(keys.iter()).map(<[u8]>::to_vec)
    }
}

/// How many keys a text holds, or what is wrong with it.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn key_count(text: &str) -> Result<usize, &'static str> {
    keys::parse(text).map(|keys| keys.len())
}

#[tonic::async_trait]
impl TokenVerifier for Tokens {
    async fn verify(&self, token: &str) -> Result<String, &'static str> {
        self.judge(token).await.map_err(Refusal::word)
    }
}
