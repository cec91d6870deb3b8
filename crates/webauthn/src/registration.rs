//! Checks registrations: what a new key answers at its enrollment (Web Authentication §7.1).

use crate::options::ALGORITHMS;
use crate::{client_data, core, cose, rejection, user_verification};
use countersign_domain::security_key::{
    CredentialId, KeyChallenge, PresentedCredential, Rejection, RelyingParty, SecurityKey, Transport,
    VerifiedRegistration,
};
use serde::Deserialize;
use serde_json::json;
use webauthn_rs_core::proto::{RegisterPublicKeyCredential, RegistrationState};

/// The part of the JSON that says how a browser may reach the authenticator. The library drops it unless an
/// attestation vouches for it; as a hint it needs no voucher.
#[derive(Deserialize)]
struct Hints {
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    transports: Vec<String>,
}

pub(crate) fn verify(
    party: &RelyingParty<'_>,
    challenges: &[KeyChallenge],
    known: &[&SecurityKey],
    credential: &PresentedCredential,
) -> Result<VerifiedRegistration, Rejection> {
    let presented: RegisterPublicKeyCredential =
        serde_json::from_str(credential.expose()).map_err(|_| Rejection::Malformed)?;
    let own_id = client_data::base64url(&presented.raw_id) == presented.id;
    if !own_id || presented.type_ != "public-key" {
        return Err(Rejection::Malformed);
    }
    let challenge =
        client_data::answered(&presented.response.client_data_json, "webauthn.create", challenges)?;
    let state = state(party, challenge)?;
    let made = core(party)
        .register_credential(&presented, &state, None)
        .map_err(|error| rejection::reason(&error))?;
    if made.cred_id != presented.raw_id {
        return Err(Rejection::Malformed);
    }
    if known.iter().any(|key| key.id.as_bytes() == made.cred_id) {
        return Err(Rejection::AlreadyRegistered);
    }
    let key = SecurityKey {
        public_key: cose::encode(&made.cred).ok_or(Rejection::UnsupportedAlgorithm)?,
        id: CredentialId::new(made.cred_id).ok_or(Rejection::Malformed)?,
        sign_count: made.counter,
        user_verified: made.user_verified,
        backup_eligible: made.backup_eligible,
        backed_up: made.backup_state,
        transports: transports(credential),
    };
    Ok(VerifiedRegistration { challenge, key })
}

/// Transports in the order of the specification, each once; unknown ones are dropped.
fn transports(credential: &PresentedCredential) -> Vec<Transport> {
    let named = serde_json::from_str::<Hints>(credential.expose())
        .map(|hints| hints.response.transports)
        .unwrap_or_default();
    let named = |transport: &Transport| named.iter().any(|name| name == transport.name());
    Transport::ALL.into_iter().filter(named).collect()
}

/// What the library remembers between the two halves of a ceremony; see the assertion's.
fn state(party: &RelyingParty<'_>, challenge: KeyChallenge) -> Result<RegistrationState, Rejection> {
    serde_json::from_value(json!({
        "policy": user_verification(party),
        // Ours to check: the library names no reason of its own for a credential that is known.
        "exclude_credentials": [],
        "challenge": client_data::base64url(challenge.as_bytes()),
        "credential_algorithms": ALGORITHMS,
        "require_resident_key": false,
        "authenticator_attachment": null,
        "extensions": {},
        "allow_synchronised_authenticators": true,
    }))
    .map_err(|_| Rejection::Malformed)
}
