//! Every field of every request is bounded: the walk reads the contract's descriptors, so that a field that comes later
//! is asked for its bound too (R47).

use crate::support::{Client, Raw, World, reason};
use countersign_api::v1;
use countersign_api::v1::policy_service_client::PolicyServiceClient;
use countersign_domain::policy::Preset;
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, Value};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

const TENANT: &str = "self-service-code";
/// Longer than any text may be, and less than a request.
const LONG: usize = 20_000;
/// More than any list may have.
const MANY: usize = 4_000;

/// What is too much at one place of a request.
struct Excess {
    /// The place, as a violation names it.
    path: String,
    /// A request with that alone.
    message: DynamicMessage,
}

/// One request for each text, bytes, list and time that a message has, at any depth.
fn excesses(message: &MessageDescriptor, depth: usize) -> Vec<Excess> {
    let mut found = Vec::new();
    for field in message.fields() {
        let mut add = |path: String, value: Value| {
            let mut message = DynamicMessage::new(message.clone());
            message.set_field(&field, value);
            found.push(Excess { path, message });
        };
        let name = field.name();
        if field.is_list() {
            let element = small(&field);
            add(name.to_owned(), Value::List(vec![element; MANY]));
        }
        let many = field.is_list();
        let within = |path: &str| if many { format!("{name}[0]{path}") } else { format!("{name}{path}") };
        let wrap = |value: Value| if many { Value::List(vec![value]) } else { value };
        match field.kind() {
            Kind::String => add(within(""), wrap(Value::String("x".repeat(LONG)))),
            Kind::Bytes => add(within(""), wrap(Value::Bytes(vec![1; LONG].into()))),
            Kind::Message(inner) if is_time(&inner) => {
                let mut time = DynamicMessage::new(inner.clone());
                time.set_field_by_name("seconds", Value::I64(i64::MAX));
                add(within(""), wrap(Value::Message(time)));
            }
            Kind::Message(inner) => {
                assert!(depth < 8, "{}", message.full_name());
                for excess in excesses(&inner, depth + 1) {
                    add(within(&format!(".{}", excess.path)), wrap(Value::Message(excess.message)));
                }
            }
            _ => {}
        }
    }
    found
}

/// An element that is right by itself, or at least short.
fn small(field: &FieldDescriptor) -> Value {
    match field.kind() {
        Kind::String => Value::String("a".to_owned()),
        Kind::Bytes => Value::Bytes(vec![1].into()),
        Kind::Enum(_) => Value::EnumNumber(1),
        Kind::Message(inner) => Value::Message(DynamicMessage::new(inner)),
        kind => panic!("lists of {kind:?} are not expected"),
    }
}

fn is_time(message: &MessageDescriptor) -> bool {
    matches!(message.full_name(), "google.protobuf.Timestamp" | "google.protobuf.Duration")
}

/// Whether the answer refuses the request for that place.
fn names(status: &Status, path: &str) -> bool {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
    let violated = |names: &dyn Fn(&str) -> bool| violations.iter().any(|violation| names(&violation.field));
    // An entry of a list of texts is named with its place or by the list.
    let list = path.strip_suffix("[0]");
    match reason(status).as_str() {
        "FIELD_INVALID" | "POLICY_INVALID" => violated(&|field| field == path || Some(field) == list),
        "PAGE_TOKEN_INVALID" => path == "page_token",
        "RESUME_TOKEN_INVALID" => path == "resume_token",
        // An etag is compared with the present one, which bounds it.
        "ETAG_MISMATCH" => path.ends_with("etag"),
        _ => false,
    }
}

/// A request that is right as far as every request of the method has to be.
async fn base(client: &Client, method: &MethodDescriptor, place: &str) -> Vec<u8> {
    let input = method.input();
    let mut message = DynamicMessage::new(input.clone());
    let mut set = |name: &str, value: &dyn Fn(&FieldDescriptor) -> Value| {
        let field = input.get_field_by_name(name).filter(|field| field.containing_oneof().is_none());
        if let Some(field) = field.filter(|_| !place.starts_with(name)) {
            message.set_field(&field, value(&field));
        }
    };
    set("tenant_id", &|_| Value::String(TENANT.to_owned()));
    set("user_id", &|_| Value::String("ann".to_owned()));
    let principal = if method.parent_service().name() == "AccountService" { "user_id" } else { "operator" };
    set("actor", &|field| {
        let Kind::Message(kind) = field.kind() else { panic!("an actor is a message") };
        let mut actor = DynamicMessage::new(kind);
        actor.set_field_by_name(principal, Value::String("ann".to_owned()));
        Value::Message(actor)
    });
    let get = v1::GetPolicyRequest { tenant_id: TENANT.to_owned() };
    let get = PolicyServiceClient::new(client.channel.clone()).get_policy(get).await.unwrap().into_inner();
    let policy = get.policy.unwrap().encode_to_vec();
    let mut bytes = Vec::new();
    for name in ["policy", "proposed_policy"] {
        if let Some(field) = input.get_field_by_name(name)
            && let Kind::Message(kind) = field.kind()
        {
            let policy = DynamicMessage::decode(kind, policy.as_slice()).unwrap();
            message.set_field(&field, Value::Message(policy));
        }
    }
    if let Some(field) = input.get_field_by_name("login").filter(|_| method.name() == "Explain")
        && !place.starts_with("action")
        && let Kind::Message(kind) = field.kind()
    {
        message.set_field(&field, Value::Message(DynamicMessage::new(kind)));
    }
    message.encode(&mut bytes).unwrap();
    bytes
}

/// R47: a text, list, bytes or time that is too much is refused by its name, wherever in whatever request it stands.
#[tokio::test]
async fn every_field_of_every_request_is_bounded() {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.client().await;
    let (mut checked, mut unbounded) = (0, Vec::new());
    for method in countersign_api::descriptor_pool().services().flat_map(|s| s.methods().collect::<Vec<_>>())
    {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        for Excess { path: place, message } in excesses(&method.input(), 0) {
            // Messages one after the other are merged: what is too much comes on top of what is right.
            let bytes = [base(&client, &method, &place).await, message.encode_to_vec()].concat();
            assert!(bytes.len() < 32 * 1024, "{path} {place}");
            match Raw(client.channel.clone()).call(&path, bytes).await {
                Err(status) if status.code() == Code::Unimplemented => {}
                Err(status) if names(&status, &place) => checked += 1,
                Err(status) => {
                    let details = status.get_error_details();
                    let fields = details.bad_request().map(|bad| bad.field_violations.clone());
                    let fields: Vec<_> = fields.unwrap_or_default().into_iter().map(|v| v.field).collect();
                    unbounded.push(format!("{path} {place}: {} {fields:?}", reason(&status)));
                }
                Ok(_) => unbounded.push(format!("{path} {place}: taken")),
            }
        }
    }
    assert!(unbounded.is_empty(), "{}", unbounded.join("\n"));
    assert!(checked > 300, "{checked}");
}
