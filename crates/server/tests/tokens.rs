//! Production behind a mesh: plain text on loopback, callers known by signed tokens alone (R42, R46).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod support;

use countersign_client::{BearerToken, Client, Error, Login, Reason, TokenProvider, v1};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use futures::stream;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustix::process::Signal;
use serde_json::json;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use support::{Server, command, health, output, within};
use tokio::sync::oneshot;
use tonic::Request;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

/// Shows one token.
struct Fixed(String);

#[async_trait::async_trait]
impl TokenProvider for Fixed {
    async fn token(&self) -> io::Result<BearerToken> {
        Ok(BearerToken::new(&self.0))
    }
}

fn issuer() -> Ed25519KeyPair {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap()
}

fn write_keys(path: &Path, issuer: &Ed25519KeyPair) {
    let prefix = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".as_slice();
    let text = BASE64.encode(&[prefix, issuer.public_key().as_ref()].concat());
    std::fs::write(path, format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")).unwrap();
}

/// A token that began a minute before and ends so many seconds after now.
#[expect(clippy::disallowed_methods, reason = "the program under test goes by the system's clock")]
fn token(issuer: &Ed25519KeyPair, subject: &str, audience: &str, ends: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let now = i64::try_from(now).unwrap();
    let claims = json!({
        "iss": "https://issuer.example", "sub": subject, "aud": [audience], "exp": now + ends, "nbf": now - 300,
    });
    let part = |value: serde_json::Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(json!({"alg": "EdDSA", "typ": "JWT"})), part(claims));
    let signature = BASE64URL_NOPAD.encode(issuer.sign(signed.as_bytes()).as_ref());
    format!("{signed}.{signature}")
}

async fn start(folder: &Path) -> Server {
    let more = r#"
[[callers]]
name = "spiffe://example.org/admin"
scopes = ["policy.write"]
tenants = ["*"]
[[callers]]
name = "settings.internal"
subject = "system:serviceaccount:a:settings"
scopes = ["account.read"]
tenants = ["*"]
"#;
    Server::behind_mesh(folder, more).await
}

/// A call whose headers are sent at once and whose message is sent when told.
async fn slow_policy(channel: Channel, token: String, go: oneshot::Receiver<()>) -> tonic::Code {
    let message = stream::once(async move {
        go.await.expect("told to go on");
        v1::GetPolicyRequest { tenant_id: "acme".to_owned() }
    });
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let codec = ProstCodec::<v1::GetPolicyRequest, v1::GetPolicyResponse>::default();
    let path = PathAndQuery::from_static("/countersign.v1.PolicyService/GetPolicy");
    let mut request = Request::new(Box::pin(message));
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    client.client_streaming(request, path, codec).await.map(drop).unwrap_err().code()
}

/// R42, R67: who is denied while a node drains is told of too, though its minute is not over.
#[tokio::test]
async fn who_is_denied_while_a_node_drains_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let ours = issuer();
    write_keys(&folder.path().join("keys.pem"), &ours);
    let mut server = start(folder.path()).await;
    let shown = |name: &str| token(&ours, &format!("spiffe://example.org/{name}"), "countersign", 300);
    let client = async |name: &str| {
        let builder = Client::builder(format!("http://{}", server.address)).tokens(Fixed(shown(name)));
        builder.connect().await.unwrap()
    };
    let (tenant_id, preset) = ("acme".to_owned(), "self-service-code".to_owned());
    let create = v1::CreateTenantRequest { tenant_id: tenant_id.clone(), preset, ..Default::default() };
    within(client("admin").await.call(create)).await.unwrap();
    // The first of a minute is told of at once.
    let get = v1::GetPolicyRequest { tenant_id };
    let denied: Error = within(client("login").await.call(get)).await.unwrap_err();
    assert_eq!(denied.reason(), Some(Reason::CallerScopeMissing));

    let channel = server.channel().await;
    // The first of these may be told of at once as well; the second waits for its minute.
    let calls = [(); 2].map(|()| {
        let (go, told) = oneshot::channel();
        (go, tokio::spawn(slow_policy(channel.clone(), shown("login"), told)))
    });
    tokio::task::yield_now().await;
    // Frames of one connection arrive in order: once this is answered, the headers of the other are there.
    health(channel, "").await.unwrap();
    server.signal(Signal::TERM);
    server.logged("stopping").await;
    for (go, call) in calls {
        go.send(()).unwrap();
        assert_eq!(within(call).await.unwrap(), tonic::Code::PermissionDenied);
    }
    assert!(server.ended().await.success());
    let file = folder.path().join("countersign.toml");
    let tail = ["events", "tail", "--config", file.to_str().unwrap(), "--tenant", "acme", "--from", "oldest"];
    let listed =
        output(&mut command(&[tail.as_slice(), &["--once", "--type", "CALLER_DENIED"]].concat())).await;
    let listed = String::from_utf8(listed.stdout).unwrap();
    let counts = listed.split("count=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    assert_eq!(counts.map(|count| count.parse::<u32>().unwrap()).sum::<u32>(), 3, "{listed}");
}

/// R42: on SIGHUP the keys of tokens are read at once, and a node without certificates goes on.
#[tokio::test]
async fn keys_are_read_again_at_once_on_sighup() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (issuer(), issuer());
    write_keys(&folder.path().join("keys.pem"), &first);
    let mut server = start(folder.path()).await;
    server.logged("the keys of workload tokens were loaded").await;
    write_keys(&folder.path().join("keys.pem"), &second);
    server.signal(Signal::HUP);
    server.logged("the keys of workload tokens were loaded").await;
    let token = token(&second, "spiffe://example.org/login", "countersign", 300);
    assert_eq!(told(&server, Some(token)).await, Some(Reason::TenantNotFound));
}

/// What a login is told that shows this token.
async fn told(server: &Server, token: Option<String>) -> Option<Reason> {
    let mut builder = Client::builder(format!("http://{}", server.address));
    if let Some(token) = token {
        builder = builder.tokens(Fixed(token));
    }
    let client = builder.connect().await.unwrap();
    let error: Error =
        within(client.check_login(Login::after_password("nobody", "ann", UNIX_EPOCH))).await.unwrap_err();
    error.reason()
}

/// R42: a good token is its caller, with that caller's scopes; expired ones, those for others, by others and none are
/// told apart from it and not from each other.
#[tokio::test]
async fn callers_behind_a_mesh_are_known_by_their_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (issuer(), issuer());
    write_keys(&folder.path().join("keys.pem"), &ours);
    let mut server = start(folder.path()).await;
    let (login, settings) = ("spiffe://example.org/login", "system:serviceaccount:a:settings");
    let table = [
        (Some(token(&ours, login, "countersign", 300)), Reason::TenantNotFound),
        (Some(token(&ours, settings, "countersign", 300)), Reason::CallerScopeMissing),
        (Some(token(&ours, "settings.internal", "countersign", 300)), Reason::CallerCredentialsInvalid),
        (Some(token(&ours, login, "countersign", -31)), Reason::CallerCredentialsInvalid),
        (Some(token(&ours, login, "countersign", 90_000)), Reason::CallerCredentialsInvalid),
        (Some(token(&ours, login, "others", 300)), Reason::CallerCredentialsInvalid),
        (Some(token(&theirs, login, "countersign", 300)), Reason::CallerCredentialsInvalid),
        (Some("rubbish".to_owned()), Reason::CallerCredentialsInvalid),
        (None, Reason::CallerCredentialsMissing),
    ];
    for (index, (token, expected)) in table.into_iter().enumerate() {
        let shown = token.clone();
        assert_eq!(told(&server, token).await, Some(expected), "{index}");
        if expected == Reason::CallerCredentialsInvalid {
            let line = server.logged("a caller's credentials were refused").await;
            assert!(!line.contains(&shown.unwrap()), "R53: {line}");
        }
    }
}
