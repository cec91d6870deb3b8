//! The public keys that tokens are checked with, read from a JWK set (RFC 7517) or from PEM. Where the text comes from
//! and how old it may be is `source`'s business.

use super::algorithm::Algorithm;
use data_encoding::BASE64URL_NOPAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;

/// The longest set of keys in bytes.
pub(super) const MAX_BYTES: usize = 256 * 1024;
/// The most keys of one set: what an issuer that rotates has, several times over.
const MAX_KEYS: usize = 32;

/// A key, and what it may be used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// Its name, which keys in PEM have none of.
    kid: Option<String>,
    /// The one algorithm that its set names for it.
    only: Option<Algorithm>,
    material: Material,
}

/// Public: nothing of it is a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    /// The uncompressed point.
    P256([u8; 65]),
    Ed25519([u8; 32]),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

impl Key {
    /// Whether a token with that header may have been signed with it. A key without name is tried for every name, and
    /// every key for a token that names none.
    pub(super) fn is_for(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        let named = match (self.kid.as_deref(), kid) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        let fits = matches!(
            (&self.material, algorithm),
            (Material::P256(_), Algorithm::Es256)
                | (Material::Ed25519(_), Algorithm::EdDsa)
                | (Material::Rsa { .. }, Algorithm::Rs256 | Algorithm::Ps256)
        );
        named && fits && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether it made the signature.
    pub(super) fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature)
            }
            Material::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(signed, signature),
            Material::Rsa { modulus: n, exponent: e } => {
                let scheme = match algorithm {
                    Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
                    _ => &RSA_PKCS1_2048_8192_SHA256,
                };
                RsaPublicKeyComponents { n, e }.verify(scheme, signed, signature)
            }
        }
        .is_ok()
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

/// The keys in a text, or what is wrong with it. Keys of a kind or for a purpose that tokens are not signed with here
/// are passed over, as RFC 7517 section 5 asks; symmetric ones are among them.
pub(super) fn parse(text: &str) -> Result<Vec<Key>, &'static str> {
    let keys = if text.contains("-----BEGIN") { pem(text)? } else { jwk_set(text)? };
    match keys.len() {
        0 => Err("holds no public key of a kind that is taken (P-256, Ed25519, RSA)"),
        1..=MAX_KEYS => Ok(keys),
        _ => Err("holds more than 32 keys"),
    }
}

fn jwk_set(text: &str) -> Result<Vec<Key>, &'static str> {
    let set: Set = serde_json::from_str(text).map_err(|_| "is neither a JWK set (JSON) nor PEM")?;
    Ok(set.keys.into_iter().filter_map(jwk).collect())
}

fn jwk(jwk: Jwk) -> Option<Key> {
    if jwk.purpose.is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let only = match jwk.alg {
        Some(name) => Some(Algorithm::from_name(&name)?),
        None => None,
    };
    let field = |text: Option<String>| BASE64URL_NOPAD.decode(text?.as_bytes()).ok();
    let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("EC", Some("P-256")) => Material::P256(point(&field(jwk.x)?, &field(jwk.y)?)?),
        ("OKP", Some("Ed25519")) => Material::Ed25519(field(jwk.x)?.try_into().ok()?),
        ("RSA", None) => Material::Rsa { modulus: field(jwk.n)?, exponent: field(jwk.e)? },
        _ => return None,
    };
    Some(Key { kid: jwk.kid, only, material })
}

fn point(x: &[u8], y: &[u8]) -> Option<[u8; 65]> {
    [&[4], x, y].concat().try_into().ok().filter(|_| x.len() == 32)
}

fn pem(text: &str) -> Result<Vec<Key>, &'static str> {
    let unreadable = "holds something else than public keys; give PEM blocks `PUBLIC KEY`";
    let mut keys = Vec::new();
    for block in SubjectPublicKeyInfoDer::pem_slice_iter(text.as_bytes()) {
        let block = block.map_err(|_| unreadable)?;
        let material = spki(&block).ok_or("holds a key of a kind that is not taken (P-256, Ed25519, RSA)")?;
        keys.push(Key { kid: None, only: None, material });
    }
    Ok(keys)
}

/// `SubjectPublicKeyInfo` up to the key, for the two kinds whose encoding has one form (RFC 5480, RFC 8410).
const P256: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
const ED25519_KEY: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// The algorithm `rsaEncryption` with its parameters (RFC 3279 section 2.3.1).
const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

fn spki(der: &[u8]) -> Option<Material> {
    if let Some(point) = der.strip_prefix(P256) {
        return Some(Material::P256(point.try_into().ok()?));
    }
    if let Some(key) = der.strip_prefix(ED25519_KEY) {
        return Some(Material::Ed25519(key.try_into().ok()?));
    }
    let (info, rest) = value(der, 0x30)?;
    let (bits, after) = value(info.strip_prefix(RSA)?, 0x03)?;
    let (numbers, end) = value(bits.strip_prefix(&[0])?, 0x30)?;
    let (modulus, numbers) = value(numbers, 0x02)?;
    let (exponent, last) = value(numbers, 0x02)?;
    let complete = [rest, after, end, last].iter().all(|rest| rest.is_empty());
    // A leading zero says that a number is not negative; ring wants it without.
    let plain = |number: &[u8]| number.strip_prefix(&[0]).unwrap_or(number).to_vec();
    complete.then(|| Material::Rsa { modulus: plain(modulus), exponent: plain(exponent) })
}

/// A value of DER with this tag, and what comes after it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.strip_prefix(&[tag])?.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 | 0x82 => {
            let (len, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (len.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(len)
}
