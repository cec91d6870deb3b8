//! Security events on their way out, and filters of them on their way in. Nothing here carries a token or a secret:
//! records have none.

use super::enums;
use super::enums::authenticator_type;
use super::fields::{Fields, Parsed};
use super::policy::revision;
use super::time::timestamp;
use countersign_api::v1::{self, SecurityEventType};
use countersign_application::EventRecord;
use countersign_domain::actor::{Principal, RecordedActor};
use countersign_domain::event::EventType;
use countersign_domain::ids::UserId;
use countersign_domain::user::ClientClaims;

/// Types that one filter may name.
const MAX_TYPES: usize = 32;
/// What the contract's style wants before the name of a type.
const PREFIX: &str = "SECURITY_EVENT_TYPE_";

/// Which events to read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) user: Option<UserId>,
    pub(crate) kinds: Vec<EventType>,
}

impl Filter {
    /// Whether it leaves anything out.
    pub(crate) const fn is_some(&self) -> bool {
        self.user.is_some() || !self.kinds.is_empty()
    }
}

/// Reads a filter. Absent: all events.
pub(crate) fn filter(fields: &mut Fields, filter: Option<v1::EventFilter>) -> Parsed<Filter> {
    let filter = filter.unwrap_or_default();
    let user = fields.optional("filter.user_id", &filter.user_id, UserId::parse);
    let kinds: Option<Vec<_>> = if filter.types.len() <= MAX_TYPES {
        filter.types.iter().map(|value| from_wire(*value)).collect()
    } else {
        None
    };
    let kinds = fields.take("filter.types", kinds.ok_or("must be at most 32 types of security events"));
    Ok(Filter { user: user?, kinds: kinds? })
}

fn from_wire(value: i32) -> Option<EventType> {
    EventType::from_name(SecurityEventType::try_from(value).ok()?.as_str_name().strip_prefix(PREFIX)?)
}

fn to_wire(kind: EventType) -> SecurityEventType {
    // A test holds the two lists against one another, so that the fallback is never taken.
    SecurityEventType::from_str_name(&format!("{PREFIX}{}", kind.name())).unwrap_or_default()
}

/// An event as it was kept.
pub(crate) fn security_event(record: &EventRecord) -> v1::SecurityEvent {
    let event = &record.event;
    let (authenticator_id, kind) = match event.authenticator {
        Some((id, kind)) => (id.to_string(), authenticator_type(kind)),
        None => (String::new(), v1::AuthenticatorType::Unspecified),
    };
    v1::SecurityEvent {
        event_id: record.id.to_string(),
        r#type: to_wire(event.kind).into(),
        event_time: Some(timestamp(record.time)),
        tenant_id: record.tenant.as_str().to_owned(),
        user_id: record.user.as_ref().map(|user| user.as_str().to_owned()).unwrap_or_default(),
        actor: Some(actor(&record.actor)),
        caller: record.caller.as_str().to_owned(),
        client: client(&record.client),
        authenticator_id,
        authenticator_type: kind.into(),
        details: event.details.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
        policy_revision: revision(record.policy_revision),
        request_id: record.request_id.map(|id| id.to_string()).unwrap_or_default(),
        trace_id: record.trace_id.clone(),
    }
}

fn actor(actor: &RecordedActor) -> v1::RecordedActor {
    use v1::recorded_actor::Principal as Wire;
    v1::RecordedActor {
        principal: Some(match &actor.principal {
            Principal::User(user) => Wire::UserId(user.as_str().to_owned()),
            Principal::Operator(name) => Wire::Operator(name.clone()),
            Principal::Job(name) => Wire::Job(name.clone()),
        }),
        permissions: actor.permissions.clone(),
        first_factor_method: actor
            .first_factor_method
            .map_or(v1::FirstFactorMethod::Unspecified, enums::first_factor_method)
            .into(),
    }
}

/// The device, where anything was told of it.
fn client(client: &ClientClaims) -> Option<v1::RecordedClient> {
    let recorded = v1::RecordedClient {
        ip_address: client.ip_address.clone(),
        user_agent: client.user_agent.clone(),
        application: client.application.clone(),
        language_code: client.language_code.clone(),
    };
    (recorded != v1::RecordedClient::default()).then_some(recorded)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R55: every type of the domain has its own of the contract, and the contract has no other.
    #[test]
    fn types_are_the_same_on_both_sides() {
        for kind in EventType::ALL {
            assert_eq!(from_wire(to_wire(*kind).into()), Some(*kind), "{}", kind.name());
        }
        let contract =
            countersign_api::descriptor_pool().get_enum_by_name("countersign.v1.SecurityEventType");
        assert_eq!(contract.unwrap().values().count(), EventType::ALL.len() + 1);
        assert_eq!(from_wire(0), None);
        assert_eq!(from_wire(9_999), None);
    }
}
