//! Certificates of an authority that lives for one run: the server's, and the caller's that the load comes from.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::Trouble;

/// What the server's certificate is for.
const SERVER: &str = "localhost";

/// Makes everything, writes the server's part below `folder`, and returns the caller's.
pub(crate) fn make(folder: &Path, caller: &str) -> Result<ClientTlsConfig, Trouble> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let (certificate, key) = issue(&authority, SERVER, ExtendedKeyUsagePurpose::ServerAuth)?;
    write(&folder.join("server.pem"), &certificate)?;
    write(&folder.join("server.key"), &key)?;
    write(&folder.join("ca.pem"), &authority.pem())?;
    let (certificate, key) = issue(&authority, caller, ExtendedKeyUsagePurpose::ClientAuth)?;
    Ok(ClientTlsConfig::new()
        .domain_name(SERVER)
        .ca_certificate(Certificate::from_pem(authority.pem()))
        .identity(Identity::from_pem(certificate, key)))
}

/// Certificate and key, in PEM.
fn issue(
    authority: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    usage: ExtendedKeyUsagePurpose,
) -> Result<(String, String), Trouble> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::DnsName(name.try_into()?)];
    params.extended_key_usages = vec![usage];
    Ok((params.signed_by(&key, authority)?.pem(), key.serialize_pem()))
}

fn write(path: &Path, text: &str) -> Result<(), Trouble> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(())
}
