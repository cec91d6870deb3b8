//! What every caller meets before any rule: health, reflection, and nothing that is not in the contract.

use crate::harness::{Failed as _, Node, Store, User, on_both_stores, within};
use futures::stream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

/// The services of the contract, by their full names.
fn services() -> Vec<String> {
    let services = countersign_api::descriptor_pool().services();
    services.map(|service| service.full_name().to_owned()).collect()
}

/// DESIGN, running: health is told for the whole and for each service; an unknown one is not found.
async fn health_is_serving(store: Store) {
    let node = Node::start(store).await;
    let mut health = HealthClient::new(node.channel().await);
    assert!(services().len() >= 6, "{:?}", services());
    for service in services().into_iter().chain([String::new()]) {
        let request = HealthCheckRequest { service: service.clone() };
        let status = health.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service:?}");
    }
    let request = HealthCheckRequest { service: "countersign.v1.NoService".to_owned() };
    assert_eq!(health.check(request).await.unwrap_err().code(), Code::NotFound);
}

/// R46: development tells what it offers (production does not, which the server's own tests show).
async fn reflection_lists_the_services(store: Store) {
    let node = Node::start(store).await;
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(node.channel().await);
    let mut answers = reflection.server_reflection_info(stream::iter([ask])).await.unwrap().into_inner();
    let answer = within(answers.message()).await.unwrap().expect("an answer");
    let Some(MessageResponse::ListServicesResponse(listed)) = answer.message_response else {
        panic!("no list: {answer:?}")
    };
    let names: Vec<_> = listed.service.into_iter().map(|service| service.name).collect();
    for service in services() {
        assert!(names.contains(&service), "{service} in {names:?}");
    }
}

/// R42: what is not in the contract is not there, whoever asks.
async fn an_unknown_method_is_unimplemented(store: Store) {
    let node = Node::start(store).await;
    for path in ["/countersign.v1.LoginService/AllowEverybody", "/countersign.v1.NoService/CheckLogin", "/x"]
    {
        let mut client = Grpc::new(node.channel().await);
        client.ready().await.unwrap();
        let codec = ProstCodec::<HealthCheckRequest, HealthCheckRequest>::default();
        let path = PathAndQuery::from_static(path);
        let answer = client.unary(Request::new(HealthCheckRequest::default()), path.clone(), codec).await;
        assert_eq!(answer.unwrap_err().code(), Code::Unimplemented, "{path}");
    }
}

/// R43, R45: a tenant that is not there answers with its reason, in whatever store.
async fn an_unknown_tenant_is_not_found(store: Store) {
    let node = Node::start(store).await;
    let user = User::new(node.channel().await, "no-such-tenant", "ann");
    user.status().await.expect_reason("TENANT_NOT_FOUND");
    user.check(user.to_check(None)).await.expect_reason("TENANT_NOT_FOUND");
    user.begin(user.to_begin()).await.expect_reason("TENANT_NOT_FOUND");
}

on_both_stores!(
    health_is_serving,
    reflection_lists_the_services,
    an_unknown_method_is_unimplemented,
    an_unknown_tenant_is_not_found,
);
