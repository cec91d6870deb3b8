//! Tokens that callers hold (R38, R48): nothing panics, and what opens is byte for byte a token that the service makes.

#![no_main]

use countersign_domain::digest::{DigestKeys, KeyId};
use countersign_domain::ids::{ChallengeId, Epoch, TenantId, UserId, UserRef};
use countersign_domain::secret::SecretBytes;
use countersign_domain::token;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use uuid::Uuid;

static KEYS: LazyLock<DigestKeys> = LazyLock::new(|| {
    let keys = BTreeMap::from([(KeyId(1), SecretBytes::from(vec![7; 32]))]);
    DigestKeys::new(keys).expect("a key")
});
static USER: LazyLock<UserRef> = LazyLock::new(|| UserRef {
    tenant: TenantId::parse("acme").expect("an id"),
    user: UserId::parse("ann").expect("an id"),
});
static GENUINE: LazyLock<String> = LazyLock::new(|| {
    token::challenge(&KEYS, &USER, Epoch(3), ChallengeId::from_uuid(Uuid::from_u128(9))).expose().to_owned()
});

/// Opens it as everything; at most one of them may.
fn open(presented: &str) {
    let challenge = token::open_challenge(&KEYS, presented);
    let ticket = token::open_ticket(&KEYS, presented);
    assert!(challenge.is_none() || ticket.is_none(), "one purpose");
    if let Some(opened) = challenge {
        assert_eq!(token::challenge(&KEYS, &opened.user, opened.epoch, opened.id).expose(), presented);
    }
    if let Some(opened) = ticket {
        assert_eq!(token::ticket(&KEYS, &opened.user, opened.epoch, opened.id).expose(), presented);
    }
    let _ = token::open_client(&KEYS, &USER, Epoch(3), "web", presented);
}

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        open(text);
    }
    // A genuine one with a few bytes changed.
    let mut edited = GENUINE.clone().into_bytes();
    for change in data.chunks_exact(2) {
        let place = usize::from(change[0]) % edited.len();
        edited[place] = change[1] & 0x7f;
    }
    if let Ok(text) = std::str::from_utf8(&edited) {
        open(text);
        assert!(text == *GENUINE || token::open_challenge(&KEYS, text).is_none());
    }
});
