//! Conversations in which something is refused, each call for one reason.

use super::super::answered;
use super::super::conversation::{Call, Conversation};
use super::{Conversed, acting, after, check, code, id, later, method, now, operator};
use crate::Seed;
use serde_json::json;

/// A group that never ends, a length beyond the end, and a text that is no UTF-8.
pub(super) fn no_message() -> Seed {
    let messages = [vec![0x0b], vec![0x0a, 0x7f, b'a'], vec![0x0a, 1, 0xff]];
    let call = |message| Call { who: 0, method: method("CheckLogin"), message };
    let calls: Vec<_> = messages.into_iter().map(call).collect();
    let taken_for = vec![answered("CheckLogin", Some("REQUEST_MALFORMED")).into(); calls.len()];
    Seed { name: "near-no-message".to_owned(), bytes: Conversation { preset: 0, calls }.write(), taken_for }
}

/// Calls of everybody who may not: elsewhere, nobody, a stranger, and somebody with another scope.
pub(super) fn without_grants() -> Conversed {
    let events = json!({"tenantId": "acme"});
    let calls = vec![
        (4, "ListEvents", events.clone()),
        (1, "ListEvents", events.clone()),
        (2, "ListEvents", events.clone()),
        (3, "ListEvents", events),
        (4, "CheckLogin", check(&json!({}))),
    ];
    (
        "near-no-grant",
        0,
        calls,
        vec![
            (0, "CALLER_TENANT_DENIED"),
            (1, "CALLER_CREDENTIALS_MISSING"),
            (2, "CALLER_CREDENTIALS_INVALID"),
            (3, "CALLER_SCOPE_MISSING"),
            (4, "CALLER_TENANT_DENIED"),
        ],
    )
}

/// One field after the other that is not as it must be.
pub(super) fn malformed() -> Conversed {
    let calls = vec![
        now("CheckLogin", check(&json!({"tenantId": "Acme"}))),
        now("CheckLogin", check(&json!({"userId": ""}))),
        now("CheckLogin", check(&json!({"requestId": "7"}))),
        now("CheckLogin", check(&json!({"purpose": 9}))),
        now("CheckLogin", check(&json!({"answer": {"code": "12345"}}))),
        now("ListEvents", json!({"tenantId": "acme", "pageSize": -1})),
        now("ListEvents", json!({"tenantId": "acme", "pageToken": "AAAA"})),
        now(
            "UpdatePolicy",
            json!({"tenantId": "acme", "policy": {"lockout": {}}, "updateMask": "lockdown", "actor": operator()}),
        ),
    ];
    let reason = |at| if at == 6 { "PAGE_TOKEN_INVALID" } else { "FIELD_INVALID" };
    let refused = (0..calls.len()).map(|at| (at, reason(at))).collect();
    ("near-malformed", 0, calls, refused)
}

/// Codes that are wrong, until no more are looked at.
pub(super) fn wrong_codes() -> Conversed {
    let calls = (0..6).map(|at| now("CheckLogin", check(&json!({"answer": {"code": format!("00000{at}")}}))));
    ("near-wrong-codes", 0, after(calls.collect()), vec![])
}

/// Ids of requests, challenges, enrollments and tags that were good for something else, or once.
pub(super) fn stale() -> Conversed {
    let week = 6 << 5;
    let confirm = json!({"enrollmentId": "@enrollment_id", "proof": code(), "requestId": id(7)});
    let calls = vec![
        later("CheckLogin", check(&json!({"answer": code(), "requestId": id(3)}))),
        now("CheckLogin", check(&json!({"answer": {"code": "123456"}, "requestId": id(3)}))),
        now("CheckLogin", check(&json!({}))),
        (week, "AnswerChallenge", json!({"challenge": "@challenge", "answer": code(), "requestId": id(4)})),
        now("ConfirmEnrollment", acting(&confirm)),
        now("DeleteTenant", json!({"tenantId": "acme", "etag": "stale", "actor": operator()})),
    ];
    (
        "near-stale",
        0,
        after(calls),
        vec![
            (3, "REQUEST_ID_REUSED"),
            (5, "CHALLENGE_INVALID"),
            (6, "ENROLLMENT_EXPIRED"),
            (7, "ETAG_MISMATCH"),
        ],
    )
}
