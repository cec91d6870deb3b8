//! Health and reflection: open to everybody who can connect, and telling nothing of any tenant.

use crate::support::{World, callers, options};
use countersign_api_grpc::Options;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

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
