//! Whom a channel trusts over TLS: the authorities of the system, or those of a file alone.

use crate::SettingProblem;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// The certificates in a PEM text; at least one, each of which can be a trust anchor.
///
/// # Errors
/// [`SettingProblem`] of `authorities` for anything else.
pub fn authorities(pem: &str) -> Result<Vec<CertificateDer<'static>>, SettingProblem> {
    let problem =
        || SettingProblem::new("authorities", "holds no certificates; give the PEM file of an authority");
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(|_| problem())?;
    let mut store = RootCertStore::empty();
    for certificate in &found {
        store.add(certificate.clone()).map_err(|_| problem())?;
    }
    if found.is_empty() { Err(problem()) } else { Ok(found) }
}

/// TLS 1.2 and 1.3 towards servers whom these authorities vouch for; without any, those of the system do.
///
/// # Errors
/// [`SettingProblem`] of `authorities` where they are none, or TLS cannot be had.
pub fn client(pem: Option<&str>) -> Result<ClientConfig, SettingProblem> {
    let mut store = RootCertStore::empty();
    if let Some(pem) = pem {
        store.add_parsable_certificates(authorities(pem)?);
    } else {
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|_| SettingProblem::new("authorities", "TLS cannot be set up"))?;
    Ok(config.with_root_certificates(store).with_no_client_auth())
}
