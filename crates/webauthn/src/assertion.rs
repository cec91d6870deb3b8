//! Checks assertions: what a key answers at a login (Web Authentication §7.2).

use crate::{client_data, core, cose, rejection, user_verification};
use countersign_domain::security_key::{
    KeyChallenge, PresentedCredential, Rejection, RelyingParty, SecurityKey, VerifiedAssertion,
};
use serde_json::json;
use webauthn_rs_core::proto::{
    AttestationFormat, AuthenticationState, Credential, ParsedAttestation, PublicKeyCredential,
    RegisteredExtensions, UserVerificationPolicy,
};

/// The credential that the JSON holds.
pub(crate) fn read(credential: &PresentedCredential) -> Result<PublicKeyCredential, Rejection> {
    let read: PublicKeyCredential =
        serde_json::from_str(credential.expose()).map_err(|_| Rejection::Malformed)?;
    let own_id = client_data::base64url(&read.raw_id) == read.id;
    if own_id && read.type_ == "public-key" { Ok(read) } else { Err(Rejection::Malformed) }
}

pub(crate) fn verify(
    party: &RelyingParty<'_>,
    challenges: &[KeyChallenge],
    keys: &[&SecurityKey],
    credential: &PresentedCredential,
) -> Result<VerifiedAssertion, Rejection> {
    let presented = read(credential)?;
    let challenge = client_data::answered(&presented.response.client_data_json, "webauthn.get", challenges)?;
    let key = keys.iter().find(|key| key.id.as_bytes() == presented.raw_id);
    let key = *key.ok_or(Rejection::UnknownCredential)?;
    let known = stored(key)?;
    let state = state(party, challenge, known)?;
    let result =
        core(party).authenticate_credential(&presented, &state).map_err(|error| rejection::reason(&error))?;
    Ok(VerifiedAssertion {
        challenge,
        credential: key.id.clone(),
        sign_count: result.counter(),
        user_verified: result.user_verified(),
        backed_up: result.backup_state(),
    })
}

/// A stored key as the library takes it.
fn stored(key: &SecurityKey) -> Result<Credential, Rejection> {
    Ok(Credential {
        cred_id: key.id.as_bytes().to_vec(),
        cred: cose::decode(&key.public_key).ok_or(Rejection::UnsupportedAlgorithm)?,
        // The counter is the domain's to judge: from zero on every one is plausible.
        counter: 0,
        transports: None,
        user_verified: key.user_verified,
        backup_eligible: key.backup_eligible,
        backup_state: key.backed_up,
        // A key that verified its user when it was registered must go on doing so.
        registration_policy: UserVerificationPolicy::Preferred,
        extensions: RegisteredExtensions::none(),
        attestation: ParsedAttestation::default(),
        attestation_format: AttestationFormat::None,
    })
}

/// What the library remembers between the two halves of a ceremony, made of what we know. It hands out no constructor,
/// since it likes to draw challenges itself; its stored form is public.
fn state(
    party: &RelyingParty<'_>,
    challenge: KeyChallenge,
    key: Credential,
) -> Result<AuthenticationState, Rejection> {
    let mut state: AuthenticationState = serde_json::from_value(json!({
        "credentials": [],
        "policy": user_verification(party),
        "challenge": client_data::base64url(challenge.as_bytes()),
        "appid": null,
        "allow_backup_eligible_upgrade": false,
    }))
    .map_err(|_| Rejection::Malformed)?;
    state.set_allowed_credentials(vec![key]);
    Ok(state)
}
