//! Who acts and what they show: `Actor`, `FirstFactor`, `ClientContext`, `Proof`.

use super::enums;
use super::fields::{Fields, Parsed};
use countersign_api::v1;
use countersign_domain::actor::{Actor, Principal};
use countersign_domain::ids::UserId;
use countersign_domain::presented::PresentedProof;
use countersign_domain::secret::SecretString;
use countersign_domain::security_key::PresentedCredential;
use countersign_domain::user::{ClientClaims, FirstFactor};
use std::fmt::Display;
use std::net::IpAddr;

/// Permissions that one actor may bring along.
const MAX_PERMISSIONS: usize = 50;
/// Methods that an identity provider may name.
const MAX_AMR: usize = 10;

/// A device, and the token of a remembered client where it still has one.
#[derive(Debug, Default)]
pub(crate) struct Client {
    pub(crate) claims: ClientClaims,
    pub(crate) token: Option<SecretString>,
}

/// The actor that must be there.
pub(crate) fn actor(
    fields: &mut Fields,
    field: impl Display + Copy,
    actor: Option<v1::Actor>,
) -> Parsed<Actor> {
    let Some(actor) = actor else { return fields.refuse(field, "is required") };
    let principal = principal(fields, field, actor.principal);
    let permissions = permissions(fields, format_args!("{field}.permissions"), actor.permissions);
    let first_factor = first_factor(fields, format_args!("{field}.first_factor"), actor.first_factor);
    let client = client(fields, format_args!("{field}.client"), actor.client);
    Ok(Actor {
        principal: principal?,
        permissions: permissions?,
        first_factor: first_factor?,
        client: client?.claims,
    })
}

fn principal(
    fields: &mut Fields,
    field: impl Display,
    principal: Option<v1::actor::Principal>,
) -> Parsed<Principal> {
    match principal {
        None => fields.refuse(field, "must be one of user_id, operator and job"),
        Some(v1::actor::Principal::UserId(id)) => {
            fields.take(format_args!("{field}.user_id"), UserId::parse(&id)).map(Principal::User)
        }
        Some(v1::actor::Principal::Operator(name)) => {
            name_of(fields, format_args!("{field}.operator"), name).map(Principal::Operator)
        }
        Some(v1::actor::Principal::Job(name)) => {
            name_of(fields, format_args!("{field}.job"), name).map(Principal::Job)
        }
    }
}

/// A name that the caller vouches for: 1 to 128 printable ASCII characters.
fn name_of(fields: &mut Fields, field: impl Display, name: String) -> Parsed<String> {
    let problem = "must be 1 to 128 printable ASCII characters";
    if name.is_empty() {
        return fields.refuse(field, problem);
    }
    fields.text(field, name, Principal::MAX_NAME, problem, |c| matches!(c, ' '..='~'))
}

fn permissions(fields: &mut Fields, field: impl Display, permissions: Vec<String>) -> Parsed<Vec<String>> {
    if permissions.len() > MAX_PERMISSIONS {
        return fields.refuse(field, "must be at most 50");
    }
    let each = permissions.into_iter().enumerate();
    let parsed: Vec<_> = each.map(|(i, name)| name_of(fields, format_args!("{field}[{i}]"), name)).collect();
    parsed.into_iter().collect()
}

/// The caller's word about a first factor, where there is one.
pub(crate) fn first_factor(
    fields: &mut Fields,
    field: impl Display,
    factor: Option<v1::FirstFactor>,
) -> Parsed<Option<FirstFactor>> {
    let Some(factor) = factor else { return Ok(None) };
    let method = match enums::to_first_factor_method(factor.method) {
        Some(method) => Ok(method),
        None => fields.refuse(format_args!("{field}.method"), "must be a first factor's method"),
    };
    let verify_time = match factor.verify_time {
        Some(time) => fields.timestamp(format_args!("{field}.verify_time"), time),
        None => fields.refuse(format_args!("{field}.verify_time"), "is required"),
    };
    let identity_provider = fields.text(
        format_args!("{field}.identity_provider"),
        factor.identity_provider,
        128,
        "must be at most 128 characters without control characters",
        |c| !c.is_control(),
    );
    let amr = amr(fields, format_args!("{field}.amr"), factor.amr);
    Ok(Some(FirstFactor {
        method: method?,
        verify_time: verify_time?,
        identity_provider: identity_provider?,
        amr: amr?,
    }))
}

fn amr(fields: &mut Fields, field: impl Display, amr: Vec<String>) -> Parsed<Vec<String>> {
    let fits = |method: &String| {
        (1..=32).contains(&method.len())
            && method
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-'))
    };
    if amr.len() <= MAX_AMR && amr.iter().all(fits) {
        Ok(amr)
    } else {
        fields.refuse(field, "must be at most 10, each 1 to 32 of a-z, 0-9 and _ . -")
    }
}

/// The caller's word about the device. Absent: nothing is known of it.
pub(crate) fn client(
    fields: &mut Fields,
    field: impl Display,
    client: Option<v1::ClientContext>,
) -> Parsed<Client> {
    let Some(client) = client else { return Ok(Client::default()) };
    let ip_address = match client.ip_address.as_str() {
        text if text.is_empty() || (text.len() <= 45 && text.parse::<IpAddr>().is_ok()) => {
            Ok(client.ip_address)
        }
        _ => {
            fields.refuse(format_args!("{field}.ip_address"), "must be an IPv4 or IPv6 address in text form")
        }
    };
    let user_agent = if client.user_agent.len() <= 512 && !client.user_agent.chars().any(char::is_control) {
        Ok(client.user_agent)
    } else {
        fields.refuse(
            format_args!("{field}.user_agent"),
            "must be at most 512 bytes without control characters",
        )
    };
    let application = fields.text(
        format_args!("{field}.application"),
        client.application,
        64,
        "must be at most 64 of A-Z, a-z, 0-9 and . _ -",
        |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'),
    );
    let token = fields.text(
        format_args!("{field}.remembered_client_token"),
        client.remembered_client_token,
        128,
        "must be at most 128 printable ASCII characters",
        |c| c.is_ascii_graphic(),
    );
    let language_code = fields.text(
        format_args!("{field}.language_code"),
        client.language_code,
        35,
        "must be a BCP 47 tag of at most 35 characters",
        |c| c.is_ascii_alphanumeric() || c == '-',
    );
    Ok(Client {
        claims: ClientClaims {
            ip_address: ip_address?,
            user_agent: user_agent?,
            application: application?,
            language_code: language_code?,
        },
        token: Some(token?).filter(|token| !token.is_empty()).map(SecretString::new),
    })
}

/// A code, where there is a proof. The one place where what a person typed is looked at before it is evaluated (R2).
pub(crate) fn proof(
    fields: &mut Fields,
    field: impl Display,
    proof: Option<v1::Proof>,
) -> Parsed<Option<PresentedProof>> {
    let Some(proof) = proof else { return Ok(None) };
    match proof.kind {
        None => fields.refuse(field, "must be one of code and webauthn_credential_json"),
        Some(v1::proof::Kind::Code(code)) => {
            let code = SecretString::new(code);
            fields.take(format_args!("{field}.code"), PresentedProof::parse(code.expose())).map(Some)
        }
        Some(v1::proof::Kind::WebauthnCredentialJson(json)) => {
            let json = SecretString::new(json);
            let Some(credential) = PresentedCredential::new(json.expose()) else {
                let problem = "must be JSON of at most 16 KiB";
                return fields.refuse(format_args!("{field}.webauthn_credential_json"), problem);
            };
            Ok(Some(PresentedProof::SecurityKey(credential)))
        }
    }
}

/// A code that must be there.
pub(crate) fn required_proof(
    fields: &mut Fields,
    field: impl Display + Copy,
    given: Option<v1::Proof>,
) -> Parsed<PresentedProof> {
    match proof(fields, field, given)? {
        Some(code) => Ok(code),
        None => fields.refuse(field, "is required"),
    }
}
