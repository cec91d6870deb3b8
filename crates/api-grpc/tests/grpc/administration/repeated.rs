//! Requests that are made again: one walk over every method that takes a `request_id`, as the contract's own descriptors
//! list them. A method without a request in `asked` fails the walk.

use super::asked::{Asked, methods, name};
use crate::support::reason;
use countersign_api::v1;
use prost::Message as _;
use prost_reflect::MethodDescriptor;

const ID: &str = "0192f0c1-2345-7678-9abc-def012345678";

/// A field of text, to be appended to a request.
fn text(method: &MethodDescriptor, field: &str, value: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let number = method.input().get_field_by_name(field).unwrap().number();
    prost::encoding::string::encode(number, &value.to_owned(), &mut bytes);
    bytes
}

/// What makes another request of one, whatever the method: who acts does it from another client, or the login is another.
fn otherwise(method: &MethodDescriptor) -> Vec<u8> {
    let input = method.input();
    if let Some(actor) = input.get_field_by_name("actor") {
        let client = v1::ClientContext { application: "another".to_owned(), ..Default::default() };
        let acts = v1::Actor { client: Some(client), ..Default::default() };
        let mut bytes = Vec::new();
        prost::encoding::message::encode(actor.number(), &acts, &mut bytes);
        return bytes;
    }
    match method.name() {
        "CheckLogin" => v1::CheckLoginRequest { remember_client: true, ..Default::default() }.encode_to_vec(),
        "AnswerChallenge" => {
            v1::AnswerChallengeRequest { remember_client: true, ..Default::default() }.encode_to_vec()
        }
        _ => text(method, "authenticator_id", "00000000-0000-4000-8000-000000000000"),
    }
}

/// R60, ruling 8: whatever is asked again under its `request_id` has one effect and the same answer, to the byte; what is
/// asked otherwise under it is refused.
#[tokio::test]
async fn every_request_that_is_made_again_has_one_effect() {
    let mut walked = 0;
    for method in methods().filter(|method| method.input().get_field_by_name("request_id").is_some()) {
        let (asked, name) = (Asked::new().await, name(&method));
        let mut request = asked.request(&name, asked.right(&name)).await;
        if name.ends_with("Authenticator") {
            // Of what the caller looked at: the first of the two changes it.
            request.extend(text(&method, "etag", &asked.etag().await));
        }
        let id = text(&method, "request_id", ID);
        let first = asked.call(&method, &[&request, &id]).await;
        let first = first.unwrap_or_else(|status| panic!("{name}: {status:?}"));
        let after = asked.traces().await;
        let again = asked.call(&method, &[&request, &id]).await;
        assert_eq!(again.unwrap_or_else(|status| panic!("{name}: {status:?}")), first, "{name}");
        assert_eq!(asked.traces().await, after, "{name}");

        // What a tenant was asked to become is not kept: its event says that it did.
        if method.parent_service().name() != "PolicyService" {
            let refused = asked.call(&method, &[&request, &otherwise(&method), &id]).await;
            assert_eq!(reason(&refused.expect_err(&name)), "REQUEST_ID_REUSED", "{name}");
            assert_eq!(asked.traces().await, after, "{name}");
        }
        walked += 1;
    }
    assert!(walked >= 24, "{walked}");
}
