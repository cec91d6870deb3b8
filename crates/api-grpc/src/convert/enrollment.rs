//! Beginning an enrollment: what is asked for, and the key as it is shown once.

use super::enums;
use super::fields::{Fields, Parsed};
use super::time::{count, timestamp, whole_seconds};
use crate::qr::{DrawError, Picture};
use countersign_api::v1::{self, QrFormat};
use countersign_application::Begun;
use countersign_domain::enrollment::BegunSms;
use countersign_domain::ids::UserId;
use countersign_domain::otpauth;
use countersign_domain::policy::SmsDelivery;
use countersign_domain::sms::sending::Message;
use countersign_domain::text::{AccountLabel, TextError};
use std::time::Duration;

/// The side of a module in pixels, where the request does not say.
const DEFAULT_MODULE: u8 = 8;
/// The largest side of a module in pixels.
const MAX_MODULE: i32 = 16;
/// Formats that one request may name, repetitions included.
const MAX_FORMATS: usize = 8;

/// Which pictures to draw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pictures {
    svg: bool,
    png: bool,
    module: u8,
}

impl Pictures {
    /// Reads which pictures are wanted; none named means all.
    pub(crate) fn parse(fields: &mut Fields, formats: &[i32], module_pixels: i32) -> Parsed<Self> {
        let known =
            |value: &i32| QrFormat::try_from(*value).is_ok_and(|format| format != QrFormat::Unspecified);
        let wants = |format: QrFormat| formats.is_empty() || formats.contains(&format.into());
        let formats_fit = formats.len() <= MAX_FORMATS && formats.iter().all(known);
        let formats_fit =
            if formats_fit { Ok(()) } else { fields.refuse("qr_formats", "must be formats of pictures") };
        let module = match u8::try_from(module_pixels) {
            Ok(0) => Ok(DEFAULT_MODULE),
            Ok(module) if module_pixels <= MAX_MODULE => Ok(module),
            _ => fields.refuse("qr_module_pixels", "must be 1 to 16, or 0 for 8"),
        };
        formats_fit?;
        Ok(Self { svg: wants(QrFormat::Svg), png: wants(QrFormat::Png), module: module? })
    }
}

/// The label that stands in for one that nobody gave: the user's id, whose colons a label cannot have.
pub(crate) fn label_of(user: &UserId) -> Result<AccountLabel, TextError> {
    AccountLabel::parse(&user.as_str().replace(':', "."))
}

/// A telephone that waits for its code.
pub(crate) fn begun_sms(begun: &BegunSms) -> v1::BeginSmsEnrollmentResponse {
    v1::BeginSmsEnrollmentResponse {
        enrollment_id: begun.id.to_string(),
        obfuscated_phone_number: begun.message.number.obfuscated(),
        code: told_code(&begun.message),
        next_send_time: Some(timestamp(begun.message.next_send_time)),
        expire_time: Some(timestamp(begun.message.expire_time)),
    }
}

/// A code that is on its way.
pub(crate) fn sent_code(message: &Message) -> v1::SendChallengeCodeResponse {
    v1::SendChallengeCodeResponse {
        obfuscated_phone_number: message.number.obfuscated(),
        next_send_time: Some(timestamp(message.next_send_time)),
        code: told_code(message),
    }
}

/// The code, where it is the caller who delivers it; else nothing.
fn told_code(message: &Message) -> String {
    match message.delivery {
        SmsDelivery::Caller => String::from_utf8_lossy(message.code.as_bytes()).into_owned(),
        SmsDelivery::Gateway => String::new(),
    }
}

/// A key as it is shown once (R22).
pub(crate) fn begun_totp(
    begun: &Begun,
    pictures: Pictures,
) -> Result<v1::BeginTotpEnrollmentResponse, DrawError> {
    let Begun { begun, issuer } = begun;
    let uri = otpauth::build(issuer, &begun.account_label, &begun.key, begun.parameters);
    let picture = Picture::of(uri.expose())?;
    let period = Duration::from_secs(u64::from(begun.parameters.period.seconds()));
    Ok(v1::BeginTotpEnrollmentResponse {
        enrollment_id: begun.id.to_string(),
        otpauth_uri: uri.expose().to_owned(),
        manual_key: begun.key.grouped().expose().to_owned(),
        qr_svg: if pictures.svg { picture.svg() } else { String::new() },
        qr_png: if pictures.png { picture.png(pictures.module)? } else { Vec::new() },
        algorithm: enums::totp_algorithm(begun.parameters.algorithm).into(),
        digits: count(begun.parameters.digits.count()),
        period: Some(whole_seconds(period)),
        expire_time: Some(timestamp(begun.expire_time)),
    })
}
