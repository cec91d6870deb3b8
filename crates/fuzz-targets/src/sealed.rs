//! Sealed columns (R50): nothing panics, and nothing opens but what was sealed, where it was sealed.
//!
//! An input is shown as it is; then as changes of a genuine column, which its first byte chooses, in pairs of place and
//! byte.

use crate::{Seed, Taken};
use countersign_domain::digest::KeyId;
use countersign_domain::ids::{
    AuthenticatorId, CallerId, EnrollmentId, RequestId, TenantId, UserId, UserRef,
};
use countersign_domain::otp::{TotpKey, TotpParameters};
use countersign_domain::phone_number::PhoneNumber;
use countersign_domain::secret::SecretBytes;
use countersign_keyring::{Keyring, NONCE_LEN, RootKey, key_id_of};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use uuid::Uuid;

static KEYRING: LazyLock<Keyring> = LazyLock::new(|| keyring(7));
static USER: LazyLock<UserRef> = LazyLock::new(|| user("ann"));
static CALLER: LazyLock<CallerId> =
    LazyLock::new(|| CallerId::parse("spiffe://example.org/login").expect("an id"));
/// A column of each kind, all of the same row.
static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| columns(&KEYRING, &USER));

const PARAMETERS: fn() -> TotpParameters = TotpParameters::default;
const NONCE: [u8; NONCE_LEN] = [3; NONCE_LEN];

/// A kind of column: what was sealed, and whether a text opens as it.
struct Column {
    name: &'static str,
    sealed: Vec<u8>,
    opens: fn(&[u8]) -> bool,
}

fn keyring(byte: u8) -> Keyring {
    let mut bytes = [byte; RootKey::LEN];
    bytes[0] = 1;
    let root = RootKey::from_bytes(bytes).expect("a key");
    Keyring::new(BTreeMap::from([(KeyId(1), root)])).expect("one key is enough")
}

fn user(id: &str) -> UserRef {
    UserRef { tenant: TenantId::parse("acme").expect("an id"), user: UserId::parse(id).expect("an id") }
}

fn authenticator() -> AuthenticatorId {
    AuthenticatorId::from_uuid(Uuid::from_u128(9))
}

fn enrollment() -> EnrollmentId {
    EnrollmentId::from_uuid(Uuid::from_u128(9))
}

fn request() -> RequestId {
    RequestId::from_uuid(Uuid::from_u128(9))
}

fn columns(keyring: &Keyring, user: &UserRef) -> Vec<Column> {
    let key = TotpKey::from_entropy(&[5; TotpKey::GENERATED_LEN]);
    let number = PhoneNumber::parse("+5511987654321").expect("a number");
    let reply = SecretBytes::new(b"an answer".to_vec());
    vec![
        Column {
            name: "authenticator key",
            sealed: keyring.seal_authenticator_key(user, authenticator(), &PARAMETERS(), &key, NONCE),
            opens: |it| KEYRING.open_authenticator_key(&USER, authenticator(), &PARAMETERS(), it).is_ok(),
        },
        Column {
            name: "pending key",
            sealed: keyring.seal_pending_key(user, enrollment(), &PARAMETERS(), &key, NONCE),
            opens: |it| KEYRING.open_pending_key(&USER, enrollment(), &PARAMETERS(), it).is_ok(),
        },
        Column {
            name: "phone number",
            sealed: keyring.seal_phone_number(user, authenticator(), &number, NONCE),
            opens: |it| KEYRING.open_phone_number(&USER, authenticator(), it).is_ok(),
        },
        Column {
            name: "pending phone number",
            sealed: keyring.seal_pending_phone_number(user, enrollment(), &number, NONCE),
            opens: |it| KEYRING.open_pending_phone_number(&USER, enrollment(), it).is_ok(),
        },
        Column {
            name: "security key",
            sealed: keyring.seal_security_key(user, authenticator(), "{}", NONCE),
            opens: |it| KEYRING.open_security_key(&USER, authenticator(), it).is_ok(),
        },
        Column {
            name: "reply",
            sealed: keyring.seal_reply(&CALLER, user, request(), &reply, NONCE),
            opens: |it| KEYRING.open_reply(&CALLER, &USER, request(), it).is_ok(),
        },
    ]
}

fn open(sealed: &[u8]) -> Taken {
    let mut taken = Taken::new();
    for column in COLUMNS.iter() {
        let opened = (column.opens)(sealed);
        assert_eq!(opened, sealed == column.sealed, "what opens as {} and is not", column.name);
        taken.extend(opened.then_some(column.name.into()));
    }
    assert!(taken.is_empty() || key_id_of(sealed) == Some(KeyId(1)));
    taken
}

/// Opens it as everything.
pub fn run(input: &[u8]) -> Taken {
    let taken = open(input);
    if let Some((which, changes)) = input.split_first() {
        let mut edited = COLUMNS[usize::from(*which) % COLUMNS.len()].sealed.clone();
        for change in changes.chunks_exact(2) {
            let place = usize::from(change[0]) % edited.len();
            edited[place] = change[1];
        }
        open(&edited);
        edited.truncate(changes.len());
        open(&edited);
    }
    taken
}

/// A column of each kind, and columns of another key, user and format.
pub fn seeds() -> Vec<Seed> {
    let name = |column: &Column| column.name.replace(' ', "-");
    let mut seeds: Vec<_> = columns(&KEYRING, &USER)
        .iter()
        .map(|column| Seed::good(&name(column), column.sealed.clone(), &[column.name]))
        .collect();
    let key = &COLUMNS[0].sealed;
    let changed = |place: usize, to: u8| {
        let mut bytes = key.clone();
        bytes[place] = to;
        bytes
    };
    seeds.extend([
        Seed::near("another-key", columns(&keyring(8), &USER)[0].sealed.clone()),
        Seed::near("another-user", columns(&KEYRING, &user("bob"))[0].sealed.clone()),
        Seed::near("format-2", changed(0, 2)),
        Seed::near("key-gone", changed(4, 2)),
        Seed::near("another-nonce", changed(5, 0)),
        Seed::near("tag-broken", changed(key.len() - 1, 0)),
        Seed::near("no-ciphertext", [&key[..29], &key[key.len() - 16..]].concat()),
        Seed::near("head-alone", &key[..5]),
        Seed::near("edits", [1, 0, 0, 1, 1]),
    ]);
    seeds
}
