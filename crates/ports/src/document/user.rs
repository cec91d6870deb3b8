//! What stands in a user's rows as one text: the caller's word about logins, the directory's part, times of failures.
//!
//! The forms mirror the domain's types field by field: a new domain field does not compile until it has a place here.

use super::named::name;
use super::units::micros;
use super::{DocumentError, decode, encode};
use countersign_domain::policy::FirstFactorMethod;
use countersign_domain::time::Timestamp;
use countersign_domain::user::{
    ClientClaims, DirectoryEntry, FirstFactor, Role, TeamMembership, TicketIssuer,
};
use serde::{Deserialize, Serialize};

/// The first factor as JSON.
pub fn encode_first_factor(first_factor: &FirstFactor) -> String {
    encode(|json| FirstFactorJson::serialize(first_factor, json))
}

/// The first factor that [`encode_first_factor`] wrote.
pub fn decode_first_factor(text: &str) -> Result<FirstFactor, DocumentError> {
    decode("first factor", text, |json| FirstFactorJson::deserialize(json))
}

/// The caller's word about a device as JSON. It is personal data.
pub fn encode_client_claims(client: &ClientClaims) -> String {
    encode(|json| ClientJson::serialize(client, json))
}

/// The claims that [`encode_client_claims`] wrote.
pub fn decode_client_claims(text: &str) -> Result<ClientClaims, DocumentError> {
    decode("client claims", text, |json| ClientJson::deserialize(json))
}

/// The directory's part of a user as JSON, memberships of teams included. It is personal data.
pub fn encode_directory_entry(entry: &DirectoryEntry) -> String {
    encode(|json| DirectoryJson::serialize(entry, json))
}

/// The entry that [`encode_directory_entry`] wrote.
pub fn decode_directory_entry(text: &str) -> Result<DirectoryEntry, DocumentError> {
    decode("directory", text, |json| DirectoryJson::deserialize(json))
}

/// Who issued a ticket, as JSON.
pub fn encode_ticket_issuer(issuer: &TicketIssuer) -> String {
    encode(|json| TicketIssuerJson::serialize(issuer, json))
}

/// The issuer that [`encode_ticket_issuer`] wrote.
pub fn decode_ticket_issuer(text: &str) -> Result<TicketIssuer, DocumentError> {
    decode("ticket issuer", text, |json| TicketIssuerJson::deserialize(json))
}

/// Times of failures as a JSON array of microseconds since the Unix epoch, in their order.
pub fn encode_failure_times(times: &[Timestamp]) -> String {
    encode(|json| serde::Serializer::collect_seq(json, times.iter().map(|time| time.unix_micros())))
}

/// The times that [`encode_failure_times`] wrote.
pub fn decode_failure_times(text: &str) -> Result<Vec<Timestamp>, DocumentError> {
    let times = decode("failure times", text, |json| Vec::<i64>::deserialize(json))?;
    Ok(times.into_iter().map(Timestamp::from_unix_micros).collect())
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "FirstFactor")]
struct FirstFactorJson {
    #[serde(with = "name")]
    method: FirstFactorMethod,
    #[serde(rename = "verify_time_us", with = "micros")]
    verify_time: Timestamp,
    identity_provider: String,
    amr: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ClientClaims")]
struct ClientJson {
    ip_address: String,
    user_agent: String,
    application: String,
    language_code: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DirectoryEntry")]
struct DirectoryJson {
    account_label: String,
    email: String,
    language_code: String,
    #[serde(with = "teams")]
    teams: Vec<TeamMembership>,
    groups: Vec<String>,
    disabled: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "TicketIssuer", tag = "kind")]
enum TicketIssuerJson {
    #[serde(rename = "LOGIN")]
    Login(#[serde(with = "FirstFactorJson")] FirstFactor),
    #[serde(rename = "MANAGER")]
    Manager,
}

/// Memberships of teams, in their order.
mod teams {
    use super::{Role, TeamMembership, name};
    use countersign_domain::ids::TeamId;
    use serde::de::{Deserializer, Error};
    use serde::ser::Serializer;
    use serde::{Deserialize, Serialize};
    use std::borrow::Cow;

    #[derive(Serialize, Deserialize)]
    struct MembershipJson<'a> {
        team: Cow<'a, str>,
        #[serde(with = "name")]
        role: Role,
    }

    pub(super) fn serialize<S: Serializer>(teams: &[TeamMembership], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(teams.iter().map(|TeamMembership { team, role }| MembershipJson {
            team: Cow::Borrowed(team.as_str()),
            role: *role,
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<TeamMembership>, D::Error> {
        Vec::<MembershipJson<'_>>::deserialize(from)?
            .into_iter()
            .map(|MembershipJson { team, role }| {
                Ok(TeamMembership { team: TeamId::parse(&team).map_err(D::Error::custom)?, role })
            })
            .collect()
    }
}
