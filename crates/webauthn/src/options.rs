//! What browsers are told: `PublicKeyCredentialCreationOptionsJSON` and `PublicKeyCredentialRequestOptionsJSON`
//! (Web Authentication Level 3, §5.1.8 and §5.1.9), for `parseCreationOptionsFromJSON()` and `parseRequestOptionsFromJSON()`.

use countersign_domain::secret::SecretString;
use countersign_domain::security_key::{Creation, KeyChallenge, RelyingParty, SecurityKey};
use serde::Serialize;
use std::time::Duration;
use webauthn_rs_proto::{
    AllowCredentials, AttestationConveyancePreference, AuthenticatorSelectionCriteria, COSEAlgorithm,
    PubKeyCredParams, PublicKeyCredentialCreationOptions, PublicKeyCredentialDescriptor,
    PublicKeyCredentialRequestOptions, RelyingParty as Party, ResidentKeyRequirement, User,
};

use crate::user_verification;

/// Signature algorithms that are accepted, the preferred first: ECDSA on P-256 and P-384, and RSA for the TPMs of
/// platform authenticators.
pub(crate) const ALGORITHMS: [COSEAlgorithm; 3] =
    [COSEAlgorithm::ES256, COSEAlgorithm::ES384, COSEAlgorithm::RS256];

const PUBLIC_KEY: &str = "public-key";

pub(crate) fn creation(party: &RelyingParty<'_>, creation: &Creation<'_>) -> SecretString {
    let algorithms = ALGORITHMS
        .iter()
        .map(|algorithm| PubKeyCredParams { type_: PUBLIC_KEY.to_owned(), alg: *algorithm as i64 });
    let exclude = creation.exclude.iter().map(|key| PublicKeyCredentialDescriptor {
        type_: PUBLIC_KEY.to_owned(),
        id: key.id.as_bytes().to_vec(),
        transports: transports(key),
    });
    let label = creation.account_label.as_str().to_owned();
    json(&PublicKeyCredentialCreationOptions {
        rp: Party { name: party.name.to_owned(), id: party.id.to_owned() },
        user: User { id: creation.user_handle.to_vec(), name: label.clone(), display_name: label },
        challenge: creation.challenge.as_bytes().to_vec(),
        pub_key_cred_params: algorithms.collect(),
        timeout: Some(millis(creation.timeout)),
        exclude_credentials: Some(exclude.collect()),
        authenticator_selection: Some(AuthenticatorSelectionCriteria {
            authenticator_attachment: None,
            // The user is known when a second factor is asked for: the key need not remember them.
            resident_key: Some(ResidentKeyRequirement::Discouraged),
            require_resident_key: false,
            user_verification: user_verification(party),
        }),
        hints: None,
        // Nothing is decided by the model of a key, so nobody is asked to reveal it.
        attestation: Some(AttestationConveyancePreference::None),
        attestation_formats: None,
        extensions: None,
    })
}

pub(crate) fn request(
    party: &RelyingParty<'_>,
    challenge: KeyChallenge,
    keys: &[&SecurityKey],
    timeout: Duration,
) -> SecretString {
    let allow = keys.iter().map(|key| AllowCredentials {
        type_: PUBLIC_KEY.to_owned(),
        id: key.id.as_bytes().to_vec(),
        transports: transports(key),
    });
    json(&PublicKeyCredentialRequestOptions {
        challenge: challenge.as_bytes().to_vec(),
        timeout: Some(millis(timeout)),
        rp_id: party.id.to_owned(),
        allow_credentials: allow.collect(),
        user_verification: user_verification(party),
        hints: None,
        extensions: None,
    })
}

/// The transports as the library names them; one that it does not know is left out.
fn transports(key: &SecurityKey) -> Option<Vec<webauthn_rs_proto::AuthenticatorTransport>> {
    let known: Vec<_> = key.transports.iter().filter_map(|transport| transport.name().parse().ok()).collect();
    (!known.is_empty()).then_some(known)
}

fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

fn json<T: Serialize>(options: &T) -> SecretString {
    #[expect(
        clippy::expect_used,
        reason = "these types have text keys only and no serializer of their own fails"
    )]
    let text = serde_json::to_string(options).expect("options are JSON");
    SecretString::new(text)
}
