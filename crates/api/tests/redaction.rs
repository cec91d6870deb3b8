//! Canaries in every secret field of every message: `Debug` must not show one of them, however deep.
//! The messages are filled by reflection, so a new field is covered on the day it is written.

#![expect(
    clippy::expect_used,
    reason = "a message that reflection wrote decodes; a test may stop where it does not"
)]

use std::collections::BTreeSet;
use std::fmt::Debug;

use countersign_api::{descriptor_pool, v1};
use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

/// What every unmarked string field carries: it must stay visible.
const PLAIN: &str = "plain-value";

/// Names that always mean a secret or an address, in whatever message they stand.
const SECRET_NAMES: [&str; 17] = [
    "account_label",
    "challenge",
    "code",
    "codes",
    "email",
    "enrollment_ticket",
    "manual_key",
    "otpauth_uri",
    "phone_number",
    "qr_png",
    "qr_svg",
    "remembered_client_token",
    "text_file",
    "token",
    "webauthn_creation_options_json",
    "webauthn_credential_json",
    "webauthn_request_options_json",
];

/// Decodes a message into its generated type and shows it both ways.
type Show = fn(&[u8]) -> [String; 2];

fn show<M: Message + Default + Debug>(bytes: &[u8]) -> [String; 2] {
    let message = M::decode(bytes).expect("reflection wrote a message of this type");
    [format!("{message:?}"), format!("{message:#?}")]
}

macro_rules! shown {
    ($($name:ident),* $(,)?) => { [$((stringify!($name), show::<v1::$name> as Show)),*] };
}

/// Every message that carries a marked field, itself or somewhere inside.
const CARRIERS: [(&str, Show); 55] = shown![
    Actor,
    Allowed,
    AnswerChallengeRequest,
    AnswerChallengeResponse,
    BatchGetStatusesRequest,
    BatchPutUsersRequest,
    BeginSecurityKeyEnrollmentRequest,
    BeginSecurityKeyEnrollmentResponse,
    BeginSmsEnrollmentRequest,
    BeginSmsEnrollmentResponse,
    BeginTotpEnrollmentRequest,
    BeginTotpEnrollmentResponse,
    ChallengeMethod,
    ChallengeRequired,
    CheckLoginRequest,
    CheckLoginResponse,
    ClientContext,
    ConfirmEnrollmentRequest,
    ConfirmEnrollmentResponse,
    CreateTenantRequest,
    DeleteTenantRequest,
    DisableMemberRequest,
    DisableTwoFactorRequest,
    EnrollmentRequired,
    EraseUserRequest,
    ExplainLogin,
    ExplainRequest,
    GenerateRecoveryCodesRequest,
    GenerateRecoveryCodesResponse,
    GetCoverageRequest,
    GetStatusRequest,
    GetUserResponse,
    IssueEnrollmentTicketRequest,
    IssueEnrollmentTicketResponse,
    ListRememberedClientsRequest,
    ListResetRequestsRequest,
    ListStatusesRequest,
    LockedOut,
    LoginDecision,
    Proof,
    PutUserRequest,
    PutUserResponse,
    RecoveryCodes,
    RememberedClientToken,
    RemoveAuthenticatorRequest,
    RenameAuthenticatorRequest,
    ReportFirstFactorChangedRequest,
    RequestResetRequest,
    ResetMemberRequest,
    RevokeRememberedClientsRequest,
    SendChallengeCodeRequest,
    SendChallengeCodeResponse,
    UnlockMemberRequest,
    UpdatePolicyRequest,
    User,
];

/// What was put into a message, as it would look in `Debug` without white space.
#[derive(Default)]
struct Planted {
    canaries: Vec<String>,
    plain: usize,
}

fn is_marked(field: &FieldDescriptor) -> bool {
    field.options().get_field_by_name("debug_redact").is_some_and(|value| *value == Value::Bool(true))
}

fn contract_messages() -> impl Iterator<Item = MessageDescriptor> {
    descriptor_pool().all_messages().filter(|message| message.package_name() == "countersign.v1")
}

/// Whether a marked field stands in the message or in one inside it.
fn carries_secret(message: &MessageDescriptor) -> bool {
    message.fields().any(|field| {
        is_marked(&field) || matches!(field.kind(), Kind::Message(inner) if carries_secret(&inner))
    })
}

/// Fills every field; of each oneof, the member number `choice`, counted round.
fn fill(descriptor: &MessageDescriptor, choice: usize, planted: &mut Planted) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields().filter(|field| is_chosen(field, choice)) {
        if descriptor.full_name().starts_with("google.protobuf.") || field.is_map() {
            continue;
        }
        let value = fill_field(&field, choice, planted);
        let value = if field.is_list() { Value::List(vec![value]) } else { value };
        message.set_field(&field, value);
    }
    message
}

fn is_chosen(field: &FieldDescriptor, choice: usize) -> bool {
    field.containing_oneof().is_none_or(|oneof| {
        let members: Vec<_> = oneof.fields().collect();
        members[choice % members.len()] == *field
    })
}

fn fill_field(field: &FieldDescriptor, choice: usize, planted: &mut Planted) -> Value {
    let canary = format!("canary-{}-{choice}", field.full_name());
    match field.kind() {
        Kind::Message(inner) => Value::Message(fill(&inner, choice, planted)),
        Kind::Enum(_) => Value::EnumNumber(1),
        Kind::Bool => Value::Bool(true),
        Kind::Int32 => Value::I32(7),
        Kind::String if is_marked(field) => {
            planted.canaries.push(canary.clone());
            Value::String(canary)
        }
        Kind::String => {
            planted.plain += 1;
            Value::String(PLAIN.to_owned())
        }
        Kind::Bytes if is_marked(field) => {
            let numbers: Vec<_> = canary.bytes().map(|byte| byte.to_string()).collect();
            planted.canaries.extend([canary.clone(), numbers.join(",")]);
            Value::Bytes(canary.into_bytes().into())
        }
        other => panic!("{}: say how to fill a field of kind {other:?}", field.full_name()),
    }
}

/// R53: no canary in any message, at any depth, in either form of `Debug`; unmarked fields stay visible.
#[test]
fn debug_shows_no_marked_field_of_any_message() {
    let mut met = BTreeSet::new();
    for (name, show) in CARRIERS {
        let descriptor = descriptor_pool()
            .get_message_by_name(&format!("countersign.v1.{name}"))
            .unwrap_or_else(|| panic!("{name} is not in the contract"));
        for choice in 0..12 {
            let mut planted = Planted::default();
            let filled = fill(&descriptor, choice, &mut planted);
            for shown in show(&filled.encode_to_vec()) {
                let shown: String = shown.split_whitespace().collect();
                for canary in &planted.canaries {
                    assert!(!shown.contains(canary.as_str()), "{name} shows {canary}:\n{shown}");
                }
                assert_eq!(shown.contains("[redacted]"), !planted.canaries.is_empty(), "{name}:\n{shown}");
                assert_eq!(shown.matches(PLAIN).count(), planted.plain, "{name}:\n{shown}");
            }
            met.extend(planted.canaries.iter().map(|canary| canary.replace(&format!("-{choice}"), "")));
        }
    }
    for field in contract_messages().flat_map(|message| message.fields().collect::<Vec<_>>()) {
        let met = met.contains(&format!("canary-{}", field.full_name()));
        assert_eq!(met, is_marked(&field), "{} was never planted", field.full_name());
    }
}

/// R53: a message that carries a secret and is not listed would be tested by nothing.
#[test]
fn every_message_that_carries_a_secret_is_listed() {
    let listed: BTreeSet<_> = CARRIERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let carriers: BTreeSet<_> =
        contract_messages().filter(carries_secret).map(|message| message.name().to_owned()).collect();
    assert_eq!(listed, carriers, "bring CARRIERS up to date");
}

/// R53: a field named like a secret is marked, and so is each field of bytes.
#[test]
fn fields_named_like_secrets_are_marked() {
    for field in contract_messages().flat_map(|message| message.fields().collect::<Vec<_>>()) {
        let textual = matches!(field.kind(), Kind::String | Kind::Bytes);
        let secret = SECRET_NAMES.contains(&field.name()) || field.kind() == Kind::Bytes;
        assert!(!(textual && secret) || is_marked(&field), "{} carries a secret", field.full_name());
    }
}

/// R53: an unset secret is worth seeing when something is looked for, and hides nothing.
#[test]
fn an_unset_marked_field_shows_as_empty() {
    let shown = format!("{:?}", v1::ClientContext::default());
    assert!(shown.contains("remembered_client_token: \"\""), "{shown}");
    let locked = format!("{:?}", v1::LockedOut::default());
    assert!(locked.contains("challenge: None"), "{locked}");
}

/// R53: hiding a secret must not hide what a request was about: enums by name, the oneof's member.
#[test]
fn a_redacting_debug_names_enums_and_the_chosen_member() {
    let request = v1::BeginTotpEnrollmentRequest {
        authority: Some(v1::begin_totp_enrollment_request::Authority::EnrollmentTicket("t-1".to_owned())),
        qr_formats: vec![v1::QrFormat::Png.into()],
        ..Default::default()
    };
    let shown = format!("{request:?}");
    assert!(shown.contains("authority: Some(EnrollmentTicket([redacted]))"), "{shown}");
    assert!(shown.contains("qr_formats: [Png]"), "{shown}");
}
