//! Rules that every RPC and message of the contract keeps, read from the descriptors. What the linter of
//! the contract checks (names, comments, unique requests) is not repeated here.

#![expect(
    clippy::expect_used,
    reason = "the descriptors are part of this repository; a test may stop where they are not what they must be"
)]

use countersign_api::{descriptor_pool, error_reason_name, method_scopes, v1};
use prost_reflect::{FileDescriptor, Kind, MessageDescriptor, MethodDescriptor, Value};

/// Every scope a method may name; `policy.weaken` is checked inside `UpdatePolicy` and named by none.
const SCOPES: [&str; 9] = [
    "login",
    "account.read",
    "account.write",
    "team.read",
    "team.write",
    "directory",
    "policy.read",
    "policy.write",
    "events.read",
];

/// What a field of a request can make a method answer: every method with such a field says so in its comment.
const ERRORS_BY_FIELD: [(&str, &[&str]); 19] = [
    ("etag", &["ETAG_MISMATCH"]),
    ("page_token", &["PAGE_TOKEN_INVALID"]),
    ("resume_token", &["RESUME_TOKEN_INVALID", "RESUME_TOKEN_EXPIRED"]),
    ("challenge", &["CHALLENGE_INVALID"]),
    ("first_factor", &["PROOF_REQUIRED"]),
    ("first_factor", &FIRST_FACTOR),
    ("proof", &SECOND_FACTOR),
    ("proof", &FIRST_FACTOR),
    ("actor_proof", &SECOND_FACTOR),
    ("actor_proof", &["ACTOR_IS_SUBJECT", "ACTOR_PERMISSION_MISSING", "ACTOR_NOT_TEAM_MANAGER"]),
    ("actor_proof", &["ACTOR_TWO_FACTOR_MISSING", "ACTION_NOT_ALLOWED"]),
    ("second_approver", &["SECOND_APPROVER_REQUIRED"]),
    (
        "enrollment_ticket",
        &["ENROLLMENT_TICKET_INVALID", "AUTHENTICATOR_TYPE_NOT_ALLOWED", "ACTOR_NOT_SUBJECT"],
    ),
    ("enrollment_id", &["ENROLLMENT_EXPIRED", "OTHER_AUTHENTICATOR_REQUIRED", "AUTHENTICATOR_EXISTS"]),
    ("authenticator_id", &["RESOURCE_NOT_FOUND"]),
    ("replaces_authenticator_id", &["RESOURCE_NOT_FOUND", "AUTHENTICATOR_LIMIT_REACHED"]),
    ("phone_number", &["SEND_TOO_SOON", "DELIVERY_UNAVAILABLE", "AUTHENTICATOR_EXISTS"]),
    ("display_name", &["DISPLAY_NAME_EXISTS"]),
    ("policy", &["POLICY_INVALID"]),
];
const FIRST_FACTOR: [&str; 3] =
    ["FIRST_FACTOR_STALE", "FIRST_FACTOR_NOT_ALLOWED", "FIRST_FACTOR_TIME_INVALID"];
const SECOND_FACTOR: [&str; 3] = ["PROOF_REQUIRED", "PROOF_INCORRECT", "USER_LOCKED"];

/// How the name of a method begins that changes nothing.
const READING_VERBS: [&str; 5] = ["Get", "List", "BatchGet", "Watch", "Explain"];

fn methods() -> Vec<MethodDescriptor> {
    let methods: Vec<_> =
        descriptor_pool().services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
    assert!(methods.len() > 30, "the descriptors are not the contract's");
    methods
}

fn messages() -> Vec<MessageDescriptor> {
    descriptor_pool().all_messages().filter(|message| message.package_name() == "countersign.v1").collect()
}

/// Fails with all offenders at once.
fn check(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n{}", offenders.join("\n"));
}

fn names(methods: impl Iterator<Item = MethodDescriptor>) -> Vec<String> {
    methods.map(|method| method.full_name().to_owned()).collect()
}

fn is_reading(method: &MethodDescriptor) -> bool {
    READING_VERBS.iter().any(|verb| method.name().starts_with(verb))
}

fn has_field(message: &MessageDescriptor, name: &str, kind: &Kind) -> bool {
    message.get_field_by_name(name).is_some_and(|field| field.kind() == *kind && !field.is_list())
}

/// The comment before the thing with this path in its file.
fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref().expect("comments are kept");
    let location = info.location.iter().find(|location| location.path == path);
    location.and_then(|location| location.leading_comments.clone()).unwrap_or_default()
}

/// What a text names in capitals.
fn names_in_capitals(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
    words.filter(|word| word.contains('_') && !word.starts_with('_') && !word.ends_with('_'))
}

/// What the comment of a method says of its errors; also what it says by naming another method, or its service.
fn errors(method: &MethodDescriptor) -> String {
    let service = method.parent_service();
    let file = service.parent_file();
    let (own, all) = (comment(&file, method.path()), comment(&file, service.path()));
    let Some((_, own)) = own.split_once("Errors:") else { return String::new() };
    let (_, of_every) = all.split_once("Errors of every method:").unwrap_or_default();
    let mut errors = format!("{own} {of_every}");
    if own.contains("as the service says") {
        errors.push_str(&all);
    }
    if let Some((_, other)) = own.split_once("those of ") {
        let other = service.methods().find(|method| other.starts_with(method.name())).expect("a method");
        errors.push_str(&self::errors(&other));
    }
    errors
}

/// R47: whoever calls a method knows from its comment what it may answer; each name there is a reason.
#[test]
fn every_method_tells_its_errors() {
    let mut offenders = Vec::new();
    for method in methods() {
        let (told, request) = (errors(&method), method.input());
        let has = |field: &str| request.get_field_by_name(field).is_some();
        let told: Vec<_> = names_in_capitals(&told).collect();
        for (_, reasons) in ERRORS_BY_FIELD.iter().filter(|(field, _)| has(field)) {
            let missing = reasons.iter().filter(|reason| !told.contains(reason));
            offenders
                .extend(missing.map(|reason| format!("{} does not tell of {reason}", method.full_name())));
        }
        let is_reason =
            |name: &str| v1::ErrorReason::from_str_name(&format!("ERROR_REASON_{name}")).is_some();
        // The one status that a comment names.
        let unknown = told.iter().filter(|name| !is_reason(name) && **name != "OUT_OF_RANGE");
        offenders.extend(unknown.map(|name| format!("{}: {name} is no reason", method.full_name())));
        if told.is_empty() {
            offenders.push(format!("{} tells of none", method.full_name()));
        }
    }
    check("comments of methods are to be completed", &offenders);
}

/// R42: default deny is decided by the contract alone, so no method may be without a known scope.
#[test]
fn every_method_names_a_known_scope() {
    let scopes = method_scopes();
    assert_eq!(scopes.len(), methods().len());
    let offenders = scopes.into_iter().filter(|(_, scope)| !SCOPES.contains(&scope.as_str()));
    check(
        "these methods name no scope that exists",
        &offenders.map(|(path, scope)| format!("{path} {scope:?}")).collect::<Vec<_>>(),
    );
}

/// R42: the tool that finds breaking changes does not see a changed option; this table does.
#[test]
fn the_table_of_scopes_is_the_committed_one() {
    let mut scopes = method_scopes();
    scopes.sort();
    let table: Vec<_> = scopes.into_iter().map(|(path, scope)| format!("{path} {scope}")).collect();
    insta::assert_snapshot!("method_scopes", table.join("\n"));
}

/// R60: whatever changes something can be repeated safely; what only reads needs no id.
#[test]
fn exactly_the_mutating_methods_have_a_request_id() {
    let offenders = methods()
        .into_iter()
        .filter(|method| has_field(&method.input(), "request_id", &Kind::String) == is_reading(method));
    check("`request_id` is missing, or has no meaning here", &names(offenders));
}

/// R60: a generic client retries by the declared idempotency, so it must agree with the name.
#[test]
fn exactly_the_reading_methods_are_declared_free_of_side_effects() {
    let no_side_effects = Value::EnumNumber(1);
    let declared = |method: &MethodDescriptor| {
        method.options().get_field_by_name("idempotency_level").is_some_and(|level| *level == no_side_effects)
    };
    let offenders = methods().into_iter().filter(|method| declared(method) != is_reading(method));
    check("`idempotency_level` does not agree with the verb", &names(offenders));
}

/// R42: a scope for reading never opens a method that changes something, nor the reverse.
#[test]
fn reading_scopes_guard_exactly_reading_methods() {
    let scopes = method_scopes();
    let scope_of = |method: &MethodDescriptor| {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        scopes.iter().find(|(known, _)| *known == path).map(|(_, scope)| scope.clone()).unwrap_or_default()
    };
    let offenders = methods().into_iter().filter(|method| match scope_of(method).split_once('.') {
        Some((_, "read")) => !is_reading(method),
        Some((_, "write")) => is_reading(method),
        _ => false,
    });
    check("the scope does not fit the verb", &names(offenders));
}

/// R47: every list is paged from its first day.
#[test]
fn every_list_is_paged() {
    let offenders = methods().into_iter().filter(|method| {
        method.name().starts_with("List")
            && !(has_field(&method.input(), "page_size", &Kind::Int32)
                && has_field(&method.input(), "page_token", &Kind::String)
                && has_field(&method.output(), "next_page_token", &Kind::String))
    });
    check("these lists are not paged", &names(offenders));
}

/// R47: JSON turns 64-bit numbers into strings and floats lose digits; counts are int32, spans Duration.
#[test]
fn no_field_is_a_wide_or_floating_number() {
    let fields = messages().into_iter().flat_map(|message| message.fields().collect::<Vec<_>>());
    let offenders = fields.filter(|field| {
        !matches!(field.kind(), Kind::Message(_) | Kind::Enum(_))
            && !matches!(field.kind(), Kind::String | Kind::Bytes | Kind::Bool | Kind::Int32)
    });
    check(
        "use int32, Duration or Timestamp",
        &offenders.map(|field| field.full_name().to_owned()).collect::<Vec<_>>(),
    );
}

/// R47: a point in time is named `…_time`, and nothing else is.
#[test]
fn points_in_time_are_timestamps_by_name() {
    let fields = messages().into_iter().flat_map(|message| message.fields().collect::<Vec<_>>());
    let offenders = fields.filter(|field| {
        let is_timestamp =
            matches!(field.kind(), Kind::Message(kind) if kind.full_name() == "google.protobuf.Timestamp");
        is_timestamp != field.name().ends_with("_time")
    });
    check("name and type disagree", &offenders.map(|field| field.full_name().to_owned()).collect::<Vec<_>>());
}

/// R53: `ErrorInfo.reason` is the value's name without the prefix, for every reason.
#[test]
fn the_text_of_a_reason_is_its_name_without_prefix() {
    assert_eq!(error_reason_name(v1::ErrorReason::ChallengeInvalid), "CHALLENGE_INVALID");
    let reasons = descriptor_pool().get_enum_by_name("countersign.v1.ErrorReason").expect("the enum");
    for value in reasons.values() {
        let reason = v1::ErrorReason::try_from(value.number()).expect("generated from the same contract");
        assert_eq!(format!("ERROR_REASON_{}", error_reason_name(reason)), value.name());
    }
}

/// A change of every field of a policy is told in one detail of its event, which the contract bounds.
#[test]
fn the_fields_of_a_policy_fit_into_a_detail() {
    let event = descriptor_pool().get_message_by_name("countersign.v1.SecurityEvent").expect("events");
    let details = event.get_field_by_name("details").expect("an event has details");
    let promised = comment(&event.parent_file(), details.path());
    assert!(promised.contains("values at most 2,048 characters"), "{promised}");
    let policy = descriptor_pool().get_message_by_name("countersign.v1.Policy").expect("policies");
    let mut paths = Vec::new();
    for field in policy.fields() {
        match field.kind() {
            Kind::Message(section) if !field.is_list() => {
                paths.extend(section.fields().map(|inner| format!("{}.{}", field.name(), inner.name())));
            }
            _ => paths.push(field.name().to_owned()),
        }
    }
    let length = paths.join(" ").len();
    assert!((513..=2_048).contains(&length), "{length}");
}
