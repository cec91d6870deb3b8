//! The names in a caller's certificate. The certificate was verified before; what a name may do is decided elsewhere.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

const SPIFFE: &str = "spiffe://";
/// The longest name of a caller; SPIFFE ids may be longer (SPIFFE-ID section 2.3), but the log of events keeps no more.
const MAX_NAME: usize = 255;

/// The SPIFFE ids and DNS names of the subject alternative names, as callers are configured by them. The subject's
/// common name is not a name (RFC 9525 section 2).
pub(crate) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else { return Vec::new() };
    // A URI is taken only where it cannot be read as a DNS name, so that neither kind passes for the other.
    let uris = certificate.valid_uri_names().filter(|name| name.starts_with(SPIFFE)).map(str::to_owned);
    let dns = certificate.valid_dns_names().map(str::to_ascii_lowercase);
    uris.chain(dns).filter(|name| is_caller_name(name)).collect()
}

/// Whether a text is a SPIFFE id or a DNS name in the form in which they are compared: byte by byte, without wildcard,
/// DNS names in lower case.
pub(crate) fn is_caller_name(name: &str) -> bool {
    name.strip_prefix(SPIFFE).map_or_else(|| is_dns_name(name), is_spiffe_rest) && name.len() <= MAX_NAME
}

/// Trust domain and path (SPIFFE-ID sections 2.1 and 2.2).
fn is_spiffe_rest(rest: &str) -> bool {
    let Some((domain, path)) = rest.split_once('/') else { return false };
    let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=255).contains(&domain.len())
        && domain.bytes().all(|b| lower(b) || b"-._".contains(&b))
        && path.split('/').all(|segment| {
            !matches!(segment, "" | "." | "..")
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        })
}

/// Labels of lower-case letters, digits and inner hyphens (RFC 1123 section 2.1).
fn is_dns_name(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    fn names_of(sans: Vec<SanType>) -> Vec<String> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "common.example");
        params.subject_alt_names = sans;
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        names(certificate.der())
    }

    /// R42: callers are known by SPIFFE ids and DNS names, and by nothing else of a certificate.
    #[test]
    fn only_spiffe_ids_and_dns_names_are_names() {
        let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
        let uri = |name: &str| SanType::URI(name.try_into().unwrap());
        let found = names_of(vec![
            dns("Login.Example"),
            dns("*.example"),
            uri("spiffe://example/login"),
            uri("https://example/login"),
            uri("team.example"),
            SanType::IpAddress([127, 0, 0, 1].into()),
            SanType::Rfc822Name("mail.example".try_into().unwrap()),
        ]);
        assert_eq!(found, ["spiffe://example/login", "login.example"]);
        assert_eq!(names_of(Vec::new()), Vec::<String>::new());
    }

    /// R42: a name has one spelling, so that what is granted to one is not granted to another that looks like it.
    #[test]
    fn caller_names_have_one_spelling() {
        for good in
            ["login", "login.example", "a-1.example", "spiffe://example.org/a/B_c.d-e", "spiffe://x/y"]
        {
            assert!(is_caller_name(good), "{good}");
        }
        for bad in [
            "",
            "*.example",
            "Login.example",
            "login.example.",
            "-a.example",
            "login example",
            "spiffe://",
            "spiffe://example",
            "spiffe://example/",
            "spiffe://example/a//b",
            "spiffe://example/a/../b",
            "spiffe://Example/a",
            "spiffe://example/a?b",
            "SPIFFE://example/a",
            "https://example/a",
        ] {
            assert!(!is_caller_name(bad), "{bad}");
        }
    }
}
