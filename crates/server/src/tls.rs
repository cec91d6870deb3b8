//! TLS as the server speaks it: rustls over ring, 1.2 at least, HTTP/2 only, client certificates checked when shown.
//!
//! A missing client certificate is let through here and refused by the gRPC layer, which can say why; one that does not
//! verify ends the handshake. Which name may do what is not decided here.

mod peer;
mod reload;
mod validity;

pub(crate) use peer::{is_caller_name, names};
pub(crate) use reload::{Reloading, Served, watch};
pub(crate) use validity::{Standing, Validity};

use crate::problem::Problem;
use crate::secret_file::{Readers, read as read_secret};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The PEM files that TLS is made of.
#[derive(Debug, Clone)]
pub(crate) struct TlsFiles {
    /// The server's certificate, then its intermediates.
    pub(crate) certificate: PathBuf,
    /// The key of the first certificate.
    pub(crate) private_key: PathBuf,
    /// Who issues callers' certificates; several may stand in one file while one replaces the other. `None` where
    /// callers show tokens instead.
    pub(crate) client_ca: Option<PathBuf>,
}

/// Reads the files and checks that they fit together. Also when the server's certificate counts, where that reads: one
/// that does not count is served all the same, because there is none better.
fn load(files: &TlsFiles) -> Result<(ServerConfig, Option<Validity>), Problem> {
    let chain = certificates("tls.certificate_file", &files.certificate)?;
    let validity = chain.first().and_then(Validity::of);
    let key = private_key(&files.private_key)?;
    let provider = Arc::new(provider());
    let verifier = match &files.client_ca {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(path) => {
            let roots = Arc::new(roots("tls.client_ca_file", path)?);
            WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .allow_unauthenticated()
                .build()
                .map_err(|error| unusable("tls.client_ca_file", path, &error))?
        }
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        // The defaults of rustls: 1.2 and 1.3, nothing older exists in it.
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("tls.private_key_file", &files.private_key, &error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| unusable("tls.private_key_file", &files.private_key, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // No resumption: every connection shows its certificate and has it checked against today's authorities and time.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok((config, validity))
}

/// TLS towards a server that one of these authorities vouches for.
pub(crate) fn client(key: &str, authorities: &Path) -> Result<ClientConfig, Problem> {
    let config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(key, authorities, &error))?;
    Ok(config.with_root_certificates(roots(key, authorities)?).with_no_client_auth())
}

fn roots(key: &str, path: &Path) -> Result<RootCertStore, Problem> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(key, path)? {
        roots.add(authority).map_err(|error| unusable(key, path, &error))?;
    }
    Ok(roots)
}

fn provider() -> CryptoProvider {
    ring::default_provider()
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(Problem::new(key, format!("{} holds no certificate; give a PEM file", path.display()))),
        Err(error) => Err(unusable(key, path, &error)),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Problem> {
    let text = read_secret("tls.private_key_file", path, Readers::Group)?;
    PrivateKeyDer::from_pem_slice(text.expose().as_bytes()).map_err(|_| {
        // The parser's error may quote what it could not read.
        let text =
            format!("{} holds no private key; give a PEM file with PKCS #8, PKCS #1 or SEC1", path.display());
        Problem::new("tls.private_key_file", text)
    })
}

fn unusable(key: &str, path: &Path, error: &dyn std::error::Error) -> Problem {
    Problem::new(key, format!("{} is not usable ({error}); check the file", path.display()))
}
