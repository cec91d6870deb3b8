//! What the tests of the channels share: a letter, and servers that answer as the test says and keep what they got.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says where"
)]

pub mod http;
pub mod smtp;

use countersign_domain::event::EventType;
use countersign_ports::{Letter, NoticeId, OutboxEntry};
use countersign_testkit::{SeededRandom, fixtures};
use rustls::pki_types::PrivateKeyDer;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use uuid::Uuid;

/// TLS of a server that calls itself `localhost`, and the authority that vouches for it, in PEM.
pub fn tls() -> (TlsAcceptor, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (TlsAcceptor::from(Arc::new(server)), certificate.pem())
}

/// A letter to this address.
pub fn letter(email: &str) -> Letter {
    let random = SeededRandom::new(1);
    let event = fixtures::event_record(&random, &fixtures::user("acme", "ann"), EventType::TwoFactorEnabled);
    let mut notice = fixtures::notice_record(&random, &event);
    notice.id = NoticeId(Uuid::from_u128(7));
    email.clone_into(&mut notice.email);
    Letter {
        entry: OutboxEntry { notice, event, attempts: 0 },
        service: "Exämple".to_owned(),
        support_contact: "security@example.com".to_owned(),
        advice_url: "https://example.com/help".to_owned(),
    }
}
