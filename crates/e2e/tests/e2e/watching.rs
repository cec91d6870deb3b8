//! Following the log of the real service: whatever happens to the one who follows it, every event comes.

use crate::harness::node::Data;
use crate::harness::user::patient;
use crate::harness::{Node, Store, TENANT, User, on_both_stores, within};
use countersign_api::v1;
use futures::future::join_all;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tonic::transport::Channel;
use v1::event_service_client::EventServiceClient;
use v1::watch_events_request::Start;

/// How often the watcher dies, and how many write meanwhile.
const LIVES: usize = 100;
const WRITERS: usize = 3;

/// R55: a watcher that is killed and resumed a hundred times while three others write sees every event, in the order of
/// the log, once it drops those that it has seen; every other time it dies before it has stored its last token, and
/// with two nodes it goes on at the other one. What writers were told of is among them.
async fn a_watcher_that_keeps_dying_misses_nothing(store: Store) {
    let data = Arc::new(Data::fresh(store).await);
    let mut nodes = vec![Node::start_on(Arc::clone(&data)).await];
    if store == Store::Postgres {
        nodes.push(Node::start_on(data).await);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let (channel, stop) = (nodes[writer % nodes.len()].channel().await, Arc::clone(&stop));
        writers.push(tokio::spawn(write(channel, writer, stop)));
    }

    let mut seen = Seen::default();
    let mut start = Start::Oldest(true);
    for life in 0..LIVES {
        let channel = nodes[life % nodes.len()].channel().await;
        let mut messages = watch(&channel, start.clone()).await;
        for message in 0..=life % 3 {
            let told = within(messages.message()).await.unwrap().expect("a watch has no end");
            seen.take(told.events);
            if message < life % 3 || life % 2 == 0 {
                start = Start::ResumeToken(told.resume_token);
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    let told: Vec<_> = within(join_all(writers)).await.into_iter().flat_map(Result::unwrap).collect();

    let channel = nodes[0].channel().await;
    let mut messages = watch(&channel, start).await;
    while told.iter().any(|event| !seen.ids.contains(event)) {
        seen.take(within(messages.message()).await.unwrap().expect("a watch has no end").events);
    }
    let log = log(&channel).await;
    assert!(log.len() > LIVES, "there was something to see: {}", log.len());
    assert_eq!(seen.in_order, log);
}

/// What a watcher has kept, repeats dropped.
#[derive(Default)]
struct Seen {
    ids: HashSet<String>,
    in_order: Vec<String>,
}

impl Seen {
    fn take(&mut self, events: Vec<v1::SecurityEvent>) {
        for event in events {
            if self.ids.insert(event.event_id.clone()) {
                self.in_order.push(event.event_id);
            }
        }
    }
}

/// Lets users without a second factor log in until told to stop; gives the events that the verdicts named.
async fn write(channel: Channel, writer: usize, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut told = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let user = User::new(channel.clone(), TENANT, format!("writer-{writer}-{}", number % 50));
        told.push(user.check(user.to_check(None)).await.unwrap().event_id);
    }
    told
}

async fn watch(channel: &Channel, start: Start) -> tonic::Streaming<v1::WatchEventsResponse> {
    let request = v1::WatchEventsRequest {
        tenant_id: TENANT.to_owned(),
        start: Some(start),
        ..v1::WatchEventsRequest::default()
    };
    EventServiceClient::new(channel.clone()).watch_events(request).await.unwrap().into_inner()
}

/// The ids of the whole log, as it is listed.
async fn log(channel: &Channel) -> Vec<String> {
    let mut client = EventServiceClient::new(channel.clone());
    let (mut ids, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListEventsRequest {
            tenant_id: TENANT.to_owned(),
            page_size: 200,
            page_token,
            ..v1::ListEventsRequest::default()
        };
        let page = client.list_events(patient(request)).await.unwrap().into_inner();
        ids.extend(page.events.into_iter().map(|event| event.event_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return ids;
        }
    }
}

on_both_stores!(a_watcher_that_keeps_dying_misses_nothing);
