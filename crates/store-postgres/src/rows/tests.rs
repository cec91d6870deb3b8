//! Rows that this service cannot have written: each is named, none becomes half a value.

use super::LoadRow;
use countersign_domain::digest::KeyId;
use countersign_domain::ids::{TenantId, UserId, UserRef};
use countersign_domain::user::UserState;
use countersign_keyring::{Keyring, RootKey};
use countersign_ports::StoreError;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use uuid::Uuid;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

/// A user who owns nothing, as a row.
fn plain() -> LoadRow {
    LoadRow {
        n: 0,
        policy_revision: 1,
        version: Some(1),
        epoch: Some(0),
        state_since: None,
        consecutive_failures: Some(0),
        locked_until: None,
        failure_times: Some(Vec::new()),
        last_wrong_key: None,
        last_wrong_digest: None,
        last_wrong_time: None,
        grace_started: None,
        must_enroll: Some(false),
        reset_request_id: None,
        reset_reason: None,
        reset_create_time: None,
        set_id: None,
        set_create_time: None,
        set_digest_keys: None,
        set_digests: None,
        set_used_times: None,
        directory: None,
        authenticators: Vec::new(),
        pending: Vec::new(),
        challenges: Vec::new(),
        tickets: Vec::new(),
        clients: Vec::new(),
        arguments_key: None,
        arguments_digest: None,
        reply: None,
        expire_time: None,
    }
}

fn load(change: impl FnOnce(&mut LoadRow)) -> Result<UserState, StoreError> {
    let root = RootKey::from_bytes(std::array::from_fn(|index| u8::try_from(index).unwrap())).unwrap();
    let keyring = Keyring::new(BTreeMap::from([(KeyId(1), root)])).unwrap();
    let user =
        UserRef { tenant: TenantId::parse("acme").unwrap(), user: UserId::parse("ann@example.com").unwrap() };
    let mut row = plain();
    change(&mut row);
    row.into_loaded(&user, None, &keyring).map(|loaded| loaded.state)
}

/// Expects corruption of `entity` with `problem`, told without personal data.
fn check(entity: &str, problem: &str, change: impl FnOnce(&mut LoadRow)) {
    match load(change) {
        Err(error @ StoreError::Corrupt { .. }) => {
            let told = error.to_string();
            assert!(told.starts_with(entity) && told.ends_with(problem), "{told}");
            assert!(!told.contains("ann@example.com"), "{told}");
        }
        other => panic!("{entity} {problem}: {other:?}"),
    }
}

/// A whole row is none of what follows.
#[test]
fn a_whole_row_loads() {
    load(|_| ()).unwrap();
}

/// What a user has several of is in the order in which it came to be, however it is read.
#[test]
fn rows_are_in_the_order_of_their_numbers() {
    let state = load(|row| {
        for number in [2, 3, 1] {
            let about = (number.to_string(), String::new(), String::new(), NOW, NOW, NOW);
            row.clients.push((number, (Uuid::nil(), 1, 1, NOW, 0), about));
        }
    });
    let names: Vec<_> = state.unwrap().clients.into_iter().map(|client| client.application).collect();
    assert_eq!(names, ["1", "2", "3"]);
}

/// Columns that belong together are there together, or the row is corrupt.
#[test]
fn half_a_tuple_is_corrupt() {
    check("user", "lacks a column", |row| row.epoch = None);
    check("user", "lacks a column", |row| row.version = None);
    check("user", "has half a last wrong code", |row| row.last_wrong_time = Some(NOW));
    check("user", "has half a reset request", |row| row.reset_reason = Some("lost".to_owned()));
    check("recovery set", "lacks a column", |row| row.set_create_time = Some(NOW));
    check("authenticator", "lacks a column of its kind", |row| {
        let common = (Uuid::nil(), "phone".to_owned(), true, NOW, None, 0, None);
        row.authenticators.push((
            1,
            common,
            ("TOTP".to_owned(), None, None, None, None, Some(1)),
            None,
            None,
        ));
    });
    for sms in [None, Some((None, None, None, None, None, None, None))] {
        check("authenticator", "lacks a column of its kind", |row| {
            let common = (Uuid::nil(), "phone".to_owned(), true, NOW, None, 0, None);
            row.authenticators.push((1, common, ("SMS".to_owned(), None, None, None, None, None), sms, None));
        });
    }
    for key in [None, Some((None, Some(1), Some(false))), Some((Some(vec![0; 61]), None, Some(false)))] {
        check("authenticator", "lacks a column of its kind", |row| {
            let common = (Uuid::nil(), "key".to_owned(), true, NOW, None, 0, None);
            let kind = ("SECURITY_KEY".to_owned(), None, None, None, None, None);
            row.authenticators.push((1, common, kind, None, key));
        });
    }
    check("pending enrollment", "lacks a column of its kind", |row| {
        row.pending.push((
            1,
            (Uuid::nil(), None, 10, NOW, NOW, 0),
            ("TOTP".to_owned(), None, None, None, None, None),
            None,
        ));
    });
}

/// Values that no enum, range or length allows are corrupt.
#[test]
fn values_out_of_range_are_corrupt() {
    check("tenant", "holds a number out of range", |row| row.policy_revision = -1);
    check("user", "holds a negative number", |row| row.epoch = Some(-1));
    check("user", "holds a number out of range", |row| row.consecutive_failures = Some(1 << 32));
    check("user", "holds a digest of a wrong length", |row| {
        (row.last_wrong_key, row.last_wrong_digest, row.last_wrong_time) =
            (Some(1), Some(vec![0; 31]), Some(NOW));
    });
    check("recovery set", "has columns of different lengths", |row| {
        (row.set_id, row.set_create_time) = (Some(Uuid::nil()), Some(NOW));
        (row.set_digest_keys, row.set_digests) = (Some(vec![1]), Some(vec![vec![0; 32]]));
        row.set_used_times = Some(Vec::new());
    });
    check("authenticator", "is of an unknown kind", |row| {
        let common = (Uuid::nil(), "phone".to_owned(), true, NOW, None, 0, None);
        row.authenticators.push((1, common, ("CARD".to_owned(), None, None, None, None, None), None, None));
    });
    check("authenticator", "has parameters out of range", |row| {
        let common = (Uuid::nil(), "phone".to_owned(), true, NOW, None, 0, None);
        let totp = (Some(vec![0; 61]), Some("SHA1".to_owned()), Some(7), Some(30), Some(1));
        row.authenticators.push((
            1,
            common,
            ("TOTP".to_owned(), totp.0, totp.1, totp.2, totp.3, totp.4),
            None,
            None,
        ));
    });
    check("challenge", "has an unknown purpose", |row| {
        row.challenges.push((1, Uuid::nil(), "FUN".to_owned(), NOW, NOW, 0, String::new(), String::new()));
    });
    check("ticket", "is not well-formed", |row| {
        row.tickets.push((1, Uuid::nil(), "{".repeat(3), NOW, 0, String::new()));
    });
    check("remembered client", "holds a number out of range", |row| {
        let about = (String::new(), String::new(), String::new(), NOW, NOW, NOW);
        row.clients.push((1, (Uuid::nil(), 1, -1, NOW, 0), about));
    });
}
