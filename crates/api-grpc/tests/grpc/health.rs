//! Health and reflection: open to everybody who can connect, and telling nothing of any tenant.

use crate::support::{EVERYTHING, Fault, Person, Raw, World, callers, limited, options, reason};
use countersign_api_grpc::Options;
use countersign_domain::policy::Preset;
use http_body_util::Full;
use prost::bytes::Bytes;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tower::Service as _;

/// Health is told per service and for the whole, begins with "not serving", and needs no certificate.
#[tokio::test]
async fn health_follows_the_switch() {
    let world = World::new();
    let client = world.connect(None).await;
    let mut health = HealthClient::new(client.channel);
    for serving in [false, true, false] {
        if serving {
            world.service.health().set_serving(true).await;
        }
        for service in ["", "countersign.v1.LoginService", "countersign.v1.AccountService"] {
            let request = HealthCheckRequest { service: service.to_owned() };
            let status = health.check(request).await.unwrap().into_inner().status();
            let expected = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
            assert_eq!(status, expected, "{service:?}");
        }
        world.service.health().set_serving(false).await;
    }
    let request = HealthCheckRequest { service: "countersign.v1.Nothing".to_owned() };
    assert_eq!(health.check(request).await.unwrap_err().code(), Code::NotFound);
}

/// R46: reflection is there where it was asked for, in both versions, and nowhere else.
#[tokio::test]
async fn reflection_is_there_only_where_asked_for() {
    for reflection in [true, false] {
        let world = World::with(Options { reflection, ..options(callers([])) });
        let client = world.connect(None).await;
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let answer = ServerReflectionClient::new(client.channel.clone())
            .server_reflection_info(tokio_stream::once(request))
            .await;
        if !reflection {
            assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated, "a path like any other");
            continue;
        }
        let message = answer.unwrap().into_inner().message().await.unwrap().unwrap().message_response;
        let Some(MessageResponse::ListServicesResponse(list)) = message else { panic!("{message:?}") };
        let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
        for service in
            ["countersign.v1.LoginService", "countersign.v1.AccountService", "grpc.health.v1.Health"]
        {
            assert!(names.contains(&service), "{names:?}");
        }
        let request = tonic_reflection::pb::v1alpha::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(
                tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
                    "countersign.v1.LoginService".to_owned(),
                ),
            ),
        };
        tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient::new(client.channel)
            .server_reflection_info(tokio_stream::once(request))
            .await
            .unwrap()
            .into_inner()
            .message()
            .await
            .unwrap()
            .unwrap();
    }
}

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";

fn everything() -> HealthCheckRequest {
    HealthCheckRequest::default()
}

/// R47: who shows nothing does not have a node read more than anybody else.
#[tokio::test]
async fn a_question_about_health_is_bounded_in_size() {
    let world = World::new();
    let client = world.connect(None).await;
    for path in [CHECK, WATCH] {
        for (size, expected) in [(32 * 1024, None), (32 * 1024 + 1, Some("REQUEST_TOO_LARGE"))] {
            // Field 1, a text: its tag and a length of three bytes before it.
            let mut message = Vec::new();
            prost::encoding::string::encode(1, &"s".repeat(size - 4), &mut message);
            assert_eq!(message.len(), size);
            let status = Raw(client.channel.clone()).call(path, message).await.unwrap_err();
            match expected {
                Some(expected) => assert_eq!(reason(&status), expected, "{path}"),
                None => assert_eq!(status.code(), Code::NotFound, "{path}: there is no such service"),
            }
        }
    }
}

/// R66: a question about health that never ends is ended, however long its caller would wait.
#[tokio::test(start_paused = true)]
async fn a_question_about_health_that_never_ends_is_ended() {
    let world = World::new();
    let client = world.connect(None).await;
    for path in [CHECK, WATCH] {
        let start = tokio::time::Instant::now();
        let status = Raw(client.channel.clone()).call_without_end(path).await.unwrap_err();
        assert_eq!(reason(&status), "DEADLINE_EXPIRED", "{path}");
        assert_eq!(start.elapsed().as_secs(), 2, "{path}");
    }
}

/// R66: questions about health take places of their own, which come back: neither do they fill those of other calls, nor
/// do other calls fill theirs.
#[tokio::test(start_paused = true)]
async fn health_and_calls_do_not_fill_each_other() {
    let options = limited(callers([]), |limits| {
        limits.max_in_flight = 1;
        limits.max_open_calls = 2;
    });
    let world = World::with(options);
    world.tenant(Preset::SelfServiceCode).await;
    let (nobody, client) = (world.connect(None).await, world.client().await);
    let mut health = HealthClient::new(nobody.channel.clone());

    let raw = Raw(nobody.channel.clone());
    let unending = [raw.call_without_end(CHECK), raw.call_without_end(CHECK)];
    let mut unending = Box::pin(futures::future::join_all(unending));
    assert!(futures::poll!(&mut unending).is_pending());
    let status = raw.call_without_end(CHECK).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    // A probe that comes whole is answered all the same; one that comes in pieces may have to come again.
    let whole = http::Request::post(CHECK).header("content-type", "application/grpc");
    let whole = whole.body(Full::from(Bytes::from_static(&[0; 5]))).unwrap();
    let answer = world.service.clone().call(whole).await.unwrap();
    assert_eq!(answer.headers().get("grpc-status"), None, "a refusal has its status here");
    assert!(futures::poll!(&mut unending).is_pending());
    let ann = Person::new("self-service-code", "ann");
    client.login.clone().check_login(ann.check(&world, None)).await.unwrap();
    for answer in unending.await {
        assert_eq!(reason(&answer.unwrap_err()), "DEADLINE_EXPIRED");
    }

    let gate = Arc::new(Semaphore::new(0));
    world.fail_commits(Fault::Wait(Arc::clone(&gate)));
    let mut login = client.login.clone();
    let mut call = Box::pin(login.check_login(ann.check(&world, None)));
    let before = world.commits();
    while world.commits() == before {
        assert!(futures::poll!(&mut call).is_pending());
        tokio::task::yield_now().await;
    }
    health.check(everything()).await.unwrap();
    gate.add_permits(1);
    call.await.unwrap();
}

/// R66: who watches health keeps a place for as long as it watches, and gives it back when it leaves.
#[tokio::test]
async fn watches_of_health_are_bounded() {
    // Of sixteen four are for those without a name, and one of those has no more than are free beside it.
    let world = World::with(limited(callers([]), |limits| limits.max_open_streams = 16));
    let mut health = HealthClient::new(world.connect(None).await.channel);
    let mut first = health.watch(everything()).await.unwrap().into_inner();
    let mut second = health.watch(everything()).await.unwrap().into_inner();
    for stream in [&mut first, &mut second] {
        stream.message().await.unwrap().unwrap();
    }
    let status = health.watch(everything()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    health.check(everything()).await.unwrap();
    world.service.health().set_serving(true).await;
    assert_eq!(second.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    drop(first);
    while health.watch(everything()).await.is_err() {
        tokio::task::yield_now().await;
    }
}

/// R66: whoever can connect fills no more than the part of the watches that is for those without a name, and from one
/// address no more than half of it; callers known by their certificates find room, and do not fill each other's either.
#[tokio::test]
async fn watches_of_the_nameless_leave_room_for_callers() {
    let other = [("other.internal", Vec::new())];
    let world = World::with(limited(callers(other), |limits| limits.max_open_streams = 16));
    let mut held = Vec::new();
    for (address, names, expected) in [
        ("192.0.2.1:1", None, 2),
        // Another connection of the same host, and one with a certificate of which nobody knows the name.
        ("192.0.2.1:2", None, 0),
        ("192.0.2.1:3", Some(&["nobody.internal"][..]), 0),
        ("192.0.2.2:1", None, 1),
        ("192.0.2.3:1", None, 1),
        ("192.0.2.4:1", None, 0),
        ("192.0.2.1:4", Some(&[EVERYTHING]), 6),
        ("192.0.2.5:1", Some(&[EVERYTHING]), 0),
        ("192.0.2.5:2", Some(&["other.internal"]), 3),
    ] {
        let channel = world.connect_from(address.parse().unwrap(), names).await.channel;
        let mut health = HealthClient::new(channel);
        let before = held.len();
        let refused = loop {
            match health.watch(everything()).await {
                Ok(stream) => held.push(stream),
                Err(status) => break status,
            }
        };
        assert_eq!(reason(&refused), "OVERLOADED");
        assert_eq!(held.len() - before, expected, "{address} {names:?}");
    }
}
