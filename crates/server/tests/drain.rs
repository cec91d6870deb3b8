//! Stopping: what was begun is answered, nothing new is taken, and the exit code is 0 (R67).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod support;

use futures::stream;
use rustix::process::Signal;
use std::path::Path;
use support::{Server, health, within};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;

const CHECK: &str = "/grpc.health.v1.Health/Check";

/// A call whose headers are sent at once and whose message is sent when told: a call under way for as long as needed.
async fn slow_check(channel: Channel, go: oneshot::Receiver<()>) -> Result<ServingStatus, tonic::Status> {
    let message = stream::once(async move {
        go.await.expect("told to go on");
        HealthCheckRequest::default()
    });
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let path = PathAndQuery::from_static(CHECK);
    let response = client.client_streaming(Request::new(Box::pin(message)), path, codec).await?;
    Ok(response.into_inner().status())
}

/// R67: at SIGTERM a call under way is still answered, the port is closed meanwhile, and the exit code is 0.
#[tokio::test]
async fn a_call_under_way_is_answered_and_the_port_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::development(folder.path()).await;
    let channel = server.channel().await;
    let (go, told) = oneshot::channel();
    let call = tokio::spawn(slow_check(channel.clone(), told));
    tokio::task::yield_now().await;
    // Frames of one connection arrive in order: once this is answered, the headers of the other are there.
    assert_eq!(health(channel, "").await.unwrap(), ServingStatus::Serving);
    server.signal(Signal::TERM);
    server.logged("stopping").await;
    within(async { while TcpStream::connect(server.address).await.is_ok() {} }).await;
    go.send(()).unwrap();
    assert_eq!(within(call).await.unwrap().unwrap(), ServingStatus::NotServing);
    server.logged("everything under way was answered").await;
    assert_eq!(server.ended().await.code(), Some(0));
}

/// R67: whoever watches health is told before the port closes, and is sent elsewhere: neither open streams nor idle
/// connections hold up a restart.
#[tokio::test]
async fn watchers_of_health_are_told_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::development(folder.path()).await;
    let idle = server.channel().await;
    assert_eq!(health(idle, "").await.unwrap(), ServingStatus::Serving);
    let mut client = HealthClient::new(server.channel().await);
    let mut watch = within(client.watch(HealthCheckRequest::default())).await.unwrap().into_inner();
    assert_eq!(within(watch.message()).await.unwrap().unwrap().status(), ServingStatus::Serving);
    server.signal(Signal::TERM);
    assert_eq!(within(watch.message()).await.unwrap().unwrap().status(), ServingStatus::NotServing);
    let end = within(watch.message()).await.unwrap_err();
    assert_eq!(end.code(), Code::Unavailable);
    assert_eq!(end.get_details_error_info().unwrap().reason, "SHUTTING_DOWN");
    server.logged("everything under way was answered").await;
    assert_eq!(server.ended().await.code(), Some(0));
}

/// In production, behind a mesh, with a drain timeout of a second.
async fn short_of_time(folder: &Path) -> Server {
    // Of RFC 8410, 10.1: nobody here shows a token.
    const KEY: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";
    std::fs::write(folder.join("keys.pem"), KEY).unwrap();
    Server::behind_mesh(folder, "[limits]\ndrain_timeout_seconds = 1").await
}

/// R67: an answer that its caller never takes holds up a restart for the drain timeout and no longer, and the exit code is 0 all
/// the same.
#[tokio::test]
async fn what_does_not_end_is_given_up_at_the_drain_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = short_of_time(folder.path()).await;
    // No room for a byte: the answer begins and never ends. A call that does not send its question ends at its deadline.
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let channel = within(endpoint.initial_stream_window_size(0).connect()).await.unwrap();
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let call = client.server_streaming(
        Request::new(HealthCheckRequest::default()),
        PathAndQuery::from_static(CHECK),
        codec,
    );
    let mut answer = within(call).await.unwrap().into_inner();
    server.signal(Signal::TERM);
    server.logged("longer than the drain timeout").await;
    assert_eq!(server.ended().await.code(), Some(0));
    assert!(within(answer.message()).await.is_err());
}

/// R67: an operator in a hurry gets out with a second signal, whatever is open.
#[tokio::test]
async fn a_second_signal_ends_the_draining() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::development(folder.path()).await;
    let (_go, told) = oneshot::channel();
    let channel = server.channel().await;
    let call = tokio::spawn(slow_check(channel.clone(), told));
    tokio::task::yield_now().await;
    assert_eq!(health(channel, "").await.unwrap(), ServingStatus::Serving);
    server.signal(Signal::INT);
    server.logged("stopping").await;
    server.signal(Signal::INT);
    server.logged("second signal").await;
    assert_eq!(server.ended().await.code(), Some(0));
    assert!(within(call).await.unwrap().is_err());
}
