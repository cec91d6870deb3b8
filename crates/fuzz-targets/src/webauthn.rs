//! What browsers and security keys send back (R48, R70): nothing panics, and nothing is taken but what the one key signed
//! for the one challenge, at the one origin, for the one relying party, with its user present.
//!
//! The first byte of an input says what the rest stands for; everything around it is right, so that a run gets past the
//! checks before: the JSON of a credential, an attestation object, authenticator data at a registration or an assertion,
//! or client data at either.

mod cbor;
mod seeds;

pub use seeds::seeds;

use crate::Taken;
use countersign_domain::security_key::{
    KeyChallenge, PresentedCredential, Rejection, RelyingParty, SecurityKey, SecurityKeys, VerifiedAssertion,
    VerifiedRegistration,
};
use countersign_testkit::{Page, SoftwareKey};
use countersign_webauthn::WebAuthn;
use data_encoding::BASE64URL_NOPAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::sync::LazyLock;
use url::Url;

const ORIGIN: &str = "https://login.example.com";
const PARTY: &str = "example.com";
const ASKED: KeyChallenge = KeyChallenge::from_bytes([7; 32]);

static ORIGINS: LazyLock<Vec<String>> = LazyLock::new(|| vec![ORIGIN.to_owned()]);
/// The private key of `SoftwareKey::new(1)`.
static SIGNING: LazyLock<SigningKey> = LazyLock::new(|| {
    let mut secret = [0x5a; 32];
    secret[0] = 1;
    SigningKey::from_slice(&secret).expect("a key")
});
/// That key, registered honestly.
static KNOWN: LazyLock<SecurityKey> = LazyLock::new(|| {
    let options = json!({"challenge": BASE64URL_NOPAD.encode(ASKED.as_bytes()), "rp": {"id": PARTY}});
    let json = SoftwareKey::new(1).register(&options.to_string(), &Page::at(ORIGIN));
    register(&json).expect("an honest registration").key
});

fn party(requires_user_verification: bool) -> RelyingParty<'static> {
    RelyingParty { id: PARTY, name: "Example", origins: &ORIGINS, requires_user_verification }
}

fn register(json: &str) -> Option<VerifiedRegistration> {
    let credential = PresentedCredential::new(json)?;
    WebAuthn.verify_registration(&party(false), &[ASKED], &[], &credential).ok()
}

fn assert_with(json: &str, verified_user: bool) -> Option<VerifiedAssertion> {
    let credential = PresentedCredential::new(json)?;
    WebAuthn.verify_assertion(&party(verified_user), &[ASKED], &[&KNOWN], &credential).ok()
}

/// A credential of this id with this response.
fn credential(id: &[u8], response: &Value) -> String {
    let id = BASE64URL_NOPAD.encode(id);
    json!({"id": id, "rawId": id, "type": "public-key", "clientExtensionResults": {}, "response": response})
        .to_string()
}

fn client_data(ceremony: &str) -> Vec<u8> {
    let challenge = BASE64URL_NOPAD.encode(ASKED.as_bytes());
    json!({"type": ceremony, "challenge": challenge, "origin": ORIGIN, "crossOrigin": false})
        .to_string()
        .into_bytes()
}

fn registration(id: &[u8], client_data: &[u8], attestation: &[u8]) -> String {
    let response = json!({
        "clientDataJSON": BASE64URL_NOPAD.encode(client_data),
        "attestationObject": BASE64URL_NOPAD.encode(attestation),
        "transports": ["usb"],
    });
    credential(id, &response)
}

/// `{"fmt": "none", "attStmt": {}, "authData": …}` in CBOR (RFC 8949).
fn unattested(auth_data: &[u8]) -> Vec<u8> {
    let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59".to_vec();
    object.extend(u16::try_from(auth_data.len()).expect("inputs are short").to_be_bytes());
    object.extend(auth_data);
    object
}

/// An assertion that the known key truly signed.
fn assertion(client_data: &[u8], auth_data: &[u8]) -> String {
    let signed = [auth_data, Sha256::digest(client_data).as_slice()].concat();
    let signature: DerSignature = SIGNING.sign(&signed);
    let response = json!({
        "clientDataJSON": BASE64URL_NOPAD.encode(client_data),
        "authenticatorData": BASE64URL_NOPAD.encode(auth_data),
        "signature": BASE64URL_NOPAD.encode(signature.as_bytes()),
    });
    credential(KNOWN.id.as_bytes(), &response)
}

/// Authenticator data of a touch that is enough: the hash, "user present", a counter.
fn touched() -> Vec<u8> {
    [Sha256::digest(PARTY).as_slice(), &[1, 0, 0, 0, 9]].concat()
}

/// An origin in its one spelling (RFC 6454 section 6.2).
fn origin_of(text: &str) -> Option<String> {
    Some(Url::parse(text).ok()?.origin().ascii_serialization())
}

/// What must be in client data for them to be taken, whatever else is.
fn honest(client_data: &[u8], ceremony: &str) -> bool {
    let Ok(data) = serde_json::from_slice::<Value>(client_data) else { return false };
    let absent =
        |name: &str| data.get(name).is_none_or(|value| value.is_null() || *value == Value::Bool(false));
    data["type"] == ceremony
        && data["challenge"] == BASE64URL_NOPAD.encode(ASKED.as_bytes())
        && data["origin"]
            .as_str()
            .is_some_and(|origin| origin_of(origin).is_some_and(|origin| origin == ORIGIN))
        && absent("crossOrigin")
        && data.get("topOrigin").is_none_or(Value::is_null)
}

/// What must be in authenticator data for them to be taken.
fn present(auth_data: &[u8]) -> bool {
    auth_data.len() >= 37 && auth_data[..32] == *Sha256::digest(PARTY) && auth_data[32] & 1 == 1
}

/// A key that was taken must be one that signatures can be checked with: else its owner would be locked out.
fn usable(verified: &VerifiedRegistration) {
    let key = &verified.key;
    let challenge = BASE64URL_NOPAD.encode(ASKED.as_bytes());
    let options = json!({"challenge": challenge, "rpId": PARTY}).to_string();
    let mut other = SoftwareKey::new(2).with(|other| {
        other.credential_id = key.id.as_bytes().to_vec();
        other.user_verified = key.user_verified;
        (other.backup_eligible, other.backed_up) = (key.backup_eligible, key.backed_up);
    });
    let signed = PresentedCredential::new(&other.sign(&options, &Page::at(ORIGIN))).expect("short enough");
    let refused = WebAuthn.verify_assertion(&party(false), &[ASKED], &[key], &signed).err();
    let fair = refused.is_none_or(|refused| refused == Rejection::WrongSignature);
    assert!(fair, "a key that was registered cannot be used: {refused:?}");
    assert_eq!(verified.challenge, ASKED);
}

fn part<'a>(response: &'a Value, name: &str) -> Option<&'a str> {
    response["response"][name].as_str()
}

/// A whole credential: taken only where its parts would be.
fn whole(json: &str) -> Taken {
    let mut taken = Taken::new();
    let Some(presented) = PresentedCredential::new(json) else { return taken };
    let reads = WebAuthn.is_assertion(&presented);
    let parts: Value = serde_json::from_str(json).unwrap_or_default();
    let bytes = |name| part(&parts, name).and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok());
    if let Some(verified) = register(json) {
        usable(&verified);
        if let Some(data) = bytes("clientDataJSON") {
            assert!(honest(&data, "webauthn.create"));
        }
        taken.push("registration".into());
    }
    if assert_with(json, false).is_some() {
        assert!(reads, "what is verified is an assertion");
        // Nothing here signs: it can only be one that was signed when the seeds were made.
        if let (Some(data), Some(auth)) = (bytes("clientDataJSON"), bytes("authenticatorData")) {
            assert!(honest(&data, "webauthn.get") && present(&auth));
        }
        taken.push("assertion".into());
    }
    taken
}

/// What the first byte of an input says that the rest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Mode {
    /// The JSON of a credential.
    Whole,
    Attestation,
    /// Authenticator data of a registration.
    Made,
    /// Authenticator data of an assertion.
    Touched,
    /// Client data of an assertion.
    Getting,
    /// Client data of a registration.
    Creating,
}

impl Mode {
    const ALL: [Self; 6] =
        [Self::Whole, Self::Attestation, Self::Made, Self::Touched, Self::Getting, Self::Creating];
}

/// Shows it as what its first byte says.
pub fn run(input: &[u8]) -> Taken {
    let Some((mode, data)) = input.split_first() else { return Taken::new() };
    let mode = Mode::ALL[usize::from(*mode) % Mode::ALL.len()];
    let taken = match mode {
        Mode::Whole => return std::str::from_utf8(data).map(whole).unwrap_or_default(),
        Mode::Attestation => {
            let taken = register(&registration(KNOWN.id.as_bytes(), &client_data("webauthn.create"), data));
            taken.is_some_and(|verified| {
                usable(&verified);
                true
            })
        }
        Mode::Made => made(data),
        Mode::Touched => [false, true].map(|must_verify| touch(data, must_verify)).contains(&true),
        Mode::Getting => {
            let taken = assert_with(&assertion(data, &touched()), false).is_some();
            assert!(!taken || honest(data, "webauthn.get"));
            taken
        }
        Mode::Creating => {
            let attestation = unattested(&[Sha256::digest(PARTY).as_slice(), &KEY_DATA].concat());
            let taken = register(&registration(KNOWN.id.as_bytes(), data, &attestation)).is_some();
            assert!(!taken || honest(data, "webauthn.create"));
            taken
        }
    };
    taken.then(|| mode.name().into()).into_iter().collect()
}

impl Mode {
    const fn name(self) -> &'static str {
        match self {
            Self::Whole => "credential",
            Self::Attestation => "attestation",
            Self::Made => "data of a registration",
            Self::Touched => "data of an assertion",
            Self::Getting => "client data of an assertion",
            Self::Creating => "client data of a registration",
        }
    }
}

/// The id in authenticator data (§6.5.1): what a browser says beside them.
fn id_in(data: &[u8]) -> &[u8] {
    let behind = data.get(53..).and_then(|rest| rest.split_first_chunk::<2>());
    let id = behind.and_then(|(len, rest)| rest.get(..usize::from(u16::from_be_bytes(*len))));
    id.unwrap_or_default()
}

/// Whether a key is taken that was made with these data.
fn made(data: &[u8]) -> bool {
    let taken = register(&registration(id_in(data), &client_data("webauthn.create"), &unattested(data)));
    taken.is_some_and(|verified| {
        assert!(present(data) && data[32] & 0x40 != 0, "a key without its flag");
        assert_eq!(verified.key.sign_count.to_be_bytes(), data[33..37]);
        assert_eq!(verified.key.user_verified, data[32] & 4 != 0);
        usable(&verified);
        true
    })
}

/// Whether an assertion is taken that signed these data.
fn touch(data: &[u8], must_verify: bool) -> bool {
    let taken = assert_with(&assertion(&client_data("webauthn.get"), data), must_verify);
    taken.is_some_and(|verified| {
        assert!(present(data), "another party, or nobody there");
        assert!(!must_verify || data[32] & 4 != 0, "a user who was not verified");
        assert_eq!(verified.sign_count.to_be_bytes(), data[33..37]);
        assert_eq!((verified.challenge, &verified.credential), (ASKED, &KNOWN.id));
        true
    })
}

/// Flags, counter, model, and the id and public key of a key: what follows the hash when a key is made (§6.5.1).
static KEY_DATA: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let id = KNOWN.id.as_bytes();
    let mut data = vec![0x41, 0, 0, 0, 1];
    data.extend([0; 16]);
    data.extend(u16::try_from(id.len()).expect("a short id").to_be_bytes());
    data.extend(id);
    data.extend(&KNOWN.public_key);
    data
});
