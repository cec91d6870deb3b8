//! What a whole call costs inside the process: gate, limits, mapping, decision, and a store in memory; no network and no
//! database. `cargo bench --bench calls`. See docs/performance.md.

#![expect(clippy::unwrap_used, reason = "a bench that cannot begin ends")]
#![allow(dead_code, unused_imports, reason = "the tests use more of what they share")]

#[path = "../tests/grpc/support/mod.rs"]
mod support;

use countersign_api::v1;
use countersign_api_grpc::{Peer, PeerCertificate};
use countersign_domain::policy::Preset;
use divan::Bencher;
use prost::Message;
use std::time::Duration;
use support::{EVERYTHING, Person, World, code};
use tonic::body::Body;
use tonic::codegen::http::Request;
use tower::Service as _;

const TENANT: &str = "acme";
const CHECK_LOGIN: &str = "/countersign.v1.LoginService/CheckLogin";

fn main() {
    divan::main();
}

/// A call as it comes from HTTP/2 (gRPC over HTTP/2, "Length-Prefixed-Message").
fn call(message: &impl Message) -> Request<Body> {
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.encoded_len()).unwrap().to_be_bytes());
    message.encode(&mut framed).unwrap();
    let mut request = Request::post(CHECK_LOGIN).header("content-type", "application/grpc");
    let names = [EVERYTHING.to_owned()].into();
    request
        .extensions_mut()
        .unwrap()
        .insert(Peer { address: None, certificate: Some(PeerCertificate { names }) });
    request.body(Body::new(http_body_util::Full::from(framed))).unwrap()
}

/// `CheckLogin` of one user, each time with the next code, or without one.
fn logins(bencher: Bencher<'_, '_>, with_code: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (world, person, enrolled) = runtime.block_on(async {
        let world = World::new();
        world.tenant_with(TENANT, Preset::SelfServiceCode, |_| ()).await;
        let client = world.connect(Some(&[EVERYTHING])).await;
        let person = Person::new(TENANT, "ann");
        let enrolled = person.enroll(&world, &client).await;
        (world, person, enrolled)
    });
    let (service, mut count) = (world.service.clone(), 0_u64);
    bencher
        .with_inputs(|| {
            let now = world.clock.advance(Duration::from_secs(30));
            let proof = with_code.then(|| code(enrolled.app.code_at(now)));
            count += 1;
            let request_id = format!("00000000-0000-4000-8000-{count:012x}");
            call(&v1::CheckLoginRequest { request_id, ..person.check(&world, proof) })
        })
        .bench_local_values(|request| {
            let answer = runtime.block_on(service.clone().call(request)).unwrap();
            assert!(!answer.headers().contains_key("grpc-status"), "the call was refused");
            answer
        });
}

/// A right code.
#[divan::bench]
fn check_login_with_code(bencher: Bencher<'_, '_>) {
    logins(bencher, true);
}

/// No code: a challenge is opened.
#[divan::bench]
fn check_login_without_code(bencher: Bencher<'_, '_>) {
    logins(bencher, false);
}
