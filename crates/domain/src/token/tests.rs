//! Tokens are bound to everything they name.

use super::*;
use crate::secret::SecretBytes;
use crate::time::Timestamp;
use std::collections::BTreeMap;

fn keys(ids: &[u8]) -> DigestKeys {
    let keys: BTreeMap<_, _> =
        ids.iter().map(|id| (KeyId(u32::from(*id)), SecretBytes::new(vec![*id; 32]))).collect();
    DigestKeys::new(keys).unwrap()
}

fn user(tenant: &str, user: &str) -> UserRef {
    UserRef { tenant: TenantId::parse(tenant).unwrap(), user: UserId::parse(user).unwrap() }
}

fn remembered() -> RememberedClient {
    let now = Timestamp::from_unix_seconds(1_800_000_000);
    RememberedClient {
        id: ClientId::at(now, [3; 10]),
        key: KeyId(1),
        generation: 7,
        rotate_time: now,
        application: "web".into(),
        display_name: String::new(),
        last_ip_address: String::new(),
        create_time: now,
        last_use_time: now,
        expire_time: now,
        epoch: Epoch(2),
    }
}

/// R34, R43: a challenge opens to exactly what it was made of, the longest names included.
#[test]
fn challenges_open_to_what_they_were_made_of() {
    let id = ChallengeId::at(Timestamp::from_unix_seconds(1), [1; 10]);
    for who in [user("t", "u"), user(&"t".repeat(63), &"U".repeat(128))] {
        let token = challenge(&keys(&[1]), &who, Epoch(9), id);
        assert!(token.expose().len() <= MAX_TOKEN_LEN);
        assert_eq!(
            open_challenge(&keys(&[1, 2]), token.expose()),
            Some(Opened { user: who, epoch: Epoch(9), id })
        );
    }
}

/// R28: whoever changes one character of a token, or has another key, has no token.
#[test]
fn an_edited_token_is_none() {
    let who = user("tenant", "user");
    let id = ChallengeId::at(Timestamp::from_unix_seconds(1), [1; 10]);
    let token = challenge(&keys(&[1]), &who, Epoch(1), id);
    for position in 0..token.expose().len() {
        let mut edited = token.expose().as_bytes().to_vec();
        edited[position] = if edited[position] == b'A' { b'B' } else { b'A' };
        let edited = String::from_utf8(edited).unwrap();
        assert_eq!(open_challenge(&keys(&[1]), &edited), None, "position {position}");
    }
    assert_eq!(open_challenge(&keys(&[2]), token.expose()), None);
    assert_eq!(open_ticket(&keys(&[1]), token.expose()), None, "a challenge is not a ticket");
    for junk in ["", "A", "====", "é", &"A".repeat(600)] {
        assert_eq!(open_challenge(&keys(&[1]), junk), None, "{junk}");
    }
}

/// R38: a remembered client's token is bound to tenant, user, application, epoch and generation.
#[test]
fn a_client_token_is_bound_to_all_it_names() {
    let (keys, who, row) = (keys(&[1]), user("tenant", "user"), remembered());
    let made = client(&keys, &who, &row).unwrap();
    let open = |who: &UserRef, epoch, application: &str| {
        open_client(&keys, who, Epoch(epoch), application, made.expose())
    };
    assert_eq!(open(&who, 2, "web"), Some(OpenedClient { id: row.id, generation: 7 }));
    assert_eq!(open(&who, 3, "web"), None);
    assert_eq!(open(&who, 2, "mobile"), None);
    assert_eq!(open(&user("tenant", "other"), 2, "web"), None);
    assert_eq!(open(&user("other", "user"), 2, "web"), None);
    let next = RememberedClient { generation: 8, ..row };
    assert_ne!(client(&keys, &who, &next).unwrap().expose(), made.expose());
}
