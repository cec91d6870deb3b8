//! Who may call: names, subjects of tokens, scopes and tenants, checked. What a grant means is the gRPC adapter's.

use super::raw::RawCaller;
use super::{Problem, Problems, limits};
use crate::tls;
use countersign_api_grpc::{Grants, Rate, Tenants};
use countersign_domain::ids::TenantId;
use std::collections::{BTreeSet, HashMap};

/// The longest subject of a token.
const MAX_SUBJECT: usize = 255;

/// The callers as configured.
#[derive(Debug, Default)]
pub(super) struct Callers {
    /// What each may do, by name.
    pub(super) grants: HashMap<String, Grants>,
    /// How often those may call that have a rate of their own, by name.
    pub(super) rates: HashMap<String, Rate>,
    /// Their names, by the subject of their tokens.
    pub(super) subjects: HashMap<String, String>,
}

/// What each caller may do. A name may stand several times: its grants add up.
pub(super) fn validate(raw: &[RawCaller], has_tokens: bool, problems: &mut Problems) -> Callers {
    if raw.is_empty() {
        let text =
            "is missing; add a [[callers]] with name, scopes and tenants for each workload, or none can call";
        problems.add(Problem::new("callers", text));
    }
    let mut granted: HashMap<String, Vec<(String, Tenants)>> = HashMap::new();
    let (mut rates, mut subjects) = (HashMap::new(), HashMap::new());
    for (index, caller) in raw.iter().enumerate() {
        let key = |name: &str| format!("callers.{index}.{name}");
        let name = problems.take(name(caller.name.as_deref(), &key("name")));
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
        if let (Some(subject), Some(name)) = (&caller.subject, &name) {
            let checked = subject_of(subject, name, has_tokens, &subjects, &key("subject"));
            if problems.take(checked).is_some() {
                subjects.insert(subject.clone(), name.clone());
            }
        }
        if let (Some(rate), Some(name)) = (limits::rate(&caller.rate, &key("rate"), problems), &name)
            && rates.insert(name.clone(), rate).is_some_and(|other| other != rate)
        {
            let text = "is another one than this caller has above; one caller has one rate";
            problems.add(Problem::new(key("rate"), text));
        }
        if let (Some(name), Some(tenants)) = (name, tenants) {
            let scopes = caller.scopes.iter().map(|scope| (scope.clone(), tenants.clone()));
            granted.entry(name).or_default().extend(scopes);
        }
    }
    // Scopes that are not known are told above, each by its own key.
    let grants = granted.into_iter().filter_map(|(name, grants)| Some((name, Grants::new(grants).ok()?)));
    Callers { grants: grants.collect(), rates, subjects }
}

/// A SPIFFE id or a DNS name, in the form in which certificates are compared: no wildcard, lower case.
fn name(name: Option<&str>, key: &str) -> Result<String, Problem> {
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

/// Checks the subject of a caller's tokens: one subject is one caller.
fn subject_of(
    subject: &str,
    name: &str,
    has_tokens: bool,
    subjects: &HashMap<String, String>,
    key: &str,
) -> Result<(), Problem> {
    if !has_tokens {
        return Err(Problem::new(key, "is set, but no tokens are taken; add [tokens] or remove it"));
    }
    if subject.is_empty() || subject.len() > MAX_SUBJECT {
        return Err(Problem::new(key, "must have 1 to 255 bytes; write the `sub` of the caller's tokens"));
    }
    if subject.starts_with("spiffe://") && subject != name {
        return Err(Problem::new(key, "is a SPIFFE id; make it the caller's name instead"));
    }
    if subjects.get(subject).is_some_and(|other| other != name) {
        return Err(Problem::new(key, "is the subject of another caller too; one subject is one caller"));
    }
    Ok(())
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
