//! What stands in the event log as one text: who acted, and the details of an event.

use super::{DocumentError, decode, encode};
use countersign_domain::actor::Principal;
use countersign_domain::ids::UserId;
use serde::Deserialize;
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

const USER: &str = "user";
const OPERATOR: &str = "operator";
const JOB: &str = "job";

/// Who acted, as `user:…`, `operator:…` or `job:…`.
pub fn encode_principal(principal: &Principal) -> String {
    match principal {
        Principal::User(user) => format!("{USER}:{user}"),
        Principal::Operator(name) => format!("{OPERATOR}:{name}"),
        Principal::Job(name) => format!("{JOB}:{name}"),
    }
}

/// The principal that [`encode_principal`] wrote. The first colon parts kind and name: user ids may have more.
pub fn decode_principal(text: &str) -> Result<Principal, DocumentError> {
    let principal = text.split_once(':').and_then(|(kind, name)| match kind {
        USER => UserId::parse(name).ok().map(Principal::User),
        OPERATOR => Some(Principal::Operator(name.to_owned())),
        JOB => Some(Principal::Job(name.to_owned())),
        _ => None,
    });
    principal.ok_or(DocumentError {
        document: "principal",
        problem: "names no user, operator or job",
        line: 1,
        column: 1,
    })
}
