//! What stands in the event log as one text: who acted, and the details of an event.

use super::named::optional_name;
use super::{DocumentError, decode, encode};
use countersign_domain::actor::{Principal, RecordedActor};
use countersign_domain::ids::UserId;
use countersign_domain::policy::FirstFactorMethod;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Details of an event as a JSON array of `[name, value]`, in their order.
///
/// An array and not an object, because order and repetition are part of the event, and of the hash that seals it.
pub fn encode_details(details: &[(Cow<'static, str>, String)]) -> String {
    encode(|json| serde::Serializer::collect_seq(json, details))
}

/// The details that [`encode_details`] wrote. Names that this version does not know are kept.
pub fn decode_details(text: &str) -> Result<Vec<(Cow<'static, str>, String)>, DocumentError> {
    let details = decode("event details", text, |json| Vec::<(String, String)>::deserialize(json))?;
    Ok(details.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect())
}

/// Who acted, as `user:…`, `operator:…` or `job:…`.
pub fn encode_principal(principal: &Principal) -> String {
    principal.to_string()
}

/// The principal that [`encode_principal`] wrote. The first colon parts kind and name: user ids may have more.
pub fn decode_principal(text: &str) -> Result<Principal, DocumentError> {
    let principal = text.split_once(':').and_then(|(kind, name)| match kind {
        "user" => UserId::parse(name).ok().map(Principal::User),
        "operator" => Some(Principal::Operator(name.to_owned())),
        "job" => Some(Principal::Job(name.to_owned())),
        _ => None,
    });
    principal.ok_or(DocumentError {
        document: "principal",
        problem: "names no user, operator or job",
        line: 1,
        column: 1,
    })
}

/// What the caller vouched for beside the principal, as JSON; `None` where that is nothing.
pub fn encode_actor_claims(actor: &RecordedActor) -> Option<String> {
    let RecordedActor { principal: _, permissions, first_factor_method } = actor;
    let claims = ClaimsJson { permissions: permissions.clone(), first_factor_method: *first_factor_method };
    let nothing = claims.permissions.is_empty() && claims.first_factor_method.is_none();
    (!nothing).then(|| encode(|json| claims.serialize(json)))
}

/// The actor of a principal and the claims that [`encode_actor_claims`] wrote; without claims, nothing was vouched for.
pub fn decode_actor_claims(
    principal: Principal,
    claims: Option<&str>,
) -> Result<RecordedActor, DocumentError> {
    let Some(text) = claims else { return Ok(principal.into()) };
    let claims = decode("actor claims", text, |json| ClaimsJson::deserialize(json))?;
    let ClaimsJson { permissions, first_factor_method } = claims;
    Ok(RecordedActor { principal, permissions, first_factor_method })
}

/// Short, because it stands in the event of every login.
#[derive(Serialize, Deserialize)]
struct ClaimsJson {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    permissions: Vec<String>,
    #[serde(
        rename = "first_factor",
        default,
        skip_serializing_if = "Option::is_none",
        with = "optional_name"
    )]
    first_factor_method: Option<FirstFactorMethod>,
}
