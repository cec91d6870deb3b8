//! From what was written to what is meant. Every check of a value is here, in `store` or in `keys`; all problems are collected.

use super::raw::{Raw, RawCaller, RawLimits, RawLog, RawTls};
use super::{Config, Exposure, Limits, Log, LogFormat, Problem, Problems, keys, notices, observe, store};
use crate::tls::{self, TlsFiles};
use countersign_api_grpc::{Grants, Tenants};
use countersign_domain::ids::TenantId;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// Checks everything.
pub(super) fn validate(raw: Raw) -> Result<Config, Problems> {
    let mut problems = Problems::default();
    let listen = problems.take(listen(raw.listen.address.as_deref()));
    let tls = tls(raw.tls, &mut problems);
    let callers = callers(&raw.callers, &mut problems);
    let store = store::validate(raw.store, &mut problems);
    let keys = keys::validate(&raw.keys, &mut problems);
    let limits = limits(&raw.limits, &mut problems);
    let log = log(&raw.log, &mut problems);
    let observe = observe::validate(raw.metrics, raw.traces, &mut problems);
    let notices = notices::validate(raw.notices, &mut problems);
    match (listen, tls, store, keys, notices) {
        (Some(listen), Some((files, tls)), Some(store), Some(keys), Some(notices)) if problems.is_empty() => {
            let exposure = Exposure::Production { files, tls, callers };
            Ok(Config { listen, exposure, store, keys, limits, log, observe, notices })
        }
        _ => Err(problems),
    }
}

fn listen(address: Option<&str>) -> Result<SocketAddr, Problem> {
    let fix = "write an IP address and a port, such as 0.0.0.0:50051 or [::]:50051";
    let address = address.ok_or_else(|| Problem::new("listen.address", format!("is missing; {fix}")))?;
    address.parse().map_err(|_| Problem::new("listen.address", format!("is no address; {fix}")))
}

fn tls(raw: RawTls, problems: &mut Problems) -> Option<(TlsFiles, Arc<rustls::ServerConfig>)> {
    let mut file = |name: &str, path: Option<PathBuf>, what: &str| {
        let missing = || {
            let text =
                format!("is missing; give the PEM file of {what} (only `serve --dev` does without TLS)");
            Problem::new(format!("tls.{name}"), text)
        };
        problems.take(path.ok_or_else(missing))
    };
    let certificate = file("certificate_file", raw.certificate_file, "the server's certificate chain");
    let private_key = file("private_key_file", raw.private_key_file, "the server's private key");
    let client_ca =
        file("client_ca_file", raw.client_ca_file, "the authority that issues callers' certificates");
    let files = TlsFiles { certificate: certificate?, private_key: private_key?, client_ca: client_ca? };
    let loaded = problems.take(tls::load(&files))?;
    Some((files, Arc::new(loaded)))
}

/// What each caller may do. A name may stand several times: its grants add up.
fn callers(raw: &[RawCaller], problems: &mut Problems) -> HashMap<String, Grants> {
    if raw.is_empty() {
        let text =
            "is missing; add a [[callers]] with name, scopes and tenants for each workload, or none can call";
        problems.add(Problem::new("callers", text));
    }
    let mut granted: HashMap<String, Vec<(String, Tenants)>> = HashMap::new();
    for (index, caller) in raw.iter().enumerate() {
        let key = |name: &str| format!("callers.{index}.{name}");
        let name = problems.take(caller_name(caller.name.as_deref(), &key("name")));
        let tenants = problems.take(tenants(&caller.tenants, &key("tenants")));
        if caller.scopes.is_empty() {
            problems.add(Problem::new(key("scopes"), "is empty; name at least one scope, such as \"login\""));
        }
        for (position, scope) in caller.scopes.iter().enumerate() {
            // Each by itself, so that the one that is not known is the one that is told.
            if Grants::new([(scope.clone(), Tenants::All)]).is_err() {
                let text =
                    "is no scope of the contract; write one such as login, account.read or policy.weaken";
                problems.add(Problem::new(format!("{}.{position}", key("scopes")), text));
            }
        }
        if let (Some(name), Some(tenants)) = (name, tenants) {
            let scopes = caller.scopes.iter().map(|scope| (scope.clone(), tenants.clone()));
            granted.entry(name).or_default().extend(scopes);
        }
    }
    // Scopes that are not known are told above, each by its own key.
    granted.into_iter().filter_map(|(name, grants)| Some((name, Grants::new(grants).ok()?))).collect()
}

/// A SPIFFE id or a DNS name, in the form in which certificates are compared: no wildcard, lower case.
fn caller_name(name: Option<&str>, key: &str) -> Result<String, Problem> {
    let fix = "write the SPIFFE id (spiffe://DOMAIN/PATH) or the DNS name in the caller's certificate";
    let name = name.ok_or_else(|| Problem::new(key, format!("is missing; {fix}")))?;
    if tls::is_caller_name(name) {
        return Ok(name.to_owned());
    }
    Err(Problem::new(
        key,
        format!("is neither a SPIFFE id nor a lower-case DNS name without wildcard; {fix}"),
    ))
}

fn tenants(raw: &[String], key: &str) -> Result<Tenants, Problem> {
    match raw {
        [] => Err(Problem::new(key, "is empty; name the tenants, or write [\"*\"] for all of them")),
        [all] if all == "*" => Ok(Tenants::All),
        some => {
            let mut tenants = BTreeSet::new();
            for (position, tenant) in some.iter().enumerate() {
                let id = TenantId::parse(tenant).map_err(|error| {
                    Problem::new(
                        format!("{key}.{position}"),
                        format!("{error}; or [\"*\"] alone for all tenants"),
                    )
                })?;
                tenants.insert(id);
            }
            Ok(Tenants::Only(tenants))
        }
    }
}

fn limits(raw: &RawLimits, problems: &mut Problems) -> Limits {
    let default = Limits::default();
    let mut number = |name: &str, value: Option<u32>, range: std::ops::RangeInclusive<u32>| {
        let value = value?;
        if range.contains(&value) {
            return Some(value);
        }
        let text = format!("is out of range; write {} to {}", range.start(), range.end());
        problems.add(Problem::new(format!("limits.{name}"), text));
        None
    };
    let millis = |value: u32| Duration::from_millis(value.into());
    let seconds = |value: u32| Duration::from_secs(value.into());
    let count = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
    let limits = Limits {
        max_request_bytes: number("max_request_bytes", raw.max_request_bytes, 1_024..=32_768)
            .map_or(default.max_request_bytes, count),
        max_in_flight: number("max_in_flight", raw.max_in_flight, 1..=100_000)
            .map_or(default.max_in_flight, count),
        default_deadline: number("default_deadline_ms", raw.default_deadline_ms, 10..=300_000)
            .map_or(default.default_deadline, millis),
        max_deadline: number("max_deadline_ms", raw.max_deadline_ms, 10..=300_000)
            .map_or(default.max_deadline, millis),
        max_connections: number("max_connections", raw.max_connections, 1..=100_000)
            .map_or(default.max_connections, count),
        handshake_timeout: number("handshake_timeout_ms", raw.handshake_timeout_ms, 100..=60_000)
            .map_or(default.handshake_timeout, millis),
        max_connection_age: number("max_connection_age_seconds", raw.max_connection_age_seconds, 10..=86_400)
            .map_or(default.max_connection_age, seconds),
        drain_timeout: number("drain_timeout_seconds", raw.drain_timeout_seconds, 1..=30)
            .map_or(default.drain_timeout, seconds),
    };
    if limits.default_deadline > limits.max_deadline {
        let text = "is longer than limits.max_deadline_ms; write at most that";
        problems.add(Problem::new("limits.default_deadline_ms", text));
    }
    limits
}

fn log(raw: &RawLog, problems: &mut Problems) -> Log {
    let format = match raw.format.as_deref() {
        None | Some("json") => LogFormat::Json,
        Some("human") => LogFormat::Human,
        Some(_) => {
            problems.add(Problem::new("log.format", "is not known; write json or human"));
            LogFormat::Json
        }
    };
    let level = match raw.level.as_deref() {
        None | Some("info") => LevelFilter::INFO,
        Some("error") => LevelFilter::ERROR,
        Some("warn") => LevelFilter::WARN,
        Some("debug") => LevelFilter::DEBUG,
        Some("trace") => LevelFilter::TRACE,
        Some(_) => {
            problems.add(Problem::new("log.level", "is not known; write error, warn, info, debug or trace"));
            LevelFilter::INFO
        }
    };
    Log { format, level }
}
