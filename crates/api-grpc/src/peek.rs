//! Which tenant a request is about, read before the request is: for the order in which calls are worked on, and for the
//! record of denied ones. Nothing is decided by it that the handlers do not check again.

use crate::caller::Method;
use crate::limits::PREFIX;
use countersign_application::Application;
use countersign_domain::ids::TenantId;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// No tenant and no challenge is longer.
const MAX_LEN: usize = 512;

/// The tenant that the request names, itself or in its challenge, if it does so well-formed.
pub(crate) fn tenant(app: &Application, method: &Method, body: &[u8]) -> Option<TenantId> {
    if body.first() != Some(&0) {
        return None;
    }
    let message = body.get(PREFIX..)?;
    if let Some(field) = method.tenant_field {
        return TenantId::parse(text(message, field)?).ok();
    }
    let challenge = text(message, method.challenge_field?)?;
    Some(app.open_challenge(challenge)?.user.tenant)
}

/// The text in a field of the message; the last one counts, as in every protocol buffer.
fn text(mut message: &[u8], field: u32) -> Option<&str> {
    let mut found = None;
    while !message.is_empty() {
        let (number, wire) = decode_key(&mut message).ok()?;
        if number != field || wire != WireType::LengthDelimited {
            skip_field(wire, number, &mut message, DecodeContext::default()).ok()?;
            continue;
        }
        let len = usize::try_from(decode_varint(&mut message).ok()?).ok()?;
        let (value, rest) = message.split_at_checked(len)?;
        message = rest;
        found = (len <= MAX_LEN).then(|| str::from_utf8(value).ok()).flatten();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_api::v1::GetStatusRequest;
    use prost::Message as _;

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
        let twice =
            [bytes.clone(), GetStatusRequest { tenant_id: "b".to_owned(), ..request }.encode_to_vec()];
        assert_eq!(text(&twice.concat(), 1), Some("b"));
        assert_eq!(text(&bytes[..4], 1), None);
        assert_eq!(text(&bytes[..20], 1), None);
        let long = GetStatusRequest { tenant_id: "a".repeat(513), ..GetStatusRequest::default() };
        assert_eq!(text(&long.encode_to_vec(), 1), None);
    }
}
