//! The event log of a tenant, read to its end.

use super::user::patient;
use countersign_api::v1;
use tonic::Status;
use tonic::transport::Channel;
use v1::event_service_client::EventServiceClient;

/// All events of this tenant that are about this user, in the order of their commits.
pub(crate) async fn of_user(channel: &Channel, tenant: &str, user: &str) -> Vec<v1::SecurityEvent> {
    try_of_user(channel, tenant, user).await.expect("a page of events")
}

/// The same where the store may be away.
pub(crate) async fn try_of_user(
    channel: &Channel,
    tenant: &str,
    user: &str,
) -> Result<Vec<v1::SecurityEvent>, Status> {
    let mut client = EventServiceClient::new(channel.clone());
    let mut events = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListEventsRequest {
            tenant_id: tenant.to_owned(),
            filter: Some(v1::EventFilter { user_id: user.to_owned(), types: Vec::new() }),
            page_size: 200,
            page_token,
            ..v1::ListEventsRequest::default()
        };
        let page = client.list_events(patient(request)).await?.into_inner();
        events.extend(page.events);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(events);
        }
    }
}

/// How many of them are of this type.
pub(crate) fn count(events: &[v1::SecurityEvent], kind: v1::SecurityEventType) -> usize {
    events.iter().filter(|event| event.r#type() == kind).count()
}
