//! A configuration of production: TLS with certificates of an authority of the test's own, one caller with every scope,
//! and the most talkative log there is.

use super::node::Data;
use super::{Node, within};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

const CALLER: &str = "login.example.org";

/// What a caller needs to connect.
#[derive(Clone)]
pub(crate) struct Credentials {
    authority: String,
    identity: Identity,
}

/// A production server on the database and the key of this data, which a development server made.
pub(crate) async fn start(data: Arc<Data>) -> (Node, Credentials) {
    let keys = format!("1 = \"{}/root.key\"", data.folder().display());
    start_with_keys(data, &keys).await
}

/// The same with `more` tables of configuration.
pub(crate) async fn start_with(data: Arc<Data>, more: &str) -> (Node, Credentials) {
    let keys = format!("1 = \"{}/root.key\"\n{more}", data.folder().display());
    start_with_keys(data, &keys).await
}

/// The same with these lines of `[keys.files]`, and whatever tables follow.
pub(crate) async fn start_with_keys(data: Arc<Data>, keys: &str) -> (Node, Credentials) {
    let credentials = certify(&data);
    let file = data.folder().join("countersign.toml");
    write(&file, &configuration(&data, keys));
    let arguments = ["serve", "--config", file.to_str().expect("a plain path")].map(str::to_owned).to_vec();
    (Node::start_with(data, arguments).await, credentials)
}

/// Writes certificates for servers on this data, and gives what a caller of theirs needs.
pub(crate) fn certify(data: &Data) -> Credentials {
    let authority = authority();
    let (certificate, key) = issue(&authority, "localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let dir = data.folder();
    write(&dir.join("server.pem"), &certificate);
    write(&dir.join("server.key"), &key);
    write(&dir.join("ca.pem"), &authority.pem());
    let (certificate, key) = issue(&authority, CALLER, ExtendedKeyUsagePurpose::ClientAuth);
    write(&dir.join("caller.pem"), &certificate);
    write(&dir.join("caller.key"), &key);
    Credentials { authority: authority.pem(), identity: Identity::from_pem(certificate, key) }
}

/// A connection with these credentials.
pub(crate) async fn connect(node: &Node, credentials: &Credentials) -> Channel {
    within(endpoint(node.address(), credentials).connect()).await.expect("it takes connections")
}

/// How to connect to this address with these credentials.
pub(crate) fn endpoint(address: &str, credentials: &Credentials) -> Endpoint {
    let tls = ClientTlsConfig::new()
        .domain_name("localhost")
        .ca_certificate(Certificate::from_pem(&credentials.authority))
        .identity(credentials.identity.clone());
    let endpoint = Endpoint::from_shared(format!("https://{address}")).expect("an address");
    endpoint.tls_config(tls).expect("TLS")
}

/// A configuration with these lines of `[keys.files]`.
pub(crate) fn configuration(data: &Data, keys: &str) -> String {
    let dir = data.folder().display();
    let store = match data.postgres() {
        Some(url) => format!("[store]\nwitness_file = \"{dir}/witness\"\n[store.postgres]\nurl = \"{url}\""),
        None => format!("[store.sqlite]\npath = \"{dir}/countersign.db\""),
    };
    format!(
        r#"
[listen]
address = "127.0.0.1:0"
[tls]
certificate_file = "{dir}/server.pem"
private_key_file = "{dir}/server.key"
client_ca_file = "{dir}/ca.pem"
[[callers]]
name = "{CALLER}"
scopes = ["login", "account.read", "account.write", "directory", "events.read", "policy.write", "policy.weaken"]
tenants = ["*"]
{store}
[keys.files]
{keys}
[log]
format = "json"
level = "trace"
"#
    )
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

/// Certificate and key, in PEM.
fn issue(
    authority: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    usage: ExtendedKeyUsagePurpose,
) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::DnsName(name.try_into().expect("a name"))];
    params.extended_key_usages = vec![usage];
    (params.signed_by(&key, authority).expect("a certificate").pem(), key.serialize_pem())
}

/// A file for its owner alone.
pub(crate) fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("it can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its mode can be set");
}
