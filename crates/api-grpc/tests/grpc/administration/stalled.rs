//! Following the log where nobody takes up what was found.

use super::events::{list, next, tenant, watch};
use super::rare_events::{erased, every, found};
use crate::support::{EVERYTHING, Person, World};
use countersign_api::v1;
use countersign_api::v1::event_service_client::EventServiceClient;
use countersign_api::v1::watch_events_request::Start;
use countersign_api_grpc::{GrpcService, Peer, PeerCertificate};
use futures::poll;
use metrics_exporter_prometheus::PrometheusBuilder;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codegen::http::Request;
use tower::util::MapRequest;

const TENANT: &str = "mandatory-managed";

/// A client without a connection: what it follows goes on when the test asks for it, and not before.
type ByHand = EventServiceClient<MapRequest<GrpcService, fn(Request<Body>) -> Request<Body>>>;

fn by_hand(world: &World) -> ByHand {
    EventServiceClient::new(MapRequest::new(world.service.clone(), shown))
}

/// The request as one of the caller who holds everything.
fn shown(mut request: Request<Body>) -> Request<Body> {
    let certificate = Some(PeerCertificate { names: [EVERYTHING.to_owned()].into() });
    request.extensions_mut().insert(Peer { address: None, certificate });
    request
}

/// R66: a watch that is up to date waits for nobody. One whose caller took up nothing for a while may go through much behind
/// what it has, and is in turn with others from its first look on.
#[tokio::test(start_paused = true)]
async fn a_watch_whose_caller_stalled_searches_in_turn() {
    let (world, _client, mut desk) = tenant().await;
    let bob = v1::EventFilter { user_id: "bob".to_owned(), ..Default::default() };
    let of_bob = v1::WatchEventsRequest { filter: Some(bob), ..watch(Start::Oldest(true)) };
    let of_bob = every(Duration::from_secs(1), of_bob);
    let mut stream = by_hand(&world).watch_events(of_bob).await.unwrap().into_inner();
    desk.put(&Person::new(TENANT, "bob"), &[]).await;
    assert_eq!(found(&mut stream).await.len(), 1);

    let release = world.hold_searches();
    let another = every(Duration::from_mins(5), erased(Start::Oldest(true)));
    let _another = desk.events.watch_events(another).await.unwrap();
    while world.held_up() == 0 {
        tokio::task::yield_now().await;
    }
    for (stalled, is_in_turn) in [(Duration::from_secs(1), false), (Duration::from_mins(1), true)] {
        world.tell(TENANT, "bob", 201).await;
        tokio::time::advance(stalled).await;
        if is_in_turn {
            for _ in 0..3 {
                let told = timeout(Duration::from_secs(5), next(&mut stream)).await.expect("it lives");
                assert!(told.events.is_empty(), "it is not its turn");
            }
            release.add_permits(Semaphore::MAX_PERMITS);
        }
        for events in [200, 1] {
            let told =
                timeout(Duration::from_secs(5), found(&mut stream)).await.expect("nobody is before it");
            assert_eq!(told.len(), events);
        }
    }
}

/// An error that a search met is told to whoever asks for it. Where its caller left before, it is told to nobody, and does
/// not count.
#[tokio::test(start_paused = true)]
async fn an_error_of_a_search_counts_when_it_is_told() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let (world, _client, mut desk) = tenant().await;
    let listed = desk.events.list_events(list()).await.unwrap().into_inner();
    desk.put(&Person::new(TENANT, "bob"), &[]).await;
    world.clock.advance(Duration::from_hours(24 * 40));
    world.drop_events().await;
    for (stays, counted) in [(false, 0), (true, 1)] {
        let late = erased(Start::ResumeToken(listed.resume_token.clone()));
        let mut stream = by_hand(&world).watch_events(late).await.unwrap().into_inner();
        assert!(poll!(std::pin::pin!(stream.message())).is_pending(), "the search has begun");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        if stays {
            stream.message().await.unwrap_err();
        }
        drop(stream);
        let page = recorder.handle().render();
        let told = page.lines().filter(|line| line.starts_with("countersign_errors_total{"));
        assert_eq!(told.count(), counted, "{page}");
    }
}
