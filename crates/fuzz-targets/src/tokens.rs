//! Tokens that callers hold (R38, R48): nothing panics, and what opens is byte for byte a token that the service makes.

use crate::{Seed, Taken};
use countersign_domain::digest::{DigestKeys, KeyId};
use countersign_domain::ids::{ChallengeId, ClientId, Epoch, TenantId, TicketId, UserId, UserRef};
use countersign_domain::secret::{SecretBytes, SecretString};
use countersign_domain::token;
use countersign_domain::user::RememberedClient;
use countersign_testkit::fixtures;
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
static GENUINE: LazyLock<String> = LazyLock::new(|| challenge(&KEYS, &USER));
const EPOCH: Epoch = Epoch(3);

/// Opens it as everything; at most one of them may.
fn open(presented: &str) -> Taken {
    let mut taken = Taken::new();
    if let Some(opened) = token::open_challenge(&KEYS, presented) {
        assert_eq!(token::challenge(&KEYS, &opened.user, opened.epoch, opened.id).expose(), presented);
        taken.push("challenge".into());
    }
    if let Some(opened) = token::open_ticket(&KEYS, presented) {
        assert_eq!(token::ticket(&KEYS, &opened.user, opened.epoch, opened.id).expose(), presented);
        taken.push("ticket".into());
    }
    if let Some(opened) = token::open_client(&KEYS, &USER, EPOCH, "web", presented) {
        let again = token::client(&KEYS, &USER, &client(opened.id, opened.generation));
        assert_eq!(again.as_ref().map(SecretString::expose), Some(presented));
        taken.push("remembered client".into());
    }
    assert!(taken.len() <= 1, "one purpose");
    taken
}

/// Opens it as it is, and as changes of bytes of a genuine one, in pairs of place and byte.
pub fn run(input: &[u8]) -> Taken {
    let taken = std::str::from_utf8(input).map(open).unwrap_or_default();
    let mut edited = GENUINE.clone().into_bytes();
    for change in input.chunks_exact(2) {
        let place = usize::from(change[0]) % edited.len();
        edited[place] = change[1] & 0x7f;
    }
    if let Ok(text) = std::str::from_utf8(&edited) {
        let opened = open(text);
        assert!(text == *GENUINE || opened.is_empty(), "an edited token");
    }
    taken
}

fn row() -> Uuid {
    Uuid::from_u128(9)
}

fn challenge(keys: &DigestKeys, user: &UserRef) -> String {
    token::challenge(keys, user, EPOCH, ChallengeId::from_uuid(row())).expose().to_owned()
}

fn client(id: ClientId, generation: u32) -> RememberedClient {
    RememberedClient {
        id,
        key: KeyId(1),
        generation,
        rotate_time: fixtures::START,
        application: "web".to_owned(),
        display_name: String::new(),
        last_ip_address: String::new(),
        create_time: fixtures::START,
        last_use_time: fixtures::START,
        expire_time: fixtures::START,
        epoch: EPOCH,
    }
}

/// A token of each purpose, and tokens of another key, user, epoch or spelling.
pub fn seeds() -> Vec<Seed> {
    let bob = UserRef { user: UserId::parse("bob").expect("an id"), ..USER.clone() };
    let longest = UserRef {
        tenant: TenantId::parse(&"t".repeat(63)).expect("an id"),
        user: UserId::parse(&"u".repeat(128)).expect("an id"),
    };
    let remembered = client(ClientId::from_uuid(row()), 4);
    let remembered_by = |user: &UserRef, client: &RememberedClient| {
        token::client(&KEYS, user, client).expect("its key is there").expose().to_owned()
    };
    let ticket = token::ticket(&KEYS, &USER, EPOCH, TicketId::from_uuid(row())).expose().to_owned();
    let genuine = &*GENUINE;
    let planted = DigestKeys::new([(KeyId(1), SecretBytes::from(vec![8; 32]))].into()).expect("a key");
    let gone = DigestKeys::new([(KeyId(2), SecretBytes::from(vec![7; 32]))].into()).expect("a key");
    let elsewhere = RememberedClient { application: "shop".to_owned(), ..remembered.clone() };
    vec![
        Seed::good("challenge", genuine.clone(), &["challenge"]),
        Seed::good("challenge-longest-ids", challenge(&KEYS, &longest), &["challenge"]),
        Seed::good("ticket", ticket.clone(), &["ticket"]),
        Seed::good("remembered-client", remembered_by(&USER, &remembered), &["remembered client"]),
        Seed::near("challenge-planted", challenge(&planted, &USER)),
        Seed::near("challenge-key-gone", challenge(&gone, &USER)),
        Seed::near("challenge-as-ticket", format!("Ag{}", &genuine[2..])),
        Seed::near("challenge-no-digest", &genuine[..51]),
        Seed::near("challenge-padded", format!("{genuine}=")),
        Seed::near("challenge-cut", &genuine[1..]),
        Seed::near("ticket-and-more", format!("{ticket}AAAA")),
        Seed::near("remembered-client-of-bob", remembered_by(&bob, &remembered)),
        Seed::near("remembered-client-elsewhere", remembered_by(&USER, &elsewhere)),
        Seed::near(
            "remembered-client-old-epoch",
            remembered_by(&USER, &RememberedClient { epoch: Epoch(2), ..remembered }),
        ),
        Seed::near("longer-than-a-token", "A".repeat(token::MAX_TOKEN_LEN + 4)),
        Seed::near("edits", [0, b'A', 1, b'B']),
    ]
}
