//! Where a run begins: plain conversations, written here as JSON and kept as bytes in `seeds/requests`.
//! `COUNTERSIGN_FUZZ_SEEDS=FOLDER` has them written into a folder.

use crate::conversation::{Call, Conversation, METHODS};
use prost::Message as _;
use prost_reflect::DynamicMessage;
use serde_json::{Value, json};

/// Half a minute later, so that the app shows another code.
const LATER: u8 = 2 << 5;
/// The time at which every conversation begins.
const NOW: &str = "2026-01-15T08:00:00Z";

pub fn write_where_asked() {
    let Some(folder) = std::env::var_os("COUNTERSIGN_FUZZ_SEEDS") else { return };
    let folder = std::path::PathBuf::from(folder);
    for (name, preset, calls) in conversations() {
        let calls = calls.iter().map(|(who, method, message)| call(*who, method, message)).collect();
        let bytes = Conversation { preset, calls }.write();
        std::fs::write(folder.join(name), bytes).expect("a folder to write to");
    }
    std::process::exit(0);
}

fn call(who: u8, method: &str, message: &Value) -> Call {
    let at = METHODS.iter().position(|known| known.name() == method).expect("a method of the contract");
    let message =
        DynamicMessage::deserialize(METHODS[at].input(), message).expect("a message of that method");
    Call { who, method: u8::try_from(at).expect("few methods"), message: message.encode_to_vec() }
}

fn first_factor() -> Value {
    json!({"method": "FIRST_FACTOR_METHOD_PASSWORD", "verifyTime": NOW, "amr": ["pwd"]})
}

fn ann() -> Value {
    json!({"userId": "ann", "firstFactor": first_factor(), "client": client()})
}

fn operator() -> Value {
    json!({"operator": "ops", "permissions": ["users.view", "users.disable-two-factor"]})
}

fn client() -> Value {
    json!({"ipAddress": "192.0.2.7", "userAgent": "Browser/1", "application": "web", "languageCode": "en"})
}

/// A message about ann with these fields as well.
fn about(more: Value) -> Value {
    let mut message = json!({"tenantId": "acme", "userId": "ann"});
    for (key, value) in more.as_object().expect("fields") {
        message[key] = value.clone();
    }
    message
}

fn id(number: u8) -> String {
    format!("01890a5d-ac96-774b-bcce-b302099a80{number:02}")
}

type Told = (u8, &'static str, Value);

/// Ann gets an app.
fn enrolled() -> Vec<Told> {
    let begin = json!({"actor": ann(), "accountLabel": "ann@example.com", "requestId": id(1)});
    let confirm = json!({"actor": ann(), "enrollmentId": "@enrollment_id", "proof": {"code": "@code"}, "requestId": id(2)});
    vec![(0, "BeginTotpEnrollment", about(begin)), (0, "ConfirmEnrollment", about(confirm))]
}

fn check(more: Value) -> Value {
    let mut message =
        about(json!({"firstFactor": first_factor(), "client": client(), "purpose": "LOGIN_PURPOSE_LOGIN"}));
    for (key, value) in more.as_object().expect("fields") {
        message[key] = value.clone();
    }
    message
}

/// Ann gets an app, and then these calls.
fn after(calls: Vec<Told>) -> Vec<Told> {
    enrolled().into_iter().chain(calls).collect()
}

fn conversations() -> Vec<(&'static str, u8, Vec<Told>)> {
    let code = || json!({"code": "@code"});
    let acting = || about(json!({"actor": ann()}));
    let on_member = || about(json!({"actor": operator(), "justification": "lost phone"}));
    let user = json!({
        "userId": "ann", "accountLabel": "ann@example.com", "email": "ann@example.com", "languageCode": "en",
        "teams": [{"teamId": "blue", "role": "TEAM_ROLE_MANAGER"}], "groups": ["staff"],
    });
    let paged = |more: Value| {
        let mut message = json!({"tenantId": "acme", "pageSize": 1, "pageToken": "@next_page_token"});
        for (key, value) in more.as_object().expect("fields") {
            message[key] = value.clone();
        }
        message
    };
    vec![
        (
            "login",
            0,
            after(vec![
                (0, "CheckLogin", check(json!({}))),
                (
                    LATER,
                    "AnswerChallenge",
                    json!({"challenge": "@challenge", "answer": code(), "requestId": id(3)}),
                ),
                (LATER, "CheckLogin", check(json!({"answer": code(), "requestId": id(4)}))),
                (
                    3,
                    "CheckLogin",
                    check(json!({"answer": {"code": "123 456"}, "purpose": "LOGIN_PURPOSE_STEP_UP"})),
                ),
                (0, "CheckLogin", check(json!({"answer": {"code": "@codes"}}))),
            ]),
        ),
        (
            "remembered",
            2,
            after(vec![
                (LATER, "CheckLogin", check(json!({"answer": code(), "rememberClient": true}))),
                (
                    0,
                    "CheckLogin",
                    check(json!({"client": {"application": "web", "rememberedClientToken": "@token"}})),
                ),
                (0, "ListRememberedClients", acting()),
                (
                    0,
                    "RevokeRememberedClients",
                    about(json!({"actor": ann(), "clientIds": ["@client_id"], "requestId": id(3)})),
                ),
            ]),
        ),
        (
            "ticket",
            2,
            vec![
                (
                    0,
                    "CreateTenant",
                    json!({"tenantId": "other", "preset": "mandatory-managed", "requiredFromTime": NOW, "actor": operator()}),
                ),
                (
                    0,
                    "CheckLogin",
                    json!({"tenantId": "other", "userId": "bob", "firstFactor": first_factor(), "purpose": "LOGIN_PURPOSE_LOGIN"}),
                ),
                (
                    0,
                    "BeginTotpEnrollment",
                    json!({"tenantId": "other", "userId": "bob", "enrollmentTicket": "@enrollment_ticket", "accountLabel": "bob", "qrFormats": ["QR_FORMAT_SVG"], "qrModulePixels": 4}),
                ),
                (
                    0,
                    "ConfirmEnrollment",
                    json!({"tenantId": "other", "userId": "bob", "enrollmentTicket": "@enrollment_ticket", "enrollmentId": "@enrollment_id", "proof": code(), "displayName": "phone"}),
                ),
            ],
        ),
        (
            "own",
            0,
            after(vec![
                (0, "GetStatus", acting()),
                (
                    0,
                    "RenameAuthenticator",
                    about(
                        json!({"actor": ann(), "authenticatorId": "@authenticator_id", "displayName": "work phone"}),
                    ),
                ),
                (
                    LATER,
                    "GenerateRecoveryCodes",
                    about(json!({"actor": ann(), "proof": code(), "requestId": id(3)})),
                ),
                (
                    LATER,
                    "RemoveAuthenticator",
                    about(
                        json!({"actor": ann(), "authenticatorId": "@authenticator_id", "proof": code(), "etag": "@etag"}),
                    ),
                ),
                (0, "RequestReset", about(json!({"actor": ann(), "reason": "new phone"}))),
            ]),
        ),
        (
            "off",
            1,
            after(vec![
                (0, "DisableTwoFactor", about(json!({"actor": ann(), "validateOnly": true}))),
                (
                    LATER,
                    "DisableTwoFactor",
                    about(json!({"actor": ann(), "proof": code(), "requestId": id(3)})),
                ),
            ]),
        ),
        (
            "telephone",
            1,
            vec![
                (
                    0,
                    "BeginSmsEnrollment",
                    about(json!({"actor": ann(), "phoneNumber": "+5511987654321", "requestId": id(1)})),
                ),
                (
                    0,
                    "ConfirmEnrollment",
                    about(
                        json!({"actor": ann(), "enrollmentId": "@enrollment_id", "proof": {"code": "123456"}}),
                    ),
                ),
                (0, "CheckLogin", check(json!({}))),
                (
                    0,
                    "SendChallengeCode",
                    json!({"challenge": "@challenge", "authenticatorId": "@authenticator_id"}),
                ),
            ],
        ),
        (
            "key",
            1,
            after(vec![
                (
                    0,
                    "BeginSecurityKeyEnrollment",
                    about(json!({"actor": ann(), "accountLabel": "ann", "proof": code()})),
                ),
                (
                    0,
                    "ConfirmEnrollment",
                    about(
                        json!({"actor": ann(), "enrollmentId": "@enrollment_id", "proof": {"webauthnCredentialJson": "{\"id\":\"Bw\",\"rawId\":\"Bw\",\"type\":\"public-key\",\"response\":{}}"}}),
                    ),
                ),
            ]),
        ),
        (
            "team",
            3,
            after(vec![
                (
                    0,
                    "PutUser",
                    json!({"tenantId": "acme", "user": user, "actor": operator(), "requestId": id(3)}),
                ),
                (
                    0,
                    "ListStatuses",
                    paged(
                        json!({"actor": operator(), "filter": {"states": ["TWO_FACTOR_STATE_ON"], "teamId": "blue"}}),
                    ),
                ),
                (0, "DisableMember", on_member()),
                (0, "ResetMember", on_member()),
                (0, "UnlockMember", on_member()),
                (0, "IssueEnrollmentTicket", on_member()),
            ]),
        ),
        (
            "seeing",
            2,
            vec![
                (
                    0,
                    "BatchGetStatuses",
                    json!({"tenantId": "acme", "userIds": ["ann", "bob"], "actor": operator()}),
                ),
                (0, "GetCoverage", json!({"tenantId": "acme", "atTime": NOW, "actor": operator()})),
                (0, "ListResetRequests", paged(json!({"teamId": "blue", "actor": operator()}))),
                (0, "ListTenants", json!({"pageSize": 1})),
                (0, "ListTenants", json!({"pageSize": 1, "pageToken": "@next_page_token"})),
            ],
        ),
        (
            "directory",
            4,
            vec![
                (
                    0,
                    "BatchPutUsers",
                    json!({"tenantId": "acme", "users": [user, {"userId": "bob"}], "actor": operator(), "requestId": id(1)}),
                ),
                (0, "GetUser", about(json!({}))),
                (0, "ReportFirstFactorChanged", about(json!({"changeTime": NOW, "actor": operator()}))),
                (0, "EraseUser", about(json!({"actor": operator(), "requestId": id(2)}))),
            ],
        ),
        (
            "policy",
            0,
            vec![
                (0, "GetPolicy", json!({"tenantId": "acme"})),
                (
                    0,
                    "UpdatePolicy",
                    json!({"tenantId": "acme", "policy": {"etag": "@etag", "challenge": {"mode": "CHALLENGE_MODE_NEW_CLIENT", "rememberDuration": "86400s", "maxRememberedClients": 3}}, "updateMask": "challenge", "actor": operator(), "requestId": id(1)}),
                ),
                (0, "ListPolicyRevisions", paged(json!({}))),
                (0, "ListPolicyPresets", json!({"pageSize": 2})),
                (
                    0,
                    "Explain",
                    about(
                        json!({"login": {"firstFactor": first_factor(), "client": client(), "purpose": "LOGIN_PURPOSE_LOGIN"}, "atTime": NOW, "actor": operator()}),
                    ),
                ),
                (0, "Explain", about(json!({"action": "ACTION_DISABLE"}))),
                (0, "DeleteTenant", json!({"tenantId": "acme", "etag": "@etag", "actor": operator()})),
            ],
        ),
        (
            "events",
            0,
            after(vec![
                (
                    0,
                    "ListEvents",
                    json!({"tenantId": "acme", "pageSize": 1, "filter": {"userId": "ann"}, "startTime": NOW}),
                ),
                (
                    0,
                    "ListEvents",
                    json!({"tenantId": "acme", "pageSize": 1, "filter": {"userId": "ann"}, "startTime": NOW, "pageToken": "@next_page_token"}),
                ),
                (
                    0,
                    "WatchEvents",
                    json!({"tenantId": "acme", "resumeToken": "@resume_token", "checkpointInterval": "10s"}),
                ),
                (4, "ListEvents", json!({"tenantId": "acme"})),
                (1, "ListEvents", json!({"tenantId": "acme"})),
            ]),
        ),
    ]
}
