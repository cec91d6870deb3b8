//! The otpauth URI that carries a key into an authenticator app, and reading one back.
//!
//! `otpauth://totp/{issuer}:{account}?secret=…&issuer=…&algorithm=…&digits=…&period=…`, percent-encoded by
//! RFC 3986 throughout: a space is `%20`, and a plus sign is a plus sign. Drawing the URI as a QR code
//! happens elsewhere.

use std::fmt::Write as _;

use data_encoding::BASE32_NOPAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::otp::{Algorithm, Digits, Period, TotpKey, TotpParameters};
use crate::secret::{SecretBytes, SecretString};
use crate::text::{AccountLabel, Issuer, TextError};

/// The longest URI in bytes, built or read. A QR code holds 2953 (ISO/IEC 18004, version 40-L).
pub const MAX_URI_LEN: usize = 2953;

const PREFIX: &str = "otpauth://totp/";

/// Everything but RFC 3986's unreserved characters (section 2.3) is encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What an otpauth URI says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedOtpauth {
    /// Who the account is with.
    pub issuer: Issuer,
    /// Whose account it is.
    pub account: AccountLabel,
    /// The shared key.
    pub key: TotpKey,
    /// How codes are made of it.
    pub parameters: TotpParameters,
}

/// The URI for these values, at most [`MAX_URI_LEN`] bytes long. It contains the key.
///
/// The issuer stands in it twice, in the label for old apps and as a parameter for the others, and every
/// parameter is written out, also where it is the default.
pub fn build(
    issuer: &Issuer,
    account: &AccountLabel,
    key: &TotpKey,
    parameters: TotpParameters,
) -> SecretString {
    let issuer = utf8_percent_encode(issuer.as_str(), ENCODED);
    let account = utf8_percent_encode(account.as_str(), ENCODED);
    let secret = key.to_base32();
    let TotpParameters { algorithm, digits, period } = parameters;

    // The full capacity from the start: a string that grows leaves unwiped copies behind.
    let mut uri = String::with_capacity(MAX_URI_LEN);
    // Writing into a string cannot fail.
    let _ = write!(
        uri,
        "{PREFIX}{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm={algorithm}&digits={digits}&period={period}",
        secret = secret.expose(),
        algorithm = algorithm.as_str(),
        digits = digits.count(),
        period = period.seconds(),
    );
    SecretString::new(uri)
}

/// Reads an otpauth URI: what [`build`] gives, and what other issuers give that leave out defaults.
///
/// Missing `algorithm`, `digits` and `period` are SHA1, 6 and 30; the issuer may stand in the label, in its
/// parameter or, equal, in both; unknown parameters are skipped. A parameter given twice, a malformed escape
/// or a value that [`build`] could not have been given is an error.
pub fn parse(uri: &str) -> Result<ParsedOtpauth, OtpauthError> {
    if uri.len() > MAX_URI_LEN {
        return Err(OtpauthError::TooLong);
    }
    // Scheme and host do not depend on case (RFC 3986 sections 3.1 and 3.2.2); the rest does.
    let (prefix, rest) = uri.split_at_checked(PREFIX.len()).ok_or(OtpauthError::NotTotp)?;
    if !prefix.eq_ignore_ascii_case(PREFIX) {
        return Err(OtpauthError::NotTotp);
    }
    let (label, query) = rest.split_once('?').unwrap_or((rest, ""));
    let query = Query::parse(query)?;
    let (issuer, account) = parse_label(label, query.issuer)?;
    Ok(ParsedOtpauth { issuer, account, key: query.key, parameters: query.parameters })
}

/// The issuer, in label or parameter, and the account.
fn parse_label(label: &str, parameter: Option<Issuer>) -> Result<(Issuer, AccountLabel), OtpauthError> {
    let label = decode(label)?;
    let (prefix, account) = match label.split_once(':') {
        Some((issuer, account)) => (Some(Issuer::parse(issuer).map_err(OtpauthError::Issuer)?), account),
        None => (None, label.as_str()),
    };
    let account = AccountLabel::parse(account).map_err(OtpauthError::Account)?;
    let issuer = match (prefix, parameter) {
        (Some(prefix), Some(parameter)) if prefix != parameter => return Err(OtpauthError::IssuerMismatch),
        (Some(issuer), _) | (None, Some(issuer)) => issuer,
        (None, None) => return Err(OtpauthError::Missing("issuer")),
    };
    Ok((issuer, account))
}

/// The parameters behind the question mark.
struct Query {
    key: TotpKey,
    issuer: Option<Issuer>,
    parameters: TotpParameters,
}

impl Query {
    fn parse(query: &str) -> Result<Self, OtpauthError> {
        let mut secret = None;
        let mut issuer = None;
        let mut algorithm = None;
        let mut digits = None;
        let mut period = None;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value)?;
            match name {
                "secret" => once(&mut secret, "secret", parse_key(&value)?)?,
                "issuer" => {
                    once(&mut issuer, "issuer", Issuer::parse(&value).map_err(OtpauthError::Issuer)?)?;
                }
                "algorithm" => {
                    let known = Algorithm::parse(&value).ok_or(OtpauthError::Unsupported("algorithm"))?;
                    once(&mut algorithm, "algorithm", known)?;
                }
                "digits" => {
                    let count = parse_number(&value).and_then(|count| usize::try_from(count).ok());
                    let known =
                        count.and_then(Digits::from_count).ok_or(OtpauthError::Unsupported("digits"))?;
                    once(&mut digits, "digits", known)?;
                }
                "period" => {
                    let seconds = parse_number(&value).ok_or(OtpauthError::Unsupported("period"))?;
                    let known = Period::new(seconds).map_err(|_| OtpauthError::Unsupported("period"))?;
                    once(&mut period, "period", known)?;
                }
                _ => {}
            }
        }
        Ok(Self {
            key: secret.ok_or(OtpauthError::Missing("secret"))?,
            issuer,
            parameters: TotpParameters {
                algorithm: algorithm.unwrap_or_default(),
                digits: digits.unwrap_or_default(),
                period: period.unwrap_or_default(),
            },
        })
    }
}

/// Fills an empty slot; a parameter given twice could mean either value, so it means none.
fn once<T>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), OtpauthError> {
    if slot.replace(value).is_some() { Err(OtpauthError::Repeated(name)) } else { Ok(()) }
}

/// Base32 without padding; people's tools write it in either case.
fn parse_key(base32: &str) -> Result<TotpKey, OtpauthError> {
    let upper = Zeroizing::new(base32.to_ascii_uppercase());
    let bytes = BASE32_NOPAD.decode(upper.as_bytes()).map_err(|_| OtpauthError::Unsupported("secret"))?;
    TotpKey::new(SecretBytes::new(bytes)).map_err(|_| OtpauthError::Unsupported("secret"))
}

/// A number written in ASCII digits only: `str::parse` would take a plus sign too.
fn parse_number(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Undoes percent-encoding, strictly: printable ASCII without `#`, two hex digits after each `%`, UTF-8 in the end.
fn decode(text: &str) -> Result<Zeroizing<String>, OtpauthError> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(OtpauthError::Malformed);
    }
    let hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let escapes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    for (at, _) in escapes {
        if !hex(bytes.get(at + 1)) || !hex(bytes.get(at + 2)) {
            return Err(OtpauthError::Malformed);
        }
    }
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    decoded.extend(percent_decode_str(text));
    let text = std::str::from_utf8(&decoded).map_err(|_| OtpauthError::Malformed)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// What is wrong with an otpauth URI. Nothing of the URI is told, since it contains the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OtpauthError {
    /// It does not begin with `otpauth://totp/`.
    #[error("not an otpauth URI of the kind totp")]
    NotTotp,
    /// It is longer than [`MAX_URI_LEN`].
    #[error("longer than {MAX_URI_LEN} bytes")]
    TooLong,
    /// A character that a URI cannot contain, a broken escape, a fragment, or text that is not UTF-8.
    #[error("malformed URI")]
    Malformed,
    /// This parameter is needed and not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// This parameter is there more than once.
    #[error("{0} is given more than once")]
    Repeated(&'static str),
    /// This parameter has a value outside what is supported.
    #[error("{0} is not supported or malformed")]
    Unsupported(&'static str),
    /// The issuers in label and parameter differ.
    #[error("the issuers in label and parameter differ")]
    IssuerMismatch,
    /// The issuer is not acceptable.
    #[error("issuer is not acceptable")]
    Issuer(#[source] TextError),
    /// The account label is not acceptable.
    #[error("account label is not acceptable")]
    Account(#[source] TextError),
}

#[cfg(test)]
mod tests;
