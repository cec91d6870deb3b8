//! Which tenant a request is about, read before the request is: for the order in which calls are worked on, and for the
//! record of denied ones. Nothing is decided by it that the handlers do not check again.

use crate::caller::Method;
use countersign_application::Application;
use countersign_domain::ids::TenantId;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use tonic::codegen::Bytes;

/// The bytes before a message: a flag that says whether it is compressed, and its length.
const PREFIX: usize = 5;
/// No tenant and no challenge is longer.
const MAX_LEN: usize = 512;

/// The tenant that the request names, itself or in its challenge, if it does so well-formed.
pub(crate) fn tenant(app: &Application, method: &Method, body: &Bytes) -> Option<TenantId> {
    if body.first() != Some(&0) || body.len() < PREFIX {
        return None;
    }
    let message = body.slice(PREFIX..);
    if let Some(field) = method.tenant_field {
        return TenantId::parse(&text(message, field)?).ok();
    }
    let challenge = text(message, method.challenge_field?)?;
    Some(app.open_challenge(&challenge)?.user.tenant)
}

/// The text in a field of the message; the last one counts, as in every protocol buffer.
fn text(mut message: Bytes, field: u32) -> Option<String> {
    let mut found = None;
    while !message.is_empty() {
        let (number, wire) = decode_key(&mut message).ok()?;
        if number != field || wire != WireType::LengthDelimited {
            skip_field(wire, number, &mut message, DecodeContext::default()).ok()?;
            continue;
        }
        let len = usize::try_from(decode_varint(&mut message).ok()?).ok()?;
        if len > message.len() {
            return None;
        }
        let value = message.split_to(len);
        found = (len <= MAX_LEN).then(|| String::from_utf8(value.into()).ok()).flatten();
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
        assert_eq!(text(bytes.clone().into(), 1), Some("acme".to_owned()));
        assert_eq!(text(bytes.clone().into(), 99), None);
        let twice =
            [bytes.clone(), GetStatusRequest { tenant_id: "b".to_owned(), ..request }.encode_to_vec()];
        assert_eq!(text(twice.concat().into(), 1), Some("b".to_owned()));
        assert_eq!(text(bytes[..4].to_vec().into(), 1), None);
        assert_eq!(text(bytes[..20].to_vec().into(), 1), None);
        let long = GetStatusRequest { tenant_id: "a".repeat(513), ..GetStatusRequest::default() };
        assert_eq!(text(long.encode_to_vec().into(), 1), None);
    }
}
