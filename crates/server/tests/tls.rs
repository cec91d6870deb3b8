//! Production over real TLS: who gets a connection, who is let in, and what happens to those who dawdle (R42).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod support;

use countersign_api::v1::account_service_client::AccountServiceClient;
use countersign_api::v1::login_service_client::LoginServiceClient;
use countersign_api::v1::{CheckLoginRequest, GetStatusRequest};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
    date_time_ymd,
};
use rustix::process::Signal;
use rustls::client::{Resumption, WantsClientCert};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, HandshakeKind, SupportedProtocolVersion};
use std::path::Path;
use std::sync::Arc;
use support::{Server, command, health, within};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_types::StatusExt;

const CALLER: &str = "spiffe://example.org/login";
/// What begins a connection of HTTP/2: the preface, and a frame of no settings (RFC 9113, 3.4 and 6.5).
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// An authority that issues certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key, in PEM.
    fn issue(&self, name: SanType, usage: ExtendedKeyUsagePurpose, expired: bool) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![name];
        params.extended_key_usages = vec![usage];
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn caller(&self, name: &str, expired: bool) -> Identity {
        let (certificate, key) =
            self.issue(SanType::URI(name.try_into().unwrap()), ExtendedKeyUsagePurpose::ClientAuth, expired);
        Identity::from_pem(certificate, key)
    }

    fn pem(&self) -> String {
        self.0.pem()
    }
}

/// A service in production, in a folder of its own.
struct Production {
    server: Server,
    folder: TempDir,
    servers: Authority,
    callers: Authority,
}

impl Production {
    async fn start(limits: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (servers, callers) = (Authority::new("servers"), Authority::new("callers"));
        let dir = folder.path();
        put_server_certificate(dir, &servers);
        write(&dir.join("ca.pem"), &callers.pem());
        write(&dir.join("root.key"), "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
        let dir = dir.display();
        let config = format!(
            r#"
[listen]
address = "127.0.0.1:0"
[tls]
certificate_file = "{dir}/server.pem"
private_key_file = "{dir}/server.key"
client_ca_file = "{dir}/ca.pem"
[[callers]]
name = "{CALLER}"
scopes = ["login"]
tenants = ["*"]
[store.sqlite]
path = "{dir}/countersign.db"
[keys.files]
1 = "{dir}/root.key"
[log]
level = "debug"
[limits]
{limits}
"#
        );
        let file = folder.path().join("countersign.toml");
        write(&file, &config);
        let server = Server::start(command(&["serve", "--config", file.to_str().unwrap()])).await;
        Self { server, folder, servers, callers }
    }

    async fn connect(&self, identity: Option<Identity>) -> Result<Channel, tonic::transport::Error> {
        self.connect_trusting(&self.servers, identity).await
    }

    async fn connect_trusting(
        &self,
        authority: &Authority,
        identity: Option<Identity>,
    ) -> Result<Channel, tonic::transport::Error> {
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(authority.pem()))
            .domain_name("localhost");
        if let Some(identity) = identity {
            tls = tls.identity(identity);
        }
        let endpoint = Endpoint::from_shared(format!("https://{}", self.server.address)).unwrap();
        within(endpoint.tls_config(tls).unwrap().connect()).await
    }

    /// What health says to a caller who shows this certificate; in TLS 1.3 a refusal arrives with the first answer.
    async fn ask(&self, identity: Option<Identity>) -> Result<ServingStatus, String> {
        let channel = self.connect(identity).await.map_err(|error| format!("{error:?}"))?;
        health(channel, "").await.map_err(|status| format!("{status:?}"))
    }
}

fn put_server_certificate(folder: &Path, authority: &Authority) {
    let name = SanType::DnsName("localhost".try_into().unwrap());
    let (certificate, key) = authority.issue(name, ExtendedKeyUsagePurpose::ServerAuth, false);
    write(&folder.join("server.pem"), &certificate);
    write(&folder.join("server.key"), &key);
}

fn write(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// R42: a certificate of the right authority, in its time, gets a connection; every other ends the handshake.
#[tokio::test]
async fn only_certificates_that_verify_get_a_connection() {
    let mut production = Production::start("").await;
    let good = production.callers.caller(CALLER, false);
    assert_eq!(production.ask(Some(good)).await, Ok(ServingStatus::Serving));
    let stranger = Authority::new("strangers").caller(CALLER, false);
    let namesake = Authority::new("callers").caller(CALLER, false);
    let expired = production.callers.caller(CALLER, true);
    let of_a_server = {
        let name = SanType::URI(CALLER.try_into().unwrap());
        let (certificate, key) = production.callers.issue(name, ExtendedKeyUsagePurpose::ServerAuth, false);
        Identity::from_pem(certificate, key)
    };
    for (identity, why) in [
        (stranger, "UnknownIssuer"),
        (namesake, "BadSignature"),
        (expired, "certificate expired"),
        (of_a_server, "extended key usage"),
    ] {
        let told = production.ask(Some(identity)).await.unwrap_err();
        assert!(!told.contains("Unauthenticated"), "refused in the handshake, not by the call: {told}");
        // Clients try again, so the line may come more than once.
        production.server.logged(why).await;
    }
}

/// What a caller who shows this certificate is told when a login is to be checked: status and reason.
async fn login_told(production: &Production, identity: Option<Identity>) -> (Code, String) {
    let channel = production.connect(identity).await.unwrap();
    let request = CheckLoginRequest { tenant_id: "nobody".to_owned(), ..CheckLoginRequest::default() };
    let status = within(LoginServiceClient::new(channel).check_login(request)).await.unwrap_err();
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    (status.code(), reason)
}

/// R42: a caller without certificate, or with one whose names are not configured, gets a connection and a clear answer;
/// one that is configured is let in, for the scopes that it has and no other.
#[tokio::test]
async fn callers_are_known_by_the_names_in_their_certificates() {
    let production = Production::start("").await;
    let (code, reason) = login_told(&production, None).await;
    assert_eq!((code, reason.as_str()), (Code::Unauthenticated, "CALLER_CREDENTIALS_MISSING"));
    let other = production.callers.caller("spiffe://example.org/other", false);
    let (code, reason) = login_told(&production, Some(other)).await;
    assert_eq!((code, reason.as_str()), (Code::Unauthenticated, "CALLER_CREDENTIALS_INVALID"));
    let known = production.callers.caller(CALLER, false);
    let (code, reason) = login_told(&production, Some(known.clone())).await;
    assert!(
        !matches!(code, Code::Unauthenticated | Code::PermissionDenied | Code::Unavailable),
        "{code} {reason}"
    );
    let channel = production.connect(Some(known)).await.unwrap();
    let request = GetStatusRequest { tenant_id: "nobody".to_owned(), ..GetStatusRequest::default() };
    let status = within(AccountServiceClient::new(channel).get_status(request)).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}

/// R46: production has no reflection, and does not speak plain text.
#[tokio::test]
async fn production_has_neither_reflection_nor_plain_text() {
    let production = Production::start("").await;
    let good = production.callers.caller(CALLER, false);
    let channel = production.connect(Some(good)).await.unwrap();
    for path in [
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ] {
        let mut client = tonic::client::Grpc::new(channel.clone());
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<(), ()>::default();
        let reply = client.unary(tonic::Request::new(()), path.parse().unwrap(), codec).await;
        assert_eq!(reply.unwrap_err().code(), Code::Unimplemented, "{path}");
    }
    let plain = Endpoint::from_shared(format!("http://{}", production.server.address)).unwrap();
    let spoke = match within(plain.connect()).await {
        Ok(channel) => health(channel, "").await.is_ok(),
        Err(_) => false,
    };
    assert!(!spoke);
}

/// R66: a peer who connects and says nothing is let go, before TLS and after it.
#[tokio::test]
async fn who_says_nothing_is_let_go() {
    let production = Production::start("handshake_timeout_ms = 100").await;
    let mut silent = TcpStream::connect(production.server.address).await.unwrap();
    assert_eq!(within(silent.read(&mut [0; 1])).await.unwrap(), 0);
    let mut polite = tls_only(&production).await;
    assert_eq!(within(polite.read(&mut [0; 1])).await.unwrap_or(0), 0);
}

/// A TLS connection on which nothing is said.
async fn tls_only(production: &Production) -> TlsStream<TcpStream> {
    let config = trusting(production, rustls::DEFAULT_VERSIONS).with_no_client_auth();
    connect(production, &Arc::new(config)).await
}

/// A client that trusts the server and speaks these versions.
fn trusting(
    production: &Production,
    versions: &[&'static SupportedProtocolVersion],
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = rustls::RootCertStore::empty();
    let authority = production.servers.pem();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    builder.with_root_certificates(roots)
}

async fn connect(production: &Production, config: &Arc<ClientConfig>) -> TlsStream<TcpStream> {
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
    let stream = TcpStream::connect(production.server.address).await.unwrap();
    within(connector.connect("localhost".try_into().unwrap(), stream)).await.unwrap()
}

/// R42: no connection takes up an earlier one's session: each shows its certificate, and has it checked by today's
/// authorities and time.
#[tokio::test]
async fn no_session_is_taken_up_again() {
    let production = Production::start("").await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let name = SanType::URI(CALLER.try_into().unwrap());
        let (certificate, key) = production.callers.issue(name, ExtendedKeyUsagePurpose::ClientAuth, false);
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let mut config = trusting(&production, &[version]).with_client_auth_cert(chain, key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        // As much as a client can keep of a connection: the session of 1.2, and tickets.
        config.resumption = Resumption::in_memory_sessions(8);
        let config = Arc::new(config);
        for connection in 1..=3 {
            let mut stream = connect(&production, &config).await;
            let kind = stream.get_ref().1.handshake_kind();
            assert_eq!(kind, Some(HandshakeKind::Full), "{version:?}, connection {connection}");
            // A client greets with its settings; tickets come before the answer.
            within(stream.write_all(GREETING)).await.unwrap();
            assert_eq!(within(stream.read(&mut [0; 1])).await.unwrap(), 1);
        }
    }
}

/// R66: connections are bounded; one more is closed at once, and room is made by one that ends.
#[tokio::test]
async fn connections_are_bounded() {
    let mut production = Production::start("max_connections = 1").await;
    let first = production.connect(Some(production.callers.caller(CALLER, false))).await.unwrap();
    assert_eq!(health(first.clone(), "").await.unwrap(), ServingStatus::Serving);
    let mut second = TcpStream::connect(production.server.address).await.unwrap();
    assert_eq!(within(second.read(&mut [0; 1])).await.unwrap_or(0), 0);
    production.server.logged("no room for another connection").await;
    drop(first);
    let again = production.callers.caller(CALLER, false);
    within(async { while production.ask(Some(again.clone())).await.is_err() {} }).await;
}

/// New certificates are taken over without a restart; bad ones are told and not taken over.
#[tokio::test]
async fn certificates_are_loaded_again() {
    let mut production = Production::start("").await;
    let folder = production.folder.path().to_owned();
    let next = Authority::new("next");
    put_server_certificate(&folder, &next);
    production.server.signal(Signal::HUP);
    production.server.logged("the certificates were loaded again").await;
    let caller = production.callers.caller(CALLER, false);
    assert!(production.connect(Some(caller.clone())).await.is_err());
    let channel = production.connect_trusting(&next, Some(caller.clone())).await.unwrap();
    assert_eq!(health(channel, "").await.unwrap(), ServingStatus::Serving);

    write(&folder.join("server.key"), "not a key");
    production.server.signal(Signal::HUP);
    let line = production.server.logged("not usable").await;
    assert!(line.contains("tls.private_key_file"), "{line}");
    let channel = production.connect_trusting(&next, Some(caller)).await.unwrap();
    assert_eq!(health(channel, "").await.unwrap(), ServingStatus::Serving);
}
