//! What the configuration says about signed workload tokens, checked. What a token must be is `crate::tokens`' business.

use super::raw::RawTokens;
use super::{Problem, Problems};
use crate::tls;
use crate::tokens::{Algorithm, Endpoint, Freshness, Origin, Rules, Settings, Source};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The longest issuer or audience.
const MAX_NAME: usize = 512;

/// Checks everything about tokens.
pub(super) fn validate(
    raw: RawTokens,
    subjects: HashMap<String, String>,
    problems: &mut Problems,
) -> Option<Settings> {
    let mut seconds = |name: &str, value: Option<u32>, default: u32, range: RangeInclusive<u32>| {
        let value = problems.number(format!("tokens.{name}"), value, &range);
        Duration::from_secs(value.unwrap_or(default).into())
    };
    let leeway = seconds("leeway_seconds", raw.leeway_seconds, 30, 0..=60);
    let max_lifetime = seconds("max_lifetime_seconds", raw.max_lifetime_seconds, 3_600, 60..=86_400);
    let refresh = seconds("refresh_seconds", raw.refresh_seconds, 300, 10..=86_400);
    let max_stale = seconds("max_stale_seconds", raw.max_stale_seconds, 3_600, 60..=604_800);
    if max_stale < refresh {
        let text = "is shorter than tokens.refresh_seconds; keys would be too old before they are read again";
        problems.add(Problem::new("tokens.max_stale_seconds", text));
    }
    let issuer = problems.take(text("issuer", raw.issuer, "the `iss` of the tokens"));
    let audience = problems.take(text("audience", raw.audience, "what their `aud` calls this service"));
    let algorithms = algorithms(raw.algorithms, problems);
    let origin = match (raw.keys_file, raw.jwks_url) {
        (Some(path), None) => {
            if raw.jwks_ca_file.is_some() {
                let text = "is set without tokens.jwks_url; remove it";
                problems.add(Problem::new("tokens.jwks_ca_file", text));
            }
            let origin = Origin::File(path);
            let checked = origin.check().map_err(|problem| Problem::new("tokens.keys_file", problem));
            problems.take(checked.map(|()| origin))
        }
        (None, Some(url)) => problems.take(endpoint(&url, raw.jwks_ca_file.as_deref())),
        (None, None) => {
            let text = "is missing; give the issuer's public keys, as a file here or by tokens.jwks_url";
            problems.take(Err(Problem::new("tokens.keys_file", text)))
        }
        (Some(_), Some(_)) => {
            let text = "is set together with tokens.jwks_url; remove one of them";
            problems.take(Err(Problem::new("tokens.keys_file", text)))
        }
    };
    Some(Settings {
        rules: Rules { issuer: issuer?, audience: audience?, leeway, max_lifetime },
        algorithms,
        source: Source { origin: origin?, freshness: Freshness { refresh, max_stale } },
        subjects,
    })
}

fn text(name: &str, value: Option<String>, what: &str) -> Result<String, Problem> {
    let key = format!("tokens.{name}");
    match value {
        Some(value) if (1..=MAX_NAME).contains(&value.len()) => Ok(value),
        Some(_) => Err(Problem::new(key, format!("must have 1 to {MAX_NAME} bytes; write {what}"))),
        None => Err(Problem::new(key, format!("is missing; write {what}"))),
    }
}

fn algorithms(raw: Option<Vec<String>>, problems: &mut Problems) -> Vec<Algorithm> {
    let Some(names) = raw else { return Algorithm::ALL.into() };
    if names.is_empty() {
        problems.add(Problem::new("tokens.algorithms", "is empty; name at least one, such as \"ES256\""));
    }
    let mut algorithms = Vec::new();
    for (position, name) in names.iter().enumerate() {
        match Algorithm::from_name(name) {
            Some(algorithm) => algorithms.push(algorithm),
            None => problems.add(Problem::new(
                format!("tokens.algorithms.{position}"),
                "is not taken; write EdDSA, ES256, PS256 or RS256 (none that is symmetric)",
            )),
        }
    }
    algorithms
}

fn endpoint(url: &str, authority: Option<&Path>) -> Result<Origin, Problem> {
    let key = "tokens.jwks_ca_file";
    let missing = "is missing; give the PEM file of who issued the certificate of tokens.jwks_url, or the system's bundle";
    let authority = authority.ok_or_else(|| Problem::new(key, missing))?;
    let client = tls::client(key, authority)?;
    let endpoint = Endpoint::new(url, Arc::new(client));
    let endpoint = endpoint.map_err(|problem| Problem::new("tokens.jwks_url", problem))?;
    Ok(Origin::Https(Arc::new(endpoint)))
}
