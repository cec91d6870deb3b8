//! `countersign events`: the log of a tenant, for people and for programs. It reads the database, where an operator is
//! and no caller; services follow the log with `WatchEvents`.

use super::opened::Opened;
use super::{instant, print, rfc3339};
use crate::cli::TailArgs;
use crate::failure::Failure;
use crate::problem::Problem;
use crate::stores::Stores;
use countersign_domain::actor::Principal;
use countersign_domain::event::EventType;
use countersign_domain::ids::{TenantId, UserId};
use countersign_ports::{EventQuery, EventRecord, Look};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Events read at once.
const PAGE: u32 = 200;
/// How long a new event waits at most before it is printed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Prints events until there are no more, or for ever.
pub(super) async fn tail(args: TailArgs) -> Result<(), Failure> {
    let mut query = query(&args)?;
    let Opened { stores, .. } = Opened::open(&args.store).await?;
    require_log(&stores, &query).await?;
    if args.from == "now" {
        query.after = stores.events.head(&query.tenant).await?;
    }
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // Asked before: what it is past is past us too, where a look was through.
        let head = stores.events.head(&query.tenant).await?;
        let Look { events: page, stopped_at } = stores.events.look(&query).await?;
        // Asked afterwards: what was dropped while the page was read is known by now.
        let floor = stores.events.floor(&query.tenant).await?;
        if query.after.is_some_and(|after| floor.is_some_and(|floor| after < floor)) {
            return Err(Failure::Found(vec![
                "events were dropped by retention before they were read".to_owned(),
            ]));
        }
        for event in &page {
            print(&if args.json { json(&event.record)? } else { line(&event.record) })?;
        }
        let is_all = page.len() < PAGE as usize && stopped_at.is_none();
        let reached = if is_all { head } else { stopped_at };
        query.after = page.last().map(|event| event.position).max(reached).max(query.after);
        if is_all {
            if args.once {
                return Ok(());
            }
            looks.tick().await;
        }
    }
}

/// Which events are asked for.
fn query(args: &TailArgs) -> Result<EventQuery, Failure> {
    let tenant =
        TenantId::parse(&args.tenant).map_err(|error| Problem::new("--tenant", error.to_string()))?;
    let user = args.user.as_deref().map(UserId::parse).transpose();
    let user = user.map_err(|error| Problem::new("--user", error.to_string()))?;
    let mut kinds = Vec::new();
    for name in &args.types {
        let kind = EventType::from_name(name);
        let fix =
            || Problem::new("--type", format!("{name} is no type of event; write one such as LOGIN_REFUSED"));
        kinds.push(kind.ok_or_else(fix)?);
    }
    let start_time = match args.from.as_str() {
        "now" | "oldest" => None,
        time => Some(instant("--from", time)?),
    };
    Ok(EventQuery { tenant, user, kinds, start_time, end_time: None, after: None, limit: PAGE })
}

/// A tenant that was never there is a mistake; a deleted one has a log.
async fn require_log(stores: &Stores, query: &EventQuery) -> Result<(), Failure> {
    let there = stores.policies.policy(&query.tenant, None).await?.is_some()
        || stores.events.head(&query.tenant).await?.is_some();
    if there { Ok(()) } else { Err(Problem::new("--tenant", "does not exist; look at its spelling").into()) }
}

/// An event as the contract names its fields. No token, code or key ever is in one.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
struct Event<'a> {
    event_id: String,
    r#type: &'static str,
    event_time: String,
    tenant_id: &'a str,
    user_id: &'a str,
    actor: Actor<'a>,
    caller: &'a str,
    client: Client<'a>,
    authenticator_id: String,
    authenticator_type: &'static str,
    details: BTreeMap<&'a str, &'a str>,
    policy_revision: u32,
    request_id: String,
    trace_id: &'a str,
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
    language_code: &'a str,
}

fn actor(principal: &Principal) -> Actor<'_> {
    match principal {
        Principal::User(user) => Actor::UserId(user.as_str()),
        Principal::Operator(name) => Actor::Operator(name),
        Principal::Job(name) => Actor::Job(name),
    }
}

fn json(record: &EventRecord) -> Result<String, Failure> {
    let event = &record.event;
    let told = Event {
        event_id: record.id.to_string(),
        r#type: event.kind.name(),
        event_time: rfc3339(record.time),
        tenant_id: record.tenant.as_str(),
        user_id: record.user.as_ref().map_or("", UserId::as_str),
        actor: actor(&record.actor.principal),
        caller: record.caller.as_str(),
        client: Client {
            ip_address: &record.client.ip_address,
            user_agent: &record.client.user_agent,
            application: &record.client.application,
            language_code: &record.client.language_code,
        },
        authenticator_id: event.authenticator.map(|(id, _)| id.to_string()).unwrap_or_default(),
        authenticator_type: event.authenticator.map_or("", |(_, kind)| kind.name()),
        details: event.details.iter().map(|(name, value)| (&**name, value.as_str())).collect(),
        policy_revision: record.policy_revision.0,
        request_id: record.request_id.map(|id| id.to_string()).unwrap_or_default(),
        trace_id: &record.trace_id,
    };
    let text = serde_json::to_string(&told).map_err(|error| Failure::Internal(error.to_string()))?;
    Ok(format!("{text}\n"))
}

/// A line for people. Words of others are quoted, so that no character of theirs moves the terminal's cursor.
fn line(record: &EventRecord) -> String {
    let event = &record.event;
    let mut words = vec![rfc3339(record.time), event.kind.name().to_owned()];
    if let Some(user) = &record.user {
        words.push(format!("user {}", user.as_str()));
    }
    match &record.actor.principal {
        Principal::User(user) if Some(user) == record.user.as_ref() => {}
        Principal::User(user) => words.push(format!("by user {}", user.as_str())),
        Principal::Operator(name) => words.push(format!("by operator {name:?}")),
        Principal::Job(name) => words.push(format!("by job {name:?}")),
    }
    if let Some((id, kind)) = event.authenticator {
        words.push(format!("{} {id}", kind.name()));
    }
    words.extend(event.details.iter().map(|(name, value)| format!("{name}={value:?}")));
    if !record.client.ip_address.is_empty() {
        words.push(format!("from {:?}", record.client.ip_address));
    }
    words.push(format!("event {}\n", record.id));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_testkit::{SeededRandom, fixtures};
    use std::collections::BTreeSet;

    /// R55: what is printed has every field of the contract, and no other.
    #[test]
    fn an_event_is_printed_whole() {
        let user = fixtures::user("acme", "ann");
        let record = fixtures::event_record(&SeededRandom::new(7), &user, EventType::LoginAllowed);
        let printed: serde_json::Value = serde_json::from_str(&json(&record).unwrap()).unwrap();
        let names = |object: &serde_json::Value| object.as_object().unwrap().keys().cloned().collect();
        for (name, object) in [("SecurityEvent", &printed), ("RecordedClient", &printed["client"])] {
            let message = format!("countersign.v1.{name}");
            let message = countersign_api::descriptor_pool().get_message_by_name(&message).unwrap();
            let fields: BTreeSet<String> = message.fields().map(|field| field.name().to_owned()).collect();
            let printed: BTreeSet<String> = names(object);
            assert_eq!(printed, fields);
        }
    }
}
