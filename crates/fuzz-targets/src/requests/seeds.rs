//! Where a run begins: plain conversations, written as JSON, with every method of the contract among them.

mod near;

use super::answered;
use super::conversation::{Call, Conversation, METHODS};
use crate::Seed;
use prost::Message as _;
use prost_reflect::DynamicMessage;
use serde_json::{Value, json};

/// Half a minute later, so that the app shows another code.
const LATER: u8 = 2 << 5;
/// The time at which every conversation begins.
const NOW: &str = "2026-01-15T08:00:00Z";

/// The conversations, and calls with bytes that are no message.
pub fn seeds() -> Vec<Seed> {
    let mut seeds: Vec<_> = conversations().into_iter().map(seed).collect();
    seeds.push(near::no_message());
    seeds
}

fn seed((name, preset, calls, refused): Conversed) -> Seed {
    let taken_for = calls.iter().enumerate().map(|(at, (_, method, _))| {
        let reason = refused.iter().find(|(refused, _)| *refused == at).map(|(_, reason)| *reason);
        answered(method, reason).into()
    });
    let taken_for = taken_for.collect();
    let calls = calls.iter().map(|(who, method, message)| call(*who, method, message)).collect();
    Seed { name: name.to_owned(), bytes: Conversation { preset, calls }.write(), taken_for }
}

fn method(name: &str) -> u8 {
    let at = METHODS.iter().position(|known| known.name() == name).expect("a method of the contract");
    u8::try_from(at).expect("few methods")
}

fn call(who: u8, name: &str, message: &Value) -> Call {
    let method = method(name);
    let input = METHODS[usize::from(method)].input();
    let message = DynamicMessage::deserialize(input, message).expect("a message of that method");
    Call { who, method, message: message.encode_to_vec() }
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

fn id(number: u8) -> String {
    format!("01890a5d-ac96-774b-bcce-b302099a80{number:02}")
}

/// Who says it, what is called, and with which message.
type Told = (u8, &'static str, Value);

/// A name, the tenant's preset, the calls, and which of them are refused and why.
type Conversed = (&'static str, u8, Vec<Told>, Vec<(usize, &'static str)>);

const fn now(method: &'static str, message: Value) -> Told {
    (0, method, message)
}

const fn later(method: &'static str, message: Value) -> Told {
    (LATER, method, message)
}

/// These fields as well.
fn with(mut message: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().expect("fields") {
        message[key] = value.clone();
    }
    message
}

/// A message about ann with these fields as well.
fn about(more: &Value) -> Value {
    with(json!({"tenantId": "acme", "userId": "ann"}), more)
}

fn acting(more: &Value) -> Value {
    with(about(&json!({"actor": ann()})), more)
}

fn on_member() -> Value {
    about(&json!({"actor": operator(), "justification": "lost phone"}))
}

fn check(more: &Value) -> Value {
    let login = json!({"firstFactor": first_factor(), "client": client(), "purpose": "LOGIN_PURPOSE_LOGIN"});
    with(about(&login), more)
}

fn paged(more: &Value) -> Value {
    with(json!({"tenantId": "acme", "pageSize": 1, "pageToken": "@next_page_token"}), more)
}

fn code() -> Value {
    json!({"code": "@code"})
}

fn user() -> Value {
    json!({
        "userId": "ann", "accountLabel": "ann@example.com", "email": "ann@example.com", "languageCode": "en",
        "teams": [{"teamId": "blue", "role": "TEAM_ROLE_MANAGER"}], "groups": ["staff"],
    })
}

/// Ann gets an app, and then these calls.
fn after(calls: Vec<Told>) -> Vec<Told> {
    let label = json!({"accountLabel": "ann@example.com", "requestId": id(1)});
    let confirm = json!({"enrollmentId": "@enrollment_id", "proof": code(), "requestId": id(2)});
    let enrolled = [now("BeginTotpEnrollment", acting(&label)), now("ConfirmEnrollment", acting(&confirm))];
    enrolled.into_iter().chain(calls).collect()
}

fn conversations() -> Vec<Conversed> {
    vec![
        login(),
        remembered(),
        ticket(),
        own(),
        off(),
        telephone(),
        key(),
        team(),
        delegated(),
        seeing(),
        directory(),
        policy(),
        events(),
        near::without_grants(),
        near::malformed(),
        near::wrong_codes(),
        near::stale(),
    ]
}

fn login() -> Conversed {
    let calls = vec![
        now("CheckLogin", check(&json!({}))),
        later("AnswerChallenge", json!({"challenge": "@challenge", "answer": code(), "requestId": id(3)})),
        later("CheckLogin", check(&json!({"answer": code(), "requestId": id(4)}))),
        (3, "CheckLogin", check(&json!({"answer": {"code": "123 456"}, "purpose": "LOGIN_PURPOSE_STEP_UP"}))),
        now("CheckLogin", check(&json!({"answer": {"code": "@codes"}}))),
    ];
    ("login", 0, after(calls), vec![])
}

fn remembered() -> Conversed {
    let token = json!({"client": {"application": "web", "rememberedClientToken": "@token"}});
    let calls = vec![
        later("CheckLogin", check(&json!({"answer": code(), "rememberClient": true}))),
        now("CheckLogin", check(&token)),
        now("ListRememberedClients", acting(&json!({}))),
        now("RevokeRememberedClients", acting(&json!({"clientIds": ["@client_id"], "requestId": id(3)}))),
        now("RequestReset", acting(&json!({"reason": "new phone"}))),
    ];
    ("remembered", 2, after(calls), vec![])
}

fn ticket() -> Conversed {
    let bob = |more: &Value| with(json!({"tenantId": "other", "userId": "bob"}), more);
    let preset = json!({"tenantId": "other", "preset": "mandatory-managed", "requiredFromTime": NOW, "actor": operator()});
    let begin = json!({"enrollmentTicket": "@enrollment_ticket", "accountLabel": "bob", "qrFormats": ["QR_FORMAT_SVG"], "qrModulePixels": 4});
    let confirm = json!({"enrollmentTicket": "@enrollment_ticket", "enrollmentId": "@enrollment_id", "proof": code(), "displayName": "phone"});
    let calls = vec![
        now("CreateTenant", preset),
        now("CheckLogin", bob(&json!({"firstFactor": first_factor(), "purpose": "LOGIN_PURPOSE_LOGIN"}))),
        now("BeginTotpEnrollment", bob(&begin)),
        now("ConfirmEnrollment", bob(&confirm)),
    ];
    ("ticket", 2, calls, vec![])
}

fn own() -> Conversed {
    let this = |more: &Value| with(acting(&json!({"authenticatorId": "@authenticator_id"})), more);
    let calls = vec![
        now("RenameAuthenticator", this(&json!({"displayName": "work phone"}))),
        later("GenerateRecoveryCodes", acting(&json!({"proof": code(), "requestId": id(3)}))),
        later("CheckLogin", check(&json!({"answer": {"code": "@codes"}}))),
        now("GetStatus", acting(&json!({}))),
        later("RemoveAuthenticator", this(&json!({"proof": code(), "etag": "@etag"}))),
    ];
    ("own", 0, after(calls), vec![])
}

fn off() -> Conversed {
    let calls = vec![
        now("DisableTwoFactor", acting(&json!({"validateOnly": true}))),
        later("DisableTwoFactor", acting(&json!({"proof": code(), "requestId": id(3)}))),
    ];
    ("off", 1, after(calls), vec![])
}

fn telephone() -> Conversed {
    let begin = json!({"phoneNumber": "+5511987654321", "requestId": id(1)});
    let confirm = json!({"enrollmentId": "@enrollment_id", "proof": {"code": "@sms"}});
    let send = json!({"challenge": "@challenge", "authenticatorId": "@authenticator_id"});
    let calls = vec![
        now("BeginSmsEnrollment", acting(&begin)),
        now("ConfirmEnrollment", acting(&confirm)),
        now("CheckLogin", check(&json!({}))),
        (3 << 5, "SendChallengeCode", send),
        now("AnswerChallenge", json!({"challenge": "@challenge", "answer": {"code": "@sms"}})),
    ];
    ("telephone", 1, calls, vec![])
}

fn key() -> Conversed {
    let credential = |made: &str| json!({"webauthnCredentialJson": made});
    let confirm = json!({"enrollmentId": "@enrollment_id", "proof": credential("@made")});
    let calls = vec![
        later("BeginSecurityKeyEnrollment", acting(&json!({"accountLabel": "ann", "proof": code()}))),
        now("ConfirmEnrollment", acting(&confirm)),
        now("CheckLogin", check(&json!({}))),
        now("AnswerChallenge", json!({"challenge": "@challenge", "answer": credential("@signed")})),
    ];
    ("key", 1, after(calls), vec![])
}

fn team() -> Conversed {
    let filter =
        json!({"actor": operator(), "filter": {"states": ["TWO_FACTOR_STATE_ON"], "teamId": "blue"}});
    let put = json!({"tenantId": "acme", "user": user(), "actor": operator(), "requestId": id(3)});
    let calls = vec![
        now("PutUser", put),
        now("ListStatuses", with(paged(&filter), &json!({"pageToken": ""}))),
        now("UnlockMember", on_member()),
        now("ResetMember", on_member()),
        now("DisableMember", on_member()),
    ];
    ("team", 3, after(calls), vec![(6, "TWO_FACTOR_NOT_ENABLED")])
}

/// A tenant whose members get their tickets from operators.
fn delegated() -> Conversed {
    let requirement =
        json!({"mode": "REQUIREMENT_MODE_REQUIRED", "firstEnrollment": "FIRST_ENROLLMENT_MANAGER_TICKET"});
    let rule = |action: &str| json!({"action": action, "grant": "DELEGATION_GRANT_PERMISSIONS", "permissions": ["users.view"]});
    let rules = ["ACTION_ISSUE_TICKET", "ACTION_RESET_MEMBER"].map(rule);
    let policy = json!({
        "requirement": requirement, "delegation": rules, "disable": {"selfService": false},
        "enrollment": {"replace": "REPLACE_MODE_ANY_TIME"},
    });
    let mask = "requirement,delegation,disable.selfService,enrollment.replace";
    let update = json!({"tenantId": "acme", "policy": policy, "updateMask": mask, "actor": operator()});
    let begin = json!({"enrollmentTicket": "@enrollment_ticket", "accountLabel": "ann"});
    let confirm =
        json!({"enrollmentTicket": "@enrollment_ticket", "enrollmentId": "@enrollment_id", "proof": code()});
    let calls = vec![
        now("UpdatePolicy", update),
        now("IssueEnrollmentTicket", on_member()),
        now("BeginTotpEnrollment", about(&begin)),
        now("ConfirmEnrollment", about(&confirm)),
        now("ResetMember", on_member()),
    ];
    ("delegated", 0, calls, vec![])
}

fn seeing() -> Conversed {
    let calls = vec![
        now("BatchGetStatuses", json!({"tenantId": "acme", "userIds": ["ann", "bob"], "actor": operator()})),
        now("GetCoverage", json!({"tenantId": "acme", "atTime": NOW, "actor": operator()})),
        now("ListResetRequests", paged(&json!({"teamId": "blue", "actor": operator()}))),
        now("ListTenants", json!({"pageSize": 1})),
        now("ListTenants", json!({"pageSize": 1, "pageToken": "@next_page_token"})),
    ];
    ("seeing", 2, calls, vec![])
}

fn directory() -> Conversed {
    let users = json!({"tenantId": "acme", "users": [user(), {"userId": "bob"}], "actor": operator(), "requestId": id(1)});
    let calls = vec![
        now("BatchPutUsers", users),
        now("GetUser", about(&json!({}))),
        now("ReportFirstFactorChanged", about(&json!({"changeTime": NOW, "actor": operator()}))),
        now("EraseUser", about(&json!({"actor": operator(), "requestId": id(2)}))),
    ];
    ("directory", 4, calls, vec![])
}

fn policy() -> Conversed {
    let challenge =
        json!({"mode": "CHALLENGE_MODE_NEW_CLIENT", "rememberDuration": "86400s", "maxRememberedClients": 3});
    let update = json!({"tenantId": "acme", "policy": {"etag": "@etag", "challenge": challenge}, "updateMask": "challenge", "actor": operator(), "requestId": id(1)});
    let login = json!({"firstFactor": first_factor(), "client": client(), "purpose": "LOGIN_PURPOSE_LOGIN"});
    let calls = vec![
        now("GetPolicy", json!({"tenantId": "acme"})),
        now("UpdatePolicy", update),
        now("ListPolicyRevisions", paged(&json!({}))),
        now("ListPolicyPresets", json!({"pageSize": 2})),
        now("Explain", about(&json!({"login": login, "atTime": NOW, "actor": operator()}))),
        now("Explain", about(&json!({"action": "ACTION_DISABLE"}))),
        now("DeleteTenant", json!({"tenantId": "acme", "etag": "@etag", "actor": operator()})),
    ];
    ("policy", 0, calls, vec![])
}

fn events() -> Conversed {
    let list = json!({"tenantId": "acme", "pageSize": 1, "filter": {"userId": "ann"}, "startTime": NOW});
    let calls = vec![
        now("ListEvents", list.clone()),
        now("ListEvents", with(list, &json!({"pageToken": "@next_page_token"}))),
        now(
            "WatchEvents",
            json!({"tenantId": "acme", "resumeToken": "@resume_token", "checkpointInterval": "10s"}),
        ),
    ];
    ("events", 0, after(calls), vec![])
}
