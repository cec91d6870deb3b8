//! What browsers and keys send when all goes well, in every format of attestation, and what they send otherwise. Signatures
//! are real, and the same each time (RFC 6979).

use super::cbor::Cbor;
use super::{ASKED, KEY_DATA, KNOWN, Mode, ORIGIN, PARTY, SIGNING, client_data, touched};
use crate::Seed;
use countersign_testkit::{Page, SoftwareKey};
use data_encoding::BASE64URL_NOPAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use rcgen::{CertificateParams, DnType, IsCa, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Where the flags stand in authenticator data.
const FLAGS: usize = 32;

fn input(mode: Mode, data: impl AsRef<[u8]>) -> Vec<u8> {
    [&[mode as u8], data.as_ref()].concat()
}

fn good(name: &str, mode: Mode, data: impl AsRef<[u8]>) -> Seed {
    Seed::good(name, input(mode, data), &[mode.name()])
}

fn near(name: &str, mode: Mode, data: impl AsRef<[u8]>) -> Seed {
    Seed::near(name, input(mode, data))
}

/// Whole credentials, made by the key and the browser of the testkit.
fn credentials() -> Vec<Seed> {
    let challenge = BASE64URL_NOPAD.encode(ASKED.as_bytes());
    let options = json!({"challenge": challenge, "rp": {"id": PARTY}, "rpId": PARTY}).to_string();
    let honest = Page::at(ORIGIN);
    let made = |mut key: SoftwareKey, page: &Page| input(Mode::Whole, key.register(&options, page));
    let signed = |mut key: SoftwareKey, page: &Page| input(Mode::Whole, key.sign(&options, page));
    let elsewhere = Page::at("https://evil.example");
    let framed = Page { cross_origin: true, ..honest.clone() };
    let party = Page { relying_party_id: Some("evil.example".to_owned()), ..honest.clone() };
    let replayed = Page { challenge: Some(BASE64URL_NOPAD.encode(&[8; 32])), ..honest.clone() };
    let other = SoftwareKey::new(2).with(|key| key.credential_id = SoftwareKey::new(1).credential_id);
    vec![
        Seed::good("registration", made(SoftwareKey::new(1), &honest), &["registration"]),
        Seed::good("registration-passkey", made(SoftwareKey::passkey(2), &honest), &["registration"]),
        Seed::good("assertion", signed(SoftwareKey::new(1), &honest), &["assertion"]),
        Seed::near("registration-elsewhere", made(SoftwareKey::new(1), &elsewhere)),
        Seed::near("registration-framed", made(SoftwareKey::new(1), &framed)),
        Seed::near("registration-of-another-challenge", made(SoftwareKey::new(1), &replayed)),
        Seed::near(
            "registration-untouched",
            made(SoftwareKey::new(1).with(|key| key.user_present = false), &honest),
        ),
        Seed::near("registration-ed25519", made(SoftwareKey::new(1).with(|key| key.algorithm = -8), &honest)),
        Seed::near(
            "registration-no-id",
            made(SoftwareKey::new(1).with(|key| key.credential_id.clear()), &honest),
        ),
        Seed::near("assertion-elsewhere", signed(SoftwareKey::new(1), &elsewhere)),
        Seed::near("assertion-of-another-party", signed(SoftwareKey::new(1), &party)),
        Seed::near("assertion-of-another-key", signed(SoftwareKey::new(2), &honest)),
        Seed::near("assertion-signed-by-another", signed(other, &honest)),
    ]
}

/// A certificate of the one who made the key: always the same.
struct Maker {
    key: SigningKey,
    point: Vec<u8>,
}

impl PublicKeyData for Maker {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Maker {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(sign(&self.key, message))
    }
}

impl Maker {
    fn new() -> Self {
        let key = SigningKey::from_slice(&[9; 32]).expect("a key");
        let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Self { key, point }
    }

    /// As packed attestation asks for it (§8.2.1), with this unit.
    fn certificate(&self, unit: &str) -> Cbor {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::ExplicitNoCa;
        for (kind, value) in [
            (DnType::CountryName, "FI"),
            (DnType::OrganizationName, "Example"),
            (DnType::OrganizationalUnitName, unit),
            (DnType::CommonName, "Example Key"),
        ] {
            params.distinguished_name.push(kind, value);
        }
        let certificate = params.self_signed(self).expect("a certificate");
        Cbor::Array(vec![Cbor::Bytes(certificate.der().to_vec())])
    }
}

fn sign(key: &SigningKey, message: &[u8]) -> Vec<u8> {
    let signature: DerSignature = key.sign(message);
    signature.as_bytes().to_vec()
}

/// Authenticator data of a new key: hash, flags, counter, model, id and public key.
fn key_data() -> Vec<u8> {
    [Sha256::digest(PARTY).as_slice(), &KEY_DATA].concat()
}

fn attestation(format: &'static str, statement: Cbor) -> Vec<u8> {
    let data = Cbor::Bytes(key_data());
    Cbor::map([("fmt", Cbor::Text(format)), ("attStmt", statement), ("authData", data)]).encode()
}

const AUTHENTICATOR: &str = "Authenticator Attestation";

/// Every format; those that a program alone can make are good, the others are near.
fn attestations() -> Vec<Seed> {
    let maker = Maker::new();
    let client = Sha256::digest(client_data("webauthn.create"));
    let signed = [key_data().as_slice(), &client].concat();
    let packed = |key: &SigningKey| [("alg", Cbor::Int(-7)), ("sig", Cbor::Bytes(sign(key, &signed)))];
    let by_maker = |unit: &str| {
        let [alg, sig] = packed(&maker.key);
        Cbor::map([alg, sig, ("x5c", maker.certificate(unit))])
    };
    // §8.6: the key's id and point as U2F names them.
    let known = SIGNING.verifying_key().to_sec1_point(false);
    let u2f = [&[0], &key_data()[..FLAGS], &client, KNOWN.id.as_bytes(), known.as_bytes()].concat();
    let u2f =
        Cbor::map([("sig", Cbor::Bytes(sign(&maker.key, &u2f))), ("x5c", maker.certificate(AUTHENTICATOR))]);
    let cut = attestation("none", Cbor::map([]));
    vec![
        good("attestation-none", Mode::Attestation, attestation("none", Cbor::map([]))),
        good(
            "attestation-packed-self",
            Mode::Attestation,
            attestation("packed", Cbor::map(packed(&SIGNING))),
        ),
        good("attestation-packed-x5c", Mode::Attestation, attestation("packed", by_maker(AUTHENTICATOR))),
        good("attestation-fido-u2f", Mode::Attestation, attestation("fido-u2f", u2f)),
        near(
            "attestation-packed-forged",
            Mode::Attestation,
            attestation("packed", Cbor::map(packed(&maker.key))),
        ),
        near("attestation-packed-unit", Mode::Attestation, attestation("packed", by_maker("Somebody"))),
        good(
            "attestation-none-with-statement",
            Mode::Attestation,
            attestation("none", by_maker(AUTHENTICATOR)),
        ),
        near(
            "attestation-android-key",
            Mode::Attestation,
            attestation("android-key", by_maker(AUTHENTICATOR)),
        ),
        near(
            "attestation-apple",
            Mode::Attestation,
            attestation("apple", Cbor::map([("x5c", maker.certificate(AUTHENTICATOR))])),
        ),
        near("attestation-tpm", Mode::Attestation, attestation("tpm", tpm(&maker, &signed))),
        near("attestation-of-nobody", Mode::Attestation, attestation("nobody", Cbor::map([]))),
        near("attestation-cut-short", Mode::Attestation, &cut[..cut.len() - 1]),
        near("attestation-and-more", Mode::Attestation, [cut.as_slice(), &[0]].concat()),
    ]
}

/// The shape of §8.3, with `certInfo` and `pubArea` that say nothing beyond their heads.
fn tpm(maker: &Maker, signed: &[u8]) -> Cbor {
    Cbor::map([
        ("ver", Cbor::Text("2.0")),
        ("alg", Cbor::Int(-7)),
        ("x5c", maker.certificate("")),
        ("sig", Cbor::Bytes(sign(&maker.key, signed))),
        ("certInfo", Cbor::Bytes(b"\xffTCG\x80\x17\0\0".to_vec())),
        ("pubArea", Cbor::Bytes(vec![0, 0x23, 0, 0x0b, 0, 4, 4, 0x72])),
    ])
}

/// Data of a registration, with these flags and this key behind it.
fn made(flags: u8, key: &[u8]) -> Vec<u8> {
    let mut data = key_data();
    data[FLAGS] = flags;
    data.truncate(data.len() - KNOWN.public_key.len());
    data.extend(key);
    data
}

fn data_of_registrations() -> Vec<Seed> {
    let key = &KNOWN.public_key;
    let modulus: Vec<u8> = (0..256_usize).map(|at| if at == 0 { 0xc1 } else { 3 }).collect();
    let rsa = |alg| {
        let [n, e] = [modulus.clone(), vec![1, 0, 1]].map(Cbor::Bytes);
        Cbor::numbered([(1, Cbor::Int(3)), (3, Cbor::Int(alg)), (-1, n), (-2, e)]).encode()
    };
    let off_curve = {
        let [x, y] = [[1; 32], [1; 32]].map(|half| Cbor::Bytes(half.to_vec()));
        Cbor::numbered([(1, Cbor::Int(2)), (3, Cbor::Int(-7)), (-1, Cbor::Int(1)), (-2, x), (-3, y)]).encode()
    };
    let extended = [key.as_slice(), &Cbor::map([("credProtect", Cbor::Int(2))]).encode()].concat();
    vec![
        good("made-touched", Mode::Made, made(0x41, key)),
        good("made-verified", Mode::Made, made(0x45, key)),
        good("made-backed-up", Mode::Made, made(0x5d, key)),
        good("made-extension", Mode::Made, made(0xc1, &extended)),
        good("made-rsa", Mode::Made, made(0x45, &rsa(-257))),
        near("made-untouched", Mode::Made, made(0x40, key)),
        near("made-no-key", Mode::Made, &made(0x01, key)[..37]),
        near("made-key-without-flag", Mode::Made, made(0x01, key)),
        near("made-backed-up-not-eligible", Mode::Made, made(0x51, key)),
        near("made-rsa-sha1", Mode::Made, made(0x45, &rsa(-65535))),
        near("made-off-the-curve", Mode::Made, made(0x41, &off_curve)),
        good("made-and-more", Mode::Made, made(0x41, &extended)),
        near("made-cut-short", Mode::Made, &made(0x41, key)[..90]),
    ]
}

fn data_of_assertions() -> Vec<Seed> {
    let with = |flags: u8, rest: &[u8]| {
        let mut data = touched();
        data[FLAGS] = flags;
        data.extend(rest);
        data
    };
    let extension = Cbor::map([("appid", Cbor::Int(1))]).encode();
    let other = [Sha256::digest("evil.example").as_slice(), &touched()[FLAGS..]].concat();
    vec![
        good("touched", Mode::Touched, touched()),
        good("touched-verified", Mode::Touched, with(0x05, &[])),
        near("touched-by-nobody", Mode::Touched, with(0x04, &[])),
        near("touched-at-another-party", Mode::Touched, other),
        good("touched-extension", Mode::Touched, with(0x81, &extension)),
        // What is behind is signed as well.
        good("touched-and-more", Mode::Touched, with(0x01, &[0])),
        near("touched-cut-short", Mode::Touched, &touched()[..36]),
    ]
}

/// Client data with some that are otherwise.
fn client(ceremony: &str, otherwise: &Value) -> String {
    let mut data: Value = serde_json::from_slice(&client_data(ceremony)).expect("JSON");
    for (name, value) in otherwise.as_object().expect("an object") {
        data[name] = value.clone();
    }
    data.to_string()
}

fn client_datas() -> Vec<Seed> {
    let get = |otherwise: &Value| client("webauthn.get", otherwise);
    let padded = data_encoding::BASE64URL.encode(ASKED.as_bytes());
    vec![
        good("client-get", Mode::Getting, get(&json!({}))),
        good("client-get-port", Mode::Getting, get(&json!({"origin": format!("{ORIGIN}:443")}))),
        good(
            "client-create",
            Mode::Creating,
            client("webauthn.create", &json!({"tokenBinding": {"status": "supported"}, "later": [1, null]})),
        ),
        near("client-get-framed", Mode::Getting, get(&json!({"topOrigin": "https://evil.example"}))),
        near("client-get-cross-origin", Mode::Getting, get(&json!({"crossOrigin": true}))),
        near("client-get-subdomain", Mode::Getting, get(&json!({"origin": "https://a.login.example.com"}))),
        near("client-get-another-port", Mode::Getting, get(&json!({"origin": format!("{ORIGIN}:8443")}))),
        near("client-get-plain-text", Mode::Getting, get(&json!({"origin": "http://login.example.com"}))),
        near("client-get-challenge-padded", Mode::Getting, get(&json!({"challenge": padded}))),
        near("client-create-at-login", Mode::Getting, client("webauthn.create", &json!({}))),
        near("client-get-at-registration", Mode::Creating, get(&json!({}))),
        near("client-create-no-origin", Mode::Creating, client("webauthn.create", &json!({"origin": null}))),
        near("client-create-cut-short", Mode::Creating, &client("webauthn.create", &json!({}))[..60]),
    ]
}

/// Credentials, attestations, data of authenticators and of browsers.
pub fn seeds() -> Vec<Seed> {
    [credentials(), attestations(), data_of_registrations(), data_of_assertions(), client_datas()].concat()
}
