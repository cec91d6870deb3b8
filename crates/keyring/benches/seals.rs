//! What seals and digests of a login cost: `cargo bench --bench seals`. See docs/performance.md.

#![expect(clippy::unwrap_used, reason = "a bench that cannot begin ends")]

use countersign_domain::digest::KeyId;
use countersign_domain::ids::{AuthenticatorId, CallerId, RequestId, TenantId, UserId, UserRef};
use countersign_domain::otp::{Algorithm, Digits, Period, TotpKey, TotpParameters};
use countersign_domain::secret::SecretBytes;
use countersign_keyring::{Keyring, RootKey};
use divan::Bencher;
use uuid::Uuid;

fn main() {
    divan::main();
}

fn keyring() -> Keyring {
    Keyring::new(
        [(
            KeyId(1),
            RootKey::from_bytes(std::array::from_fn(|at| b"what opens here is but a bench..."[at])).unwrap(),
        )]
        .into(),
    )
    .unwrap()
}

fn user() -> UserRef {
    UserRef { tenant: TenantId::parse("acme").unwrap(), user: UserId::parse("ann@example.org").unwrap() }
}

/// The key of an authenticator app, opened for one login.
#[divan::bench]
fn open_key(bencher: Bencher<'_, '_>) {
    let (keyring, user) = (keyring(), user());
    let id = AuthenticatorId::from_uuid(Uuid::from_u128(5));
    let parameters = TotpParameters {
        algorithm: Algorithm::Sha1,
        digits: Digits::from_count(6).unwrap(),
        period: Period::new(30).unwrap(),
    };
    let key = TotpKey::from_entropy(&[7; TotpKey::GENERATED_LEN]);
    let sealed = keyring.seal_authenticator_key(&user, id, &parameters, &key, [9; 24]);
    bencher.bench_local(|| keyring.open_authenticator_key(&user, id, &parameters, &sealed));
}

/// The answer of a login, sealed to be repeated.
#[divan::bench]
fn seal_reply(bencher: Bencher<'_, '_>) {
    let (keyring, user) = (keyring(), user());
    let caller = CallerId::parse("login.example").unwrap();
    let request = RequestId::from_uuid(Uuid::from_u128(6));
    let reply = SecretBytes::new(vec![1; 160]);
    bencher.bench_local(|| keyring.seal_reply(&caller, &user, request, &reply, [9; 24]));
}

/// The digest by which a repeated request is known.
#[divan::bench]
fn digest_arguments(bencher: Bencher<'_, '_>) {
    let digests = keyring().digests();
    let arguments = [1; 320];
    bencher.bench_local(|| digests.guesses.digest(&[b"request-arguments", &arguments]));
}
