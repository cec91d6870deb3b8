//! The body of a request. Its fields are a contract with receivers, written down in `docs/operations/notices.md`: they
//! may be added to, not changed.

use crate::letter::Rendered;
use countersign_domain::actor::Principal;
use countersign_domain::time::Timestamp;
use countersign_ports::Letter;
use serde::Serialize;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[derive(Serialize)]
struct Payload<'a> {
    r#type: &'static str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    notice_id: String,
    tenant_id: &'a str,
    user_id: &'a str,
    email: &'a str,
    language_code: &'a str,
    event: Event<'a>,
    letter: LetterText<'a>,
    service: &'a str,
    support_contact: &'a str,
    advice_url: &'a str,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the payload, which are those of the contract")]
struct Event<'a> {
    event_id: String,
    r#type: &'static str,
    event_time: String,
    actor: Actor<'a>,
    client: Client<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authenticator: Option<Authenticator>,
    details: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Actor<'a> {
    UserId(&'a str),
    Operator(&'a str),
    Job(&'a str),
}

#[derive(Serialize)]
struct Client<'a> {
    ip_address: &'a str,
    user_agent: &'a str,
    application: &'a str,
}

#[derive(Serialize)]
struct Authenticator {
    authenticator_id: String,
    r#type: &'static str,
}

#[derive(Serialize)]
struct LetterText<'a> {
    language: &'static str,
    subject: &'a str,
    plain: &'a str,
    html: &'a str,
}

/// The body of the notice's request, as JSON.
pub(super) fn encode(letter: &Letter, rendered: &Rendered) -> Result<Vec<u8>, serde_json::Error> {
    let (notice, event) = (&letter.entry.notice, &letter.entry.event);
    let actor = match &event.actor.principal {
        Principal::User(id) => Actor::UserId(id.as_str()),
        Principal::Operator(name) => Actor::Operator(name),
        Principal::Job(name) => Actor::Job(name),
    };
    let authenticator = event
        .event
        .authenticator
        .map(|(id, kind)| Authenticator { authenticator_id: id.to_string(), r#type: kind.name() });
    let told = Event {
        event_id: event.id.to_string(),
        r#type: event.event.kind.name(),
        event_time: rfc3339(event.time),
        actor,
        client: Client {
            ip_address: &event.client.ip_address,
            user_agent: &event.client.user_agent,
            application: &event.client.application,
        },
        authenticator,
        details: event.event.details.iter().map(|(name, value)| (&**name, value.as_str())).collect(),
    };
    serde_json::to_vec(&Payload {
        r#type: "countersign.notice",
        timestamp: rfc3339(notice.create_time),
        data: Data {
            notice_id: notice.id.0.to_string(),
            tenant_id: event.tenant.as_str(),
            user_id: notice.user.as_str(),
            email: &notice.email,
            language_code: &notice.language_code,
            event: told,
            letter: LetterText {
                language: rendered.language,
                subject: &rendered.subject,
                plain: &rendered.plain,
                html: &rendered.html,
            },
            service: &letter.service,
            support_contact: &letter.support_contact,
            advice_url: &letter.advice_url,
        },
    })
}

/// The time as in RFC 3339; empty for times that no calendar has.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    let nanos = i128::from(time.unix_micros()) * 1_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}
