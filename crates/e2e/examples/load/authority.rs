//! Certificates of an authority that lives for one run: the server's, and the caller's that the load comes from.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::Trouble;

/// What the server's certificate is for.
pub(crate) const SERVER: &str = "localhost";

/// Makes everything, writes the server's part below `folder`, and returns the caller's.
pub(crate) fn make(folder: &Path, caller: &str) -> Result<Arc<ClientConfig>, Trouble> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let (certificate, key) = issue(&authority, SERVER, ExtendedKeyUsagePurpose::ServerAuth)?;
    write(&folder.join("server.pem"), &certificate.pem())?;
    write(&folder.join("server.key"), &key.serialize_pem())?;
    write(&folder.join("ca.pem"), &authority.pem())?;
    let (certificate, key) = issue(&authority, caller, ExtendedKeyUsagePurpose::ClientAuth)?;
    let mut known = RootCertStore::empty();
    known.add(authority.der().clone())?;
    let key = PrivateKeyDer::try_from(key.serialize_der())?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(known)
        .with_client_auth_cert(vec![CertificateDer::from(certificate)], key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// Certificate and key.
fn issue(
    authority: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    usage: ExtendedKeyUsagePurpose,
) -> Result<(Certificate, KeyPair), Trouble> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::DnsName(name.try_into()?)];
    params.extended_key_usages = vec![usage];
    Ok((params.signed_by(&key, authority)?, key))
}

fn write(path: &Path, text: &str) -> Result<(), Trouble> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(())
}
