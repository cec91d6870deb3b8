//! Whom a request is about, read before the request is: for the order in which calls are worked on, and for the record of
//! denied ones. Nothing is decided by it that the handlers do not check again.

use crate::caller::Method;
use crate::limits::PREFIX;
use countersign_application::Application;
use countersign_domain::ids::{TenantId, UserId, UserRef};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// No tenant, no user and no challenge is longer.
const MAX_LEN: usize = 512;

/// Whom a request is about.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) tenant: TenantId,
    /// The one user, where it is about one and names them well-formed.
    pub(crate) user: Option<UserId>,
}

/// The first message of a body, as far as it is there, and whether the body is that one, whole, and nothing else. What is
/// compressed is none.
///
/// The framework would answer such a request by its first message, and decode those behind it all the same.
pub(crate) fn message(body: &[u8]) -> (&[u8], bool) {
    let Some(([0, len @ ..], rest)) = body.split_first_chunk::<PREFIX>() else { return (&[], false) };
    let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
    rest.get(..len).map_or((rest, false), |message| (message, rest.len() == len))
}

/// Whom the request with this message names, itself or in its challenge, if it names a tenant well-formed.
pub(crate) fn about(app: &Application, method: &Method, message: &[u8]) -> Option<About> {
    if method.tenant_field.is_some() {
        let [tenant, user] = texts(message, [method.tenant_field, method.user_field])?;
        let user = user.and_then(|user| UserId::parse(user).ok());
        return Some(About { tenant: TenantId::parse(tenant?).ok()?, user });
    }
    let [challenge] = texts(message, [method.challenge_field])?;
    let UserRef { tenant, user } = app.open_challenge(challenge?)?.user;
    Some(About { tenant, user: Some(user) })
}

/// The texts in these fields of the message; the last one of each counts, as in every protocol buffer.
fn texts<const N: usize>(mut message: &[u8], fields: [Option<u32>; N]) -> Option<[Option<&str>; N]> {
    let mut found = [None; N];
    while !message.is_empty() {
        let (number, wire) = decode_key(&mut message).ok()?;
        let wanted = fields.iter().position(|field| *field == Some(number));
        let Some(place) = wanted.filter(|_| wire == WireType::LengthDelimited) else {
            skip_field(wire, number, &mut message, DecodeContext::default()).ok()?;
            continue;
        };
        let len = usize::try_from(decode_varint(&mut message).ok()?).ok()?;
        let (value, rest) = message.split_at_checked(len)?;
        message = rest;
        found[place] = (len <= MAX_LEN).then(|| str::from_utf8(value).ok()).flatten();
    }
    Some(found)
}

/// Whether the message has that field more than so many times. What comes after the last one that counts is not looked at,
/// and need not be right.
pub(crate) fn has_more(mut message: &[u8], field: u32, most: usize) -> bool {
    let mut count = 0;
    while let Ok((number, wire)) = decode_key(&mut message) {
        count += usize::from(number == field);
        if count > most {
            return true;
        }
        if skip_field(wire, number, &mut message, DecodeContext::default()).is_err() {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_api::v1::GetStatusRequest;
    use prost::Message as _;

    /// The one text of that field.
    fn text(message: &[u8], field: u32) -> Option<&str> {
        texts(message, [Some(field)])?[0]
    }

    /// What is read is what the message says, the last of several; what is cut short or too long says nothing.
    #[test]
    fn the_field_is_read_as_the_message_says_it() {
        let request = GetStatusRequest {
            tenant_id: "acme".to_owned(),
            user_id: "u".repeat(300),
            ..GetStatusRequest::default()
        };
        let bytes = request.encode_to_vec();
        assert_eq!(text(&bytes, 1), Some("acme"));
        assert_eq!(text(&bytes, 99), None);
        let user = "u".repeat(300);
        assert_eq!(texts(&bytes, [Some(1), None, Some(2)]), Some([Some("acme"), None, Some(&*user)]));
        let twice =
            [bytes.clone(), GetStatusRequest { tenant_id: "b".to_owned(), ..request }.encode_to_vec()];
        assert_eq!(text(&twice.concat(), 1), Some("b"));
        assert_eq!(text(&bytes[..4], 1), None);
        assert_eq!(text(&bytes[..20], 1), None);
        let long = GetStatusRequest { tenant_id: "a".repeat(513), ..GetStatusRequest::default() };
        assert_eq!(text(&long.encode_to_vec(), 1), None);
    }

    /// R66, R42: a body is its one message and nothing else. Of another one the first message is still read, as far as it is
    /// there, to learn whom to tell; not where it is compressed.
    #[test]
    fn a_body_is_one_message() {
        let table: [(&[u8], &[u8], bool); 10] = [
            (&[0, 0, 0, 0, 0], &[], true),
            (&[0, 0, 0, 0, 2, 7, 8], &[7, 8], true),
            (&[0, 0, 0, 0, 2, 7, 8, 9], &[7, 8], false),
            (&[0, 0, 0, 0, 2, 7, 8, 0, 0, 0, 0, 0], &[7, 8], false),
            (&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[], false),
            (&[0, 0, 0, 0, 3, 7, 8], &[7, 8], false),
            (&[0, 0xff, 0xff, 0xff, 0xff, 7], &[7], false),
            (&[1, 0, 0, 0, 1, 7], &[], false),
            (&[0, 0, 0, 0], &[], false),
            (&[], &[], false),
        ];
        for (body, expected, is_whole) in table {
            assert_eq!(message(body), (expected, is_whole), "{body:?}");
        }
    }

    /// R47: a field is counted for as far as the message can be read, and no further than it matters.
    #[test]
    fn a_field_is_counted() {
        let mut message = [0x12, 0x00].repeat(3);
        for (most, expected) in [(0, true), (2, true), (3, false)] {
            assert_eq!(has_more(&message, 2, most), expected, "{most}");
        }
        assert!(!has_more(&message, 1, 0));
        message.push(0xff);
        assert!(has_more(&message, 2, 2) && !has_more(&message, 2, 3));
        assert!(!has_more(&[], 2, 0));
    }
}
