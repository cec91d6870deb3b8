//! Commands that call a service, run against one in this process that bounds its callers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod support;

use countersign_api_grpc::{CallLimits, Callers, Grants, Options, Rate, TokenVerifier, service};
use countersign_application::Application;
use countersign_domain::policy::Preset;
use countersign_ports::{Commit, PolicyStore, Tell};
use countersign_testkit::{ManualClock, MemoryStore, SeededRandom, deps_in_memory, fixtures};
use std::path::Path;
use std::sync::Arc;
use support::{command, output};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;

const TENANT: &str = "self-service-code";
const CALLER: &str = "spiffe://test/desk";

/// Takes every token for the same caller: loopback callers without one have no rate.
#[derive(Debug)]
struct Anybody;

#[tonic::async_trait]
impl TokenVerifier for Anybody {
    async fn verify(&self, _: &str) -> Result<String, &'static str> {
        Ok(CALLER.to_owned())
    }
}

/// The URL of a service with one tenant, whose caller has this rate.
async fn with_rate(rate: Rate) -> String {
    let (store, clock) = (Arc::new(MemoryStore::new()), Arc::new(ManualClock::default()));
    let random = Arc::new(SeededRandom::new(1));
    let app = Application::new(deps_in_memory!(store, clock, random.clone()));
    let record = fixtures::tenant_record(&fixtures::tenant(TENANT), Preset::SelfServiceCode);
    let change = fixtures::policy_change(&random, &record);
    assert_eq!(store.put_policy(record, change, Tell::Nobody).await.unwrap(), Commit::Done);
    let callers = Callers::Certificates([(CALLER.to_owned(), Grants::all())].into());
    let limits = CallLimits { rate: Some(rate), ..CallLimits::default() };
    let options = Options { limits, tokens: Some(Arc::new(Anybody)), ..Options::new(callers) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tonic::transport::Server::builder()
        .serve_with_incoming(service(app, options).unwrap(), TcpListenerStream::new(listener));
    tokio::spawn(serving);
    url
}

/// Runs `countersign user` as an operator there, and gives what it printed; it must succeed.
async fn user(url: &str, token: &Path, arguments: &[&str]) -> String {
    let token = token.to_str().unwrap();
    let caller = ["--tenant", TENANT, "--operator", "olga", "--url", url, "--token-file", token];
    let output = output(&mut command(&[&["user"], arguments, &caller].concat())).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// R66: what asks for much goes at the rate that its caller has, and ends; twenty users take twenty calls, sixteen at a time,
/// and one of them fits into the rate at once.
#[tokio::test]
async fn an_export_goes_at_the_rate_of_its_caller() {
    let folder = tempfile::tempdir().unwrap();
    let (token, file) = (folder.path().join("token"), folder.path().join("users.jsonl"));
    std::fs::write(&token, "any").unwrap();
    let users: Vec<_> = (10..30).map(|number| format!("{{\"user_id\": \"u{number}\"}}")).collect();
    std::fs::write(&file, users.join("\n")).unwrap();
    let url = with_rate(Rate { per_second: 20, burst: 1 }).await;
    user(&url, &token, &["import", file.to_str().unwrap()]).await;
    assert_eq!(user(&url, &token, &["export"]).await.lines().count(), 20);
}
