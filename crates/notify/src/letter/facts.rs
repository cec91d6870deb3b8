//! What happened to whom, when, from where and by whom, as lines of a letter.

use super::language::{Language, fill};
use super::{MAX_NAME, MAX_TEXT, foreign, shown};
use countersign_domain::actor::Principal;
use countersign_domain::directory::CHANGE_TIME;
use countersign_domain::ids::UserId;
use countersign_domain::time::Timestamp;
use countersign_ports::{EventRecord, Letter};
use time::OffsetDateTime;

/// Details of events that their owner may read; the others are words for machines.
const REASONS: [&str; 2] = ["justification", "reason"];
const CODES_LEFT: &str = "remaining";
/// What made a process act by itself.
const CAUSE: &str = "cause";

/// One line.
pub(super) struct Fact<'a> {
    pub(super) label: &'a str,
    /// Cleaned, not escaped.
    pub(super) value: String,
}

/// Whether somebody else acted, who can be asked. A process tells what its user did elsewhere, such as a new password,
/// unless it had a cause of its own: after a restore no password is in doubt.
pub(super) fn is_someone_else(reader: &UserId, event: &EventRecord) -> bool {
    match &event.actor.principal {
        Principal::User(id) => id != reader,
        Principal::Operator(_) => true,
        Principal::Job(_) => event.event.details.iter().any(|(name, _)| name == CAUSE),
    }
}

/// The facts of the letter; what is not known has no line.
pub(super) fn of<'a>(letter: &Letter, language: &'a Language) -> Vec<Fact<'a>> {
    let (notice, event) = (&letter.entry.notice, &letter.entry.event);
    let labels = &language.labels;
    let detail = |wanted: &[&str]| {
        let found = event.event.details.iter().find(|(name, _)| wanted.contains(&&**name));
        found.map_or("", |(_, value)| value.as_str())
    };
    let method = event.event.authenticator.map_or("", |(_, kind)| kind.name());
    let facts = [
        (&labels.time, written(happened(event), language)),
        (&labels.account, shown(notice.user.as_str(), MAX_NAME)),
        (&labels.actor, actor(&notice.user, &event.actor.principal, language)),
        (&labels.method, language.methods.get(method).cloned().unwrap_or_default()),
        (&labels.application, foreign(&event.client.application, MAX_NAME)),
        (&labels.ip_address, shown(&event.client.ip_address, MAX_NAME)),
        (&labels.user_agent, foreign(&event.client.user_agent, MAX_NAME)),
        (&labels.reason, foreign(detail(&REASONS), MAX_TEXT)),
        (&labels.codes_left, shown(detail(&[CODES_LEFT]), MAX_NAME)),
    ];
    let known = facts.into_iter().filter(|(_, value)| !value.is_empty());
    known.map(|(label, value)| Fact { label, value }).collect()
}

/// When it happened: when a first factor changed is known to who reported it.
fn happened(event: &EventRecord) -> Timestamp {
    let reported = event.event.details.iter().find(|(name, _)| *name == CHANGE_TIME);
    let seconds = reported.and_then(|(_, seconds)| seconds.parse().ok());
    seconds.map_or(event.time, Timestamp::from_unix_seconds)
}

fn actor(reader: &UserId, actor: &Principal, language: &Language) -> String {
    let (sentence, id) = match actor {
        Principal::User(own) if own == reader => (&language.actors.own, ""),
        Principal::User(other) => (&language.actors.user, other.as_str()),
        Principal::Operator(name) => (&language.actors.operator, name.as_str()),
        Principal::Job(name) => (&language.actors.job, name.as_str()),
    };
    fill(sentence, &[("id", &shown(id, MAX_NAME))])
}

/// The time to the second, in UTC, as the language writes it. Empty for times that no calendar has.
fn written(time: Timestamp, language: &Language) -> String {
    let Ok(utc) = OffsetDateTime::from_unix_timestamp(time.unix_seconds()) else { return String::new() };
    let month = &language.months[usize::from(u8::from(utc.month())) - 1];
    let two = |number: u8| format!("{number:02}");
    let values = [
        ("day", utc.day().to_string()),
        ("month", month.clone()),
        ("year", utc.year().to_string()),
        ("hour", two(utc.hour())),
        ("minute", two(utc.minute())),
        ("second", two(utc.second())),
    ];
    let values: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fill(&language.time, &values)
}
