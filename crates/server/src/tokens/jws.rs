//! A signed token in its compact form: taken apart, and its signature checked (RFC 7515, RFC 7518). Which keys there are
//! is `keys`' business, what the claims must say that of `claims`.

use super::Refusal;
use super::algorithm::Algorithm;
use super::keys::Key;
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The longest token: headers of a request have 16 KiB together.
const MAX_LEN: usize = 8 * 1024;
/// The longest name of a key.
const MAX_KID: usize = 256;

/// What a part of a token says, if it is a JSON object whole (RFC 7515 section 5.2, RFC 7519 section 7.2). The form alone
/// would not tell: it passes over what it does not know, bad encoding included, and takes a list of its fields.
pub(super) fn object<T: DeserializeOwned>(part: &[u8]) -> Option<T> {
    serde_json::from_slice::<Map<String, Value>>(part).ok()?;
    serde_json::from_slice(part).ok()
}

/// A token whose signature was not checked yet.
pub(super) struct Jws<'a> {
    /// What was signed.
    signed: &'a [u8],
    signature: Vec<u8>,
    claims: Vec<u8>,
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    // What must be understood is not: extensions change what is signed.
    crit: Option<serde::de::IgnoredAny>,
}

impl<'a> Jws<'a> {
    /// Takes a token apart. Nothing of it is to be believed before [`Jws::verified`].
    pub(super) fn parse(token: &'a str) -> Result<Self, Refusal> {
        if token.len() > MAX_LEN {
            return Err(Refusal::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Refusal::Malformed)?;
        // Strict: padding, stray bits and dots inside a part are no Base64, so that a token has one spelling.
        let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| Refusal::Malformed);
        let header: Header = object(&decode(header)?).ok_or(Refusal::Malformed)?;
        if header.crit.is_some() || header.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(Refusal::Malformed);
        }
        Ok(Self {
            signed: signed.as_bytes(),
            signature: decode(signature)?,
            claims: decode(claims)?,
            algorithm: Algorithm::from_name(&header.alg).ok_or(Refusal::Algorithm)?,
            kid: header.kid,
        })
    }

    /// The claims, if one of these keys made the signature.
    pub(super) fn verified<'k>(&self, keys: impl IntoIterator<Item = &'k Key>) -> Result<&[u8], Refusal> {
        let mut known = false;
        for key in keys.into_iter().filter(|key| key.is_for(self.kid.as_deref(), self.algorithm)) {
            known = true;
            if key.verify(self.algorithm, self.signed, &self.signature) {
                return Ok(&self.claims);
            }
        }
        Err(if known { Refusal::Signature } else { Refusal::UnknownKey })
    }
}
