//! What messages of a login cost to read and to write: `cargo bench --bench messages`. See docs/performance.md.

#![expect(clippy::unwrap_used, reason = "a bench that cannot begin ends")]

use countersign_api::v1;
use divan::Bencher;
use prost::Message;

fn main() {
    divan::main();
}

fn request() -> v1::CheckLoginRequest {
    v1::CheckLoginRequest {
        tenant_id: "acme".to_owned(),
        user_id: "ann@example.org".to_owned(),
        first_factor: Some(v1::FirstFactor {
            method: v1::FirstFactorMethod::Password.into(),
            verify_time: Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 0 }),
            ..v1::FirstFactor::default()
        }),
        client: Some(v1::ClientContext {
            ip_address: "192.0.2.7".to_owned(),
            user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
            application: "web".to_owned(),
            ..v1::ClientContext::default()
        }),
        answer: Some(v1::Proof { kind: Some(v1::proof::Kind::Code("123456".to_owned())) }),
        purpose: v1::LoginPurpose::Login.into(),
        request_id: "6a6b4b0e-7c0a-4a55-9df3-0d8a4e6f5f11".to_owned(),
        ..v1::CheckLoginRequest::default()
    }
}

/// A request of `CheckLogin`, read.
#[divan::bench]
fn decode_check_login(bencher: Bencher<'_, '_>) {
    let bytes = request().encode_to_vec();
    bencher.bench_local(|| v1::CheckLoginRequest::decode(bytes.as_slice()).unwrap());
}

/// The same, written: what a caller pays.
#[divan::bench]
fn encode_check_login(bencher: Bencher<'_, '_>) {
    let request = request();
    bencher.bench_local(|| request.encode_to_vec());
}
