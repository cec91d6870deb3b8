//! Rows that this service cannot have written: each is named, none becomes half a value.

use super::{AuthenticatorRow, ChallengeRow, ClientRow, LoadRow, PendingRow, TicketRow};
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
        first_factor_since: None,
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

/// An authenticator without any column of its kind.
fn authenticator(kind: &str) -> AuthenticatorRow {
    AuthenticatorRow {
        number: 1,
        authenticator_id: Uuid::nil(),
        display_name: "phone".to_owned(),
        named: true,
        create_time: NOW,
        last_use_time: None,
        consecutive_failures: 0,
        disabled_since: None,
        kind: kind.to_owned(),
        totp_sealed_key: None,
        totp_algorithm: None,
        totp_digits: None,
        totp_period: None,
        totp_last_step: None,
        sms_sealed_number: None,
        sms_send_id: None,
        sms_send_key: None,
        sms_send_challenge_id: None,
        sms_send_time: None,
        sms_send_expire_time: None,
        sms_send_used_time: None,
        key_sealed: None,
        key_sign_count: None,
        key_backed_up: None,
    }
}

/// An app with every column, and a key that nobody sealed.
fn app() -> AuthenticatorRow {
    AuthenticatorRow {
        totp_sealed_key: Some(vec![0; 61]),
        totp_algorithm: Some("SHA1".to_owned()),
        totp_digits: Some(6),
        totp_period: Some(30),
        totp_last_step: Some(1),
        ..authenticator("TOTP")
    }
}

/// A pending enrollment without any column of its kind.
fn pending(kind: &str) -> PendingRow {
    PendingRow {
        number: 1,
        enrollment_id: Uuid::nil(),
        replaces: None,
        tries_left: 10,
        create_time: NOW,
        expire_time: NOW,
        epoch: 0,
        kind: kind.to_owned(),
        totp_sealed_key: None,
        totp_algorithm: None,
        totp_digits: None,
        totp_period: None,
        totp_account_label: None,
        sms_sealed_number: None,
        sms_send_id: None,
        sms_send_key: None,
    }
}

fn client() -> ClientRow {
    ClientRow {
        number: 1,
        client_id: Uuid::nil(),
        token_key: 1,
        generation: 1,
        rotate_time: NOW,
        epoch: 0,
        application: String::new(),
        display_name: String::new(),
        last_ip_address: String::new(),
        create_time: NOW,
        last_use_time: NOW,
        expire_time: NOW,
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
            row.clients.push(ClientRow { number, application: number.to_string(), ..client() });
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
    let lacking = [
        AuthenticatorRow { totp_last_step: Some(1), ..authenticator("TOTP") },
        AuthenticatorRow { totp_last_step: None, ..app() },
        authenticator("SMS"),
        authenticator("SECURITY_KEY"),
        AuthenticatorRow {
            key_sign_count: Some(1),
            key_backed_up: Some(false),
            ..authenticator("SECURITY_KEY")
        },
        AuthenticatorRow {
            key_sealed: Some(vec![0; 61]),
            key_backed_up: Some(false),
            ..authenticator("SECURITY_KEY")
        },
    ];
    for lacking in lacking {
        check("authenticator", "lacks a column of its kind", |row| row.authenticators.push(lacking));
    }
    for kind in ["TOTP", "SMS"] {
        check("pending enrollment", "lacks a column of its kind", |row| row.pending.push(pending(kind)));
    }
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
    for kind in ["CARD", "RECOVERY_CODE"] {
        check("authenticator", "is of an unknown kind", |row| row.authenticators.push(authenticator(kind)));
        check("pending enrollment", "is of an unknown kind", |row| row.pending.push(pending(kind)));
    }
    check("authenticator", "has parameters out of range", |row| {
        row.authenticators.push(AuthenticatorRow { totp_digits: Some(7), ..app() });
    });
    check("challenge", "has an unknown purpose", |row| {
        row.challenges.push(ChallengeRow {
            number: 1,
            challenge_id: Uuid::nil(),
            purpose: "FUN".to_owned(),
            create_time: NOW,
            expire_time: NOW,
            epoch: 0,
            first_factor: String::new(),
            client: String::new(),
        });
    });
    check("ticket", "is not well-formed", |row| {
        row.tickets.push(TicketRow {
            number: 1,
            ticket_id: Uuid::nil(),
            issuer: "{".repeat(3),
            expire_time: NOW,
            epoch: 0,
            client: String::new(),
        });
    });
    check("remembered client", "holds a number out of range", |row| {
        row.clients.push(ClientRow { generation: -1, ..client() });
    });
}
