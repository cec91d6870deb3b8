//! `cargo xtask layers`: which crate may depend on which. The rules are data, the check is a pure function over a
//! small model, and only [`run()`] asks cargo and reads files.
//!
//! To add a crate, add it to [`OURS`] and to the plan in docs/architecture.md. To let a crate use a library that is
//! kept to some crates, think twice, then add it to [`KEPT`].

#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::findings::Findings;
use crate::process;

const PREFIX: &str = "countersign-";

/// Our crates without their prefix, and which of ours each may use in production. Tests may use more; no rule of a
/// crate that ships names `testkit`, `fuzz-targets` or `e2e`, so that nothing of them ships.
const OURS: [(&str, &[&str]); 18] = [
    ("domain", &[]),
    ("ports", &["domain"]),
    ("application", &["domain", "ports"]),
    ("keyring", &["domain"]),
    ("store-postgres", &["domain", "ports", "keyring"]),
    ("store-sqlite", &["domain", "ports", "keyring"]),
    ("webhook", &["domain"]),
    ("notify", &["domain", "ports", "webhook"]),
    ("webauthn", &["domain"]),
    ("sms", &["domain", "ports", "webhook"]),
    ("api", &[]),
    ("api-grpc", &["domain", "application", "api"]),
    ("client", &["api"]),
    (
        "server",
        &[
            "domain",
            "ports",
            "application",
            "keyring",
            "store-postgres",
            "store-sqlite",
            "notify",
            "webauthn",
            "sms",
            "api",
            "api-grpc",
            "client",
        ],
    ),
    ("testkit", &["domain", "ports"]),
    (
        "fuzz-targets",
        &["domain", "ports", "application", "keyring", "webauthn", "api", "api-grpc", "server", "testkit"],
    ),
    ("e2e", &["api", "client"]),
    ("xtask", &[]),
];

/// Libraries kept to the crates that were made for them.
struct Kept {
    /// How the names begin.
    family: &'static [&'static str],
    /// Who may use them.
    by: &'static [&'static str],
    /// Who may use them besides, in tests only.
    by_tests_of: &'static [&'static str],
}

const KEPT: [Kept; 4] = [
    Kept {
        family: &["sqlx", "libsqlite3", "rusqlite", "tokio-postgres"],
        by: &["store-postgres", "store-sqlite"],
        by_tests_of: &["e2e", "server"],
    },
    Kept {
        family: &["tonic", "prost", "protox"],
        by: &["api", "api-grpc", "client", "server", "fuzz-targets", "e2e"],
        by_tests_of: &["testkit"],
    },
    Kept { family: &["lettre"], by: &["notify"], by_tests_of: &[] },
    Kept { family: &["webauthn-rs", "serde_cbor"], by: &["webauthn"], by_tests_of: &[] },
];

/// All that the domain may use: text, numbers and digests. No runtime, no serialisation, no I/O.
const DOMAIN_USES: [&str; 13] = [
    "caseless",
    "data-encoding",
    "hmac",
    "percent-encoding",
    "sha1",
    "sha2",
    "subtle",
    "thiserror",
    "time",
    "unicode-normalization",
    "unicode-properties",
    "uuid",
    "zeroize",
];

/// What the domain's sources must not say, outside of comments: (word, reason).
const DOMAIN_NEVER: [(&str, &str); 11] = [
    ("async", "deciding never waits"),
    ("await", "deciding never waits"),
    ("tokio", "deciding never waits"),
    ("serde", "stored and transmitted shapes belong to the adapters"),
    ("sqlx", "storage belongs to the stores"),
    ("tonic", "the contract belongs to api-grpc"),
    ("prost", "the contract belongs to api-grpc"),
    ("std::fs", "the domain does no I/O"),
    ("std::net", "the domain does no I/O"),
    ("std::env", "the domain does no I/O"),
    ("std::process", "the domain does no I/O"),
];

/// A crate and what it depends on, by package name.
struct Package {
    name: String,
    uses: Vec<Use>,
    /// Does its manifest take over the lints of the workspace?
    lints: bool,
}

struct Use {
    of: String,
    in_tests_only: bool,
}

/// Checks the workspace as it is.
pub(crate) fn run() -> Result<Findings> {
    let mut findings = violations(&packages()?);
    for (path, text) in sources(&process::root().join("crates/domain/src"))? {
        findings.extend(impurities(&path, &text));
    }
    Ok(findings)
}

fn packages() -> Result<Vec<Package>> {
    let metadata =
        MetadataCommand::new().current_dir(process::root()).no_deps().exec().context("cargo metadata")?;
    metadata
        .packages
        .into_iter()
        .map(|package| {
            let manifest = fs::read_to_string(&package.manifest_path)?;
            let uses = package.dependencies.into_iter().map(|dependency| Use {
                of: dependency.name,
                in_tests_only: dependency.kind == DependencyKind::Development,
            });
            Ok(Package {
                name: package.name.to_string(),
                uses: uses.collect(),
                lints: manifest.contains("\n[lints]\nworkspace = true"),
            })
        })
        .collect()
}

/// Every Rust file below the folder, with its path as seen from the root.
fn sources(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let shown = path.strip_prefix(process::root()).unwrap_or(&path).display().to_string();
            found.push((shown, fs::read_to_string(&path)?));
        }
    }
    Ok(found)
}

fn short(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// What is wrong among these crates, one line each.
fn violations(packages: &[Package]) -> Findings {
    let mut findings = Findings::new();
    for package in packages {
        let name = short(&package.name);
        let Some((_, may_use)) = OURS.iter().find(|(ours, _)| *ours == name) else {
            findings
                .push(format!("{}: no rule says what it may depend on (xtask/src/layers.rs)", package.name));
            continue;
        };
        if !package.lints {
            findings.push(format!("{}: does not take over the lints of the workspace", package.name));
        }
        let wrong = package.uses.iter().filter_map(|used| Some((used, reason(name, may_use, used)?)));
        findings.extend(wrong.map(|(used, reason)| format!("{} -> {}: {reason}", package.name, used.of)));
    }
    findings
}

/// Why this use is wrong, if it is.
fn reason(name: &str, may_use: &[&str], used: &Use) -> Option<String> {
    let of = short(&used.of);
    if of != used.of || OURS.iter().any(|(ours, _)| *ours == of) {
        let shippable = may_use.contains(&of);
        let for_tests = used.in_tests_only && of != "e2e";
        return (!shippable && !for_tests).then(|| match may_use {
            [] => "may depend on none of our crates".to_owned(),
            some => format!("of our crates it may depend on {} only", some.join(", ")),
        });
    }
    if name == "domain" && !used.in_tests_only && !DOMAIN_USES.contains(&of) {
        return Some("not on the list of what the domain may use".to_owned());
    }
    let kept = KEPT.iter().find(|kept| kept.family.iter().any(|family| of.starts_with(family)))?;
    let allowed = kept.by.contains(&name) || used.in_tests_only && kept.by_tests_of.contains(&name);
    (!allowed).then(|| format!("kept to {}", kept.by.join(", ")))
}

/// Words in a source file of the domain that do not belong there, one line each.
fn impurities(path: &str, text: &str) -> Findings {
    let mut findings = Findings::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for (word, reason) in DOMAIN_NEVER {
            if says(code, word) {
                findings.push(format!("{path}:{}: `{word}`: {reason}", number + 1));
            }
        }
    }
    findings
}

/// Does the code say this word, or a name that begins with it and an underscore, such as `serde_json`?
fn says(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_') && !after.is_some_and(char::is_alphanumeric)
    })
}
