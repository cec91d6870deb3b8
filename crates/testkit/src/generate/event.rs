//! Events and notices of every shape.

use super::Generator;
use countersign_domain::actor::{Principal, RecordedActor};
use countersign_domain::event::{Event, EventType};
use countersign_domain::ids::{AuthenticatorId, CallerId, EventId, PolicyRevision, RequestId, UserRef};
use countersign_domain::policy::AuthenticatorType;
use countersign_ports::EventRecord;

impl Generator {
    /// Any event about `user` or about nobody.
    pub fn event_record(&self, user: &UserRef) -> EventRecord {
        let actor = match self.random.below(3) {
            0 => Principal::User(user.user.clone()),
            1 => Principal::Operator("on call: \"ops\"".to_owned()),
            _ => Principal::Job("sweeper".to_owned()),
        };
        let actor = RecordedActor {
            permissions: self.some(3, |draw| draw.text(20)),
            first_factor_method: self.maybe(|draw| draw.first_factor().method),
            ..actor.into()
        };
        EventRecord {
            id: EventId::at(self.time(), self.random.bytes()),
            time: self.time(),
            tenant: user.tenant.clone(),
            user: self.maybe(|_| user.user.clone()),
            event: self.event(),
            actor,
            caller: CallerId::parse("spiffe://example/ns/'login'").expect("a printable caller"),
            client: self.client_claims(),
            policy_revision: PolicyRevision(self.number()),
            request_id: self.maybe(|draw| RequestId::at(draw.time(), draw.random.bytes())),
            trace_id: self.maybe(|draw| format!("{:032x}", draw.random.next())).unwrap_or_default(),
        }
    }

    fn event(&self) -> Event {
        const KINDS: [AuthenticatorType; 4] = [
            AuthenticatorType::Totp,
            AuthenticatorType::Sms,
            AuthenticatorType::SecurityKey,
            AuthenticatorType::RecoveryCode,
        ];
        const NAMES: [&str; 8] =
            ["reason", "method", "result", "count", "until", "field", "previous", "justification"];
        let mut event = Event::new(self.pick(EventType::ALL));
        if let Some(id) = self.maybe(|draw| AuthenticatorId::at(draw.time(), draw.random.bytes())) {
            event = event.about(id, self.pick(&KINDS));
        }
        let count = usize::try_from(self.random.below(9)).expect("at most eight");
        for name in NAMES.into_iter().take(count) {
            event = event.with(name, self.text(60));
        }
        event
    }
}
