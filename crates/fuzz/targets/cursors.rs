//! Tokens of pages and of places in the log (R43, R47, AIP-158): nothing panics; what opens is byte for byte a token that
//! the service makes, for the same list or tenant, and gives back what it was made of.

#![no_main]

use countersign_api_grpc::fuzzing::{page_position, page_token, resume_after, resume_from, resumed};
use countersign_domain::digest::{DigestKeys, KeyId};
use countersign_domain::ids::TenantId;
use countersign_domain::secret::SecretBytes;
use countersign_domain::token;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::sync::LazyLock;

static KEYS: LazyLock<DigestKeys> = LazyLock::new(|| {
    let keys = BTreeMap::from([
        (KeyId(1), SecretBytes::from(vec![7; 32])),
        (KeyId(2), SecretBytes::from(vec![8; 32])),
    ]);
    DigestKeys::new(keys).expect("keys")
});
static ACME: LazyLock<TenantId> = LazyLock::new(|| TenantId::parse("acme").expect("an id"));
static OTHER: LazyLock<TenantId> = LazyLock::new(|| TenantId::parse("acme-2").expect("an id"));
const LIST: [&[u8]; 2] = [b"/List", b"acme"];

/// Shows it everywhere; it opens one thing at most, and only in its own spelling.
fn show(token: &str) {
    let page = page_position(&KEYS, &LIST, token);
    if let Some(Some(position)) = &page {
        assert_eq!(made(&page_token(&KEYS, &LIST, position)), made(token));
        assert_eq!(page_position(&KEYS, &[b"/List", b"acme-2"], token), None, "another list");
    }
    assert_eq!(page == Some(None), token.is_empty(), "only no token is the first page");
    let place = resumed(&KEYS, &ACME, token);
    if let Some(again) = &place {
        assert_eq!(made(again), made(token));
        assert_eq!(resumed(&KEYS, &OTHER, token), None, "another tenant");
    }
    let opened = [
        matches!(page, Some(Some(_))),
        place.is_some(),
        token::open_challenge(&KEYS, token).is_some(),
        token::open_ticket(&KEYS, token).is_some(),
    ];
    assert!(opened.iter().filter(|opened| **opened).count() <= 1, "one purpose");
}

/// A token without the id of its key and its digest, which differ where an older key made it; and how long it is.
fn made(token: &str) -> (Option<&str>, usize) {
    (token.get(48..), token.len())
}

/// Changes bytes at places, as `data` says in pairs.
fn edited(token: &str, data: &[u8]) -> String {
    let mut bytes = token.as_bytes().to_vec();
    for change in data.chunks_exact(2) {
        let place = usize::from(change[0]) % bytes.len();
        bytes[place] = change[1] & 0x7f;
    }
    String::from_utf8(bytes).expect("ASCII")
}

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        show(text);
    }
    // What is made opens, and is bound to all that it was made with, however it is parted.
    let (position, arguments) = data.split_at(data.len() / 2);
    let (one, two) = arguments.split_at(arguments.len() / 2);
    let page = page_token(&KEYS, &[one, two], position);
    let fits = page.len() <= 512;
    assert_eq!(page_position(&KEYS, &[one, two], &page), fits.then(|| Some(position.to_vec())));
    if !arguments.is_empty() {
        assert_eq!(page_position(&KEYS, &[arguments, b""], &page), None, "arguments parted elsewhere");
        assert_eq!(page_position(&KEYS, &[one], &page), None, "an argument less");
    }
    let number =
        |at: usize| data.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
    let places = [
        resume_from(&KEYS, &ACME, number(0).map(u64::cast_signed)),
        resume_after(&KEYS, &ACME, number(0).unwrap_or_default(), number(8).unwrap_or(u64::MAX)),
    ];
    for genuine in places {
        assert_eq!(resumed(&KEYS, &ACME, &genuine).as_deref(), Some(genuine.as_str()));
        show(&genuine);
        let other = edited(&genuine, data);
        show(&other);
        assert!(other == genuine || resumed(&KEYS, &ACME, &other).is_none(), "an edited token");
    }
    let genuine = page_token(&KEYS, &LIST, &data[..data.len().min(64)]);
    let other = edited(&genuine, data);
    show(&other);
    assert!(
        other == genuine || !matches!(page_position(&KEYS, &LIST, &other), Some(Some(_))),
        "an edited token"
    );
});
