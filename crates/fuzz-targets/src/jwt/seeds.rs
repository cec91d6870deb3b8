//! Tokens and claims at and beyond the edges of what is taken, and sets of keys of every kind.

use super::{HEADER, Mode, NAME, SETTING, sign};
use crate::Seed;
use countersign_server::fuzzing::{AUDIENCE, ISSUER, LEEWAY, MAX_LIFETIME, SUBJECT};
use countersign_testkit::fixtures;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use p256::ecdsa::SigningKey;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

const SPIFFE: &str = "claims of spiffe://example.org/login";
const CONFIGURED: &str = "claims of login.internal";

fn input(mode: Mode, data: impl AsRef<[u8]>) -> Vec<u8> {
    [&[mode as u8], data.as_ref()].concat()
}

/// The claims of the genuine token with some that are otherwise; what is null is left out.
fn claims(otherwise: &Value) -> String {
    let now = fixtures::START.unix_seconds();
    let mut claims = json!({"iss": ISSUER, "sub": NAME, "aud": AUDIENCE, "iat": now, "exp": now + 300})
        .as_object()
        .cloned();
    let claims = claims.as_mut().expect("an object");
    for (name, value) in otherwise.as_object().expect("an object") {
        claims.insert(name.clone(), value.clone());
    }
    claims.retain(|_, value| !value.is_null());
    Value::Object(claims.clone()).to_string()
}

fn good(name: &str, otherwise: &Value, who: &'static str) -> Seed {
    Seed::good(&format!("claims-{name}"), input(Mode::Claims, claims(otherwise)), &[who])
}

fn near(name: &str, otherwise: &Value) -> Seed {
    Seed::near(&format!("claims-{name}"), input(Mode::Claims, claims(otherwise)))
}

fn with_header(header: &str) -> Vec<u8> {
    input(Mode::Claims, format!("{header}\0{}", claims(&json!({}))))
}

fn of_claims() -> Vec<Seed> {
    let now = fixtures::START.unix_seconds();
    let seconds = |span: std::time::Duration| i64::try_from(span.as_secs()).expect("a short span");
    let (leeway, lifetime) = (seconds(LEEWAY), seconds(MAX_LIFETIME));
    let not_utf8 = input(Mode::Claims, b"{\"alg\":\"EdDSA\",\"typ\":\"\xff\"}\0");
    let claims_not_utf8 = [
        not_utf8[..1].to_vec(),
        b"{\"later\":\"\xff\",".to_vec(),
        claims(&json!({})).into_bytes().split_off(1),
    ]
    .concat();
    let as_list = json!([ISSUER, NAME, AUDIENCE, now + 300, null, now]);
    vec![
        good("plain", &json!({}), SPIFFE),
        good("configured-subject", &json!({"sub": SUBJECT, "aud": ["x", AUDIENCE], "nbf": now}), CONFIGURED),
        good("just-not-expired", &json!({"iat": now - 60, "exp": now - leeway + 1}), SPIFFE),
        good("longest-life", &json!({"exp": now + lifetime}), SPIFFE),
        good("clock-ahead", &json!({"nbf": now + leeway, "iat": now + leeway, "exp": now + 60}), SPIFFE),
        good("fractions-without-iat", &json!({"iat": null, "exp": 1_768_464_000.5}), SPIFFE),
        near("expired", &json!({"iat": now - 60, "exp": now - leeway})),
        near("too-long-a-life", &json!({"exp": now + lifetime + 1})),
        near("not-yet", &json!({"nbf": now + leeway + 1})),
        near("made-later", &json!({"iat": now + leeway + 1})),
        near("another-issuer", &json!({"iss": format!("{ISSUER}/")})),
        near("another-audience", &json!({"aud": ["countersign-2"]})),
        near("nobodys-subject", &json!({"sub": "system:serviceaccount:b:login"})),
        near("without-exp", &json!({"exp": null})),
        near("exp-as-text", &json!({"exp": "1768464300"})),
        Seed::near(
            "claims-exp-twice",
            input(Mode::Claims, claims(&json!({})).replacen('{', "{\"exp\":1768464001,", 1)),
        ),
        Seed::good("header-without-kid", with_header(r#"{"alg":"EdDSA"}"#), &[SPIFFE]),
        Seed::good("header-typ", with_header(r#"{"alg":"EdDSA","kid":"a","typ":"JWT"}"#), &[SPIFFE]),
        Seed::near("header-not-utf-8", [&not_utf8, claims(&json!({})).as_bytes()].concat()),
        Seed::near("header-as-a-list", with_header(r#"["EdDSA","a",null]"#)),
        Seed::near("claims-not-utf-8", claims_not_utf8),
        Seed::near("claims-as-a-list", input(Mode::Claims, as_list.to_string())),
        Seed::near("header-crit", with_header(r#"{"alg":"EdDSA","crit":["b64"],"b64":false}"#)),
        Seed::near("header-another-kid", with_header(r#"{"alg":"EdDSA","kid":"b"}"#)),
        Seed::near("header-another-alg", with_header(r#"{"alg":"ES256","kid":"a"}"#)),
        Seed::near("header-alg-not-allowed", with_header(r#"{"alg":"RS256","kid":"a"}"#)),
    ]
}

fn of_tokens() -> Vec<Seed> {
    let genuine = &SETTING.genuine;
    let other = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).expect("a seed");
    let forged = sign(&other, HEADER.as_bytes(), claims(&json!({})).as_bytes());
    let body = genuine.split('.').nth(1).expect("three parts");
    let unsigned = format!("{}.{body}.", BASE64URL_NOPAD.encode(br#"{"alg":"none"}"#));
    let token = |text: &str| input(Mode::Token, text);
    vec![
        Seed::good("token", token(genuine), &["token"]),
        Seed::near("token-forged", token(&forged)),
        Seed::near("token-none", token(&unsigned)),
        Seed::near("token-padded", token(&format!("{genuine}=="))),
        Seed::near("token-four-parts", token(&format!("{genuine}.{body}"))),
        Seed::near("token-cut-short", token(&genuine[..genuine.len() - 4])),
        Seed::near("edits-header", input(Mode::Edits, [0, 5, b'A'])),
        Seed::near("edits-signature", input(Mode::Edits, [1, 0, b'A', 1, 1, b'B'])),
    ]
}

/// A public key of each kind, with its parts as JWK; the modulus of the RSA key is just a number of the right size.
struct Keys {
    ed25519: [u8; 32],
    p256: Vec<u8>,
    rsa: Vec<u8>,
}

impl Keys {
    fn new() -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed");
        let p256 = SigningKey::from_slice(&[7; 32]).expect("a key");
        let rsa = (0..256_usize).map(|at| if at == 0 { 0xc1 } else { 3 }).collect();
        Self {
            ed25519: pair.public_key().as_ref().try_into().expect("32 bytes"),
            p256: p256.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
            rsa,
        }
    }

    fn set(&self) -> Vec<Value> {
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        vec![
            json!({"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": text(&self.ed25519)}),
            json!({"kty": "EC", "crv": "P-256", "use": "sig", "x": text(&self.p256[1..33]), "y": text(&self.p256[33..])}),
            json!({"kty": "RSA", "alg": "RS256", "n": text(&self.rsa), "e": "AQAB"}),
            json!({"kty": "oct", "k": "AA"}),
        ]
    }

    /// `SubjectPublicKeyInfo` of each (RFC 8410, RFC 5480, RFC 3279).
    fn pem(&self) -> [String; 3] {
        let exponent = [1, 0, 1];
        let numbers = [der(2, &[&[0], self.rsa.as_slice()].concat()), der(2, &exponent)].concat();
        let rsa = [der(0x30, &[der(6, &RSA_ENCRYPTION), der(5, &[])].concat()), bits(&der(0x30, &numbers))];
        let ec = [der(0x30, &[der(6, &EC_PUBLIC_KEY), der(6, &P256)].concat()), bits(&self.p256)];
        let ed = [der(0x30, &der(6, &ED25519)), bits(&self.ed25519)];
        [ed, ec, rsa].map(|parts| {
            let text = BASE64.encode(&der(0x30, &parts.concat()));
            format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
        })
    }
}

const RSA_ENCRYPTION: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const EC_PUBLIC_KEY: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const ED25519: [u8; 3] = [0x2b, 0x65, 0x70];

/// A value of DER (X.690).
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).expect("a short value").to_be_bytes();
    let head = match content.len() {
        0..=0x7f => vec![tag, len[1]],
        0x80..=0xff => vec![tag, 0x81, len[1]],
        _ => vec![tag, 0x82, len[0], len[1]],
    };
    [&head, content].concat()
}

fn bits(content: &[u8]) -> Vec<u8> {
    der(3, &[&[0], content].concat())
}

fn of_keys() -> Vec<Seed> {
    let keys = Keys::new();
    let set = |keys: &[Value]| input(Mode::Keys, json!({"keys": keys}).to_string());
    let (all, [ed, ec, rsa]) = (keys.set(), keys.pem());
    let pem = |text: &str| input(Mode::Keys, text);
    let mut for_encryption = all[1].clone();
    for_encryption["use"] = json!("enc");
    vec![
        Seed::good("keys-jwk", set(&all), &["keys"]),
        Seed::good("keys-jwk-most", set(&vec![all[0].clone(); 32]), &["keys"]),
        Seed::good("keys-jwk-one", set(&all[..1]), &["a key"]),
        Seed::good("keys-pem", pem(&format!("{ed}{ec}{rsa}")), &["keys"]),
        Seed::good("keys-pem-rsa", pem(&rsa), &["a key"]),
        Seed::near("keys-jwk-too-many", set(&vec![all[0].clone(); 33])),
        Seed::near("keys-jwk-symmetric", set(&all[3..])),
        Seed::near("keys-jwk-for-encryption", set(&[for_encryption])),
        Seed::near("keys-pem-cut-short", pem(&ec[..ec.len() - 10])),
        Seed::near("keys-pem-private", pem(&ed.replace("PUBLIC", "PRIVATE"))),
    ]
}

/// Tokens, claims and keys.
pub fn seeds() -> Vec<Seed> {
    [of_tokens(), of_claims(), of_keys()].concat()
}
