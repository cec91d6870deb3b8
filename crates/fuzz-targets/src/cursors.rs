//! Tokens of pages and of places in the log (R43, R47, AIP-158): nothing panics; what opens is byte for byte a token that
//! the service makes, for the same list or tenant, and gives back what it was made of.

use crate::{Seed, Taken};
use countersign_api_grpc::fuzzing::{page_position, page_token, resume_after, resume_from, resumed};
use countersign_domain::digest::{DigestKeys, KeyId};
use countersign_domain::ids::{ChallengeId, Epoch, TenantId, UserId, UserRef};
use countersign_domain::secret::SecretBytes;
use countersign_domain::token;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use uuid::Uuid;

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
fn show(token: &str) -> Taken {
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
    let names = ["page", "place", "challenge", "ticket"];
    let opens: Taken =
        names.into_iter().zip(opened).filter(|(_, opened)| *opened).map(|(name, _)| name.into()).collect();
    assert!(opens.len() <= 1, "one purpose");
    opens
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

/// Shows it, and what is made of its parts, with changes of bytes as it says in pairs of place and byte.
pub fn run(data: &[u8]) -> Taken {
    let taken = std::str::from_utf8(data).map(show).unwrap_or_default();
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
    taken
}

/// Pages and places of this list and tenant, by both keys, and such of others.
pub fn seeds() -> Vec<Seed> {
    let old = DigestKeys::new([(KeyId(1), SecretBytes::from(vec![7; 32]))].into()).expect("a key");
    let gone = DigestKeys::new([(KeyId(3), SecretBytes::from(vec![7; 32]))].into()).expect("a key");
    let page = page_token(&KEYS, &LIST, b"ann");
    let behind = resume_after(&KEYS, &ACME, 7, 3);
    let challenge = |tenant: &TenantId| {
        let user = UserRef { tenant: tenant.clone(), user: UserId::parse("ann").expect("an id") };
        token::challenge(&KEYS, &user, Epoch(3), ChallengeId::from_uuid(Uuid::from_u128(9)))
    };
    vec![
        Seed::good("page", page.clone(), &["page"]),
        Seed::good("page-older-key", page_token(&old, &LIST, b"ann"), &["page"]),
        Seed::good("page-of-nothing", page_token(&KEYS, &LIST, b""), &["page"]),
        Seed::good("page-longest", page_token(&KEYS, &LIST, &[0x5a; 348]), &["page"]),
        Seed::good("place-beginning", resume_from(&KEYS, &ACME, None), &["place"]),
        Seed::good("place-time", resume_from(&KEYS, &ACME, Some(1_768_464_000_000_000)), &["place"]),
        Seed::good("place-behind-event", behind.clone(), &["place"]),
        Seed::good("place-behind-last", resume_after(&old, &ACME, u64::MAX, u64::MAX), &["place"]),
        Seed::good("challenge", challenge(&ACME).expose(), &["challenge"]),
        Seed::near("first-page", ""),
        Seed::near("page-longer", page_token(&KEYS, &LIST, &[0x5a; 349])),
        Seed::near("page-of-another-list", page_token(&KEYS, &[b"/List", b"globex"], b"ann")),
        Seed::near("page-arguments-parted", page_token(&KEYS, &[b"/Lista", b"cme"], b"ann")),
        Seed::near("page-key-gone", page_token(&gone, &LIST, b"ann")),
        Seed::near("page-no-digest", &page[..47]),
        Seed::near("page-padded", format!("{page}=")),
        Seed::near("place-of-another-tenant", resume_after(&KEYS, &OTHER, 7, 3)),
        Seed::near("place-cut", &behind[..behind.len() - 2]),
        Seed::near("place-and-more", format!("{behind}AAAA")),
        Seed::near("parts", *b"position-of-a-page/List\0acme"),
        Seed::near("numbers", [7_u64.to_be_bytes(), 3_u64.to_be_bytes()].concat()),
        Seed::near("edits", *b"\0A0B@C"),
    ]
}
