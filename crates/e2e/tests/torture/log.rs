//! The log of events, as far as the laws look at it.

use crate::harness::user::patient;
use crate::population::TENANTS;
use countersign_api::v1;
use std::collections::HashMap;
use tonic::transport::Channel;
use v1::SecurityEventType as Type;
use v1::event_service_client::EventServiceClient;

/// An event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) event: u128,
    /// The request that it came of; 0 where there was none.
    pub(crate) request: u128,
    /// When it was decided, by the clock that decided: microseconds since 1970.
    pub(crate) time: i64,
    pub(crate) what: What,
}

/// What it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A login with a code of an authenticator.
    Verified,
    /// A login with a recovery code.
    Recovered,
    /// A login of somebody without a second factor.
    Passed,
    /// A refusal that was charged.
    Charged,
    /// One that was not.
    Refused,
    /// A second factor that was switched off.
    Disabled,
    /// A recovery code that was used up.
    RecoveryUsed,
    Other,
}

impl What {
    /// Whether it lets a login go ahead.
    pub(crate) const fn allows(self) -> bool {
        matches!(self, Self::Verified | Self::Recovered | Self::Passed)
    }

    /// Whether it refuses one.
    pub(crate) const fn refuses(self) -> bool {
        matches!(self, Self::Charged | Self::Refused)
    }
}

impl From<&v1::SecurityEvent> for Told {
    fn from(event: &v1::SecurityEvent) -> Self {
        let detail = |name| event.details.get(name).map(String::as_str);
        let what = match event.r#type() {
            Type::LoginAllowed => match detail("assurance") {
                Some("verified") => What::Verified,
                Some("recovered") => What::Recovered,
                _ => What::Passed,
            },
            Type::LoginRefused => match detail("finding") {
                Some("wrong" | "pending" | "disabled" | "expired") => What::Charged,
                _ => What::Refused,
            },
            Type::TwoFactorDisabled => What::Disabled,
            Type::RecoveryCodeUsed => What::RecoveryUsed,
            _ => What::Other,
        };
        let time = event.event_time.as_ref().expect("an event has its time");
        Self {
            event: id(&event.event_id),
            request: if event.request_id.is_empty() { 0 } else { id(&event.request_id) },
            time: time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000,
            what,
        }
    }
}

/// The number that a UUID writes.
pub(crate) fn id(uuid: &str) -> u128 {
    u128::from_str_radix(&uuid.replace('-', ""), 16).expect("a UUID")
}

/// The logs of both tenants by tenant and user, in the order of their commits.
pub(crate) async fn read(channel: &Channel) -> HashMap<(&'static str, String), Vec<Told>> {
    let mut client = EventServiceClient::new(channel.clone());
    let mut log: HashMap<_, Vec<Told>> = HashMap::new();
    for tenant in TENANTS {
        let mut request =
            v1::ListEventsRequest { tenant_id: tenant.to_owned(), page_size: 200, ..Default::default() };
        loop {
            let page = client.list_events(patient(request.clone())).await;
            let page = page.expect("a page of events").into_inner();
            for event in &page.events {
                assert_eq!(event.tenant_id, tenant, "R43: an event of another tenant: {event:?}");
                log.entry((tenant, event.user_id.clone())).or_default().push(event.into());
            }
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
    }
    log
}
