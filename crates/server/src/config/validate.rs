//! From what was written to what is meant. Every check of a value is here or in the file of its section beside this one; all
//! problems are collected.

use super::raw::{Raw, RawEvents, RawLog, RawTls};
use super::{
    Config, Exposure, Log, LogFormat, Problem, Problems, audit, callers, keys, limits, notices, observe, sms,
    store, tokens,
};
use crate::tls::{self, TlsFiles};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// Checks everything.
pub(super) fn validate(raw: Raw) -> Result<Config, Problems> {
    let mut problems = Problems::default();
    let listen = problems.take(listen(raw.listen.address.as_deref()));
    let callers = callers::validate(&raw.callers, raw.tokens.is_some(), &mut problems);
    let has_tokens = raw.tokens.is_some();
    let tokens = raw.tokens.and_then(|tokens| tokens::validate(tokens, callers.subjects, &mut problems));
    let plain = raw.listen.behind_mesh.unwrap_or(false);
    let tls = if plain {
        behind_mesh(&raw.tls, listen, has_tokens, &mut problems);
        None
    } else {
        tls(raw.tls, has_tokens, &mut problems)
    };
    let witness = store::witness(&raw.store);
    let store = store::validate(raw.store, &mut problems);
    let keys = keys::validate(&raw.keys, &mut problems);
    let limits = limits::validate(&raw.limits, &mut problems);
    let sms = sms::validate(raw.sms, &mut problems);
    let log = log(&raw.log, &mut problems);
    let observe = observe::validate(raw.metrics, raw.traces, &mut problems);
    let notices = notices::validate(raw.notices, &mut problems);
    let retention = retention(&raw.events, &mut problems);
    let audit = audit::validate(raw.audit, &mut problems);
    match (listen, store, keys, notices, audit) {
        (Some(listen), Some(store), Some(keys), Some(notices), Some(audit)) if problems.is_empty() => {
            let exposure =
                Exposure::Production { tls, callers: callers.grants, rates: callers.rates, tokens };
            Ok(Config {
                listen,
                exposure,
                store,
                witness,
                keys,
                sms,
                limits,
                log,
                observe,
                notices,
                retention,
                audit,
            })
        }
        _ => Err(problems),
    }
}

/// Plain text is for the sidecar of a mesh in the same network namespace, and only with tokens: over a wire they could
/// be read and used by others, and without them nobody would be known (R42, R46).
fn behind_mesh(tls: &RawTls, listen: Option<SocketAddr>, has_tokens: bool, problems: &mut Problems) {
    let mut add = |key: &str, text: &str| problems.add(Problem::new(key, text));
    if !has_tokens {
        add("tokens", "is missing; with listen.behind_mesh callers are known by signed tokens alone");
    }
    if listen.is_some_and(|address| !address.ip().is_loopback()) {
        let text = "is not loopback; with listen.behind_mesh only the mesh's sidecar may reach the port: \
                    write 127.0.0.1:PORT or [::1]:PORT, or give [tls]";
        add("listen.address", text);
    }
    if tls.certificate_file.is_some() || tls.private_key_file.is_some() || tls.client_ca_file.is_some() {
        add("listen.behind_mesh", "is set together with [tls]; remove one of them");
    }
}

fn listen(address: Option<&str>) -> Result<SocketAddr, Problem> {
    let fix = "write an IP address and a port, such as 0.0.0.0:50051 or [::]:50051";
    let address = address.ok_or_else(|| Problem::new("listen.address", format!("is missing; {fix}")))?;
    address.parse().map_err(|_| Problem::new("listen.address", format!("is no address; {fix}")))
}

fn tls(raw: RawTls, has_tokens: bool, problems: &mut Problems) -> Option<tls::Served> {
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
    let client_ca = match raw.client_ca_file {
        // Who shows a token needs no certificate.
        None if has_tokens => Some(None),
        path => file("client_ca_file", path, "the authority that issues callers' certificates").map(Some),
    };
    let files = TlsFiles { certificate: certificate?, private_key: private_key?, client_ca: client_ca? };
    problems.take(tls::Served::load(files))
}

/// How long security events are kept. Never so short that a notice of an event, or a reader who was away for a while,
/// could still need it.
fn retention(raw: &RawEvents, problems: &mut Problems) -> Option<Duration> {
    match raw.retention_days {
        None | Some(0) => None,
        Some(days @ 30..=36_500) => Some(Duration::from_hours(24 * u64::from(days))),
        Some(_) => {
            let text = "is out of range; write 30 to 36500 days, or 0 to keep events for ever";
            problems.add(Problem::new("events.retention_days", text));
            None
        }
    }
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
