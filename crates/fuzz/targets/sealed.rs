//! Sealed columns (R50): nothing panics, and nothing opens but what was sealed, where it was sealed.

#![no_main]

use countersign_domain::digest::KeyId;
use countersign_domain::ids::{AuthenticatorId, EnrollmentId, TenantId, UserId, UserRef};
use countersign_domain::otp::{TotpKey, TotpParameters};
use countersign_keyring::{Keyring, NONCE_LEN, RootKey, key_id_of};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use uuid::Uuid;

static KEYRING: LazyLock<Keyring> = LazyLock::new(|| {
    let mut bytes = [7; RootKey::LEN];
    bytes[0] = 1;
    let root = RootKey::from_bytes(bytes).expect("a key");
    Keyring::new(BTreeMap::from([(KeyId(1), root)])).expect("one key is enough")
});
static USER: LazyLock<UserRef> = LazyLock::new(|| UserRef {
    tenant: TenantId::parse("acme").expect("an id"),
    user: UserId::parse("ann").expect("an id"),
});
static GENUINE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let key = TotpKey::from_entropy(&[5; TotpKey::GENERATED_LEN]);
    KEYRING.seal_authenticator_key(&USER, row(), &TotpParameters::default(), &key, [3; NONCE_LEN])
});

fn row() -> AuthenticatorId {
    AuthenticatorId::from_uuid(Uuid::from_u128(9))
}

fn open(sealed: &[u8]) {
    let parameters = TotpParameters::default();
    let pending = EnrollmentId::from_uuid(row().uuid());
    let opened = KEYRING.open_authenticator_key(&USER, row(), &parameters, sealed);
    assert_eq!(opened.is_ok(), sealed == GENUINE.as_slice());
    assert!(KEYRING.open_pending_key(&USER, pending, &parameters, sealed).is_err(), "another purpose");
    assert!(KEYRING.open_phone_number(&USER, row(), sealed).is_err(), "another purpose");
    let _ = key_id_of(sealed);
}

fuzz_target!(|data: &[u8]| {
    open(data);
    let mut edited = GENUINE.clone();
    for change in data.chunks_exact(2) {
        let place = usize::from(change[0]) % edited.len();
        edited[place] = change[1];
    }
    open(&edited);
    edited.truncate(data.len());
    open(&edited);
});
