//! What is sealed opens again for the row that it was sealed for.

use super::*;
use crate::root_key::RootKey;
use countersign_domain::digest::KeyId;
use countersign_domain::ids::{TenantId, UserId};
use countersign_domain::time::Timestamp;

/// R50: a key opens again for its row.
#[test]
fn a_key_opens_for_its_row() {
    let root = RootKey::from_bytes(*b"0123456789abcdef0123456789ABCDEF").unwrap();
    let keyring = Keyring::new([(KeyId(1), root)].into()).unwrap();
    let user = UserRef { tenant: TenantId::parse("acme").unwrap(), user: UserId::parse("ann").unwrap() };
    let id = AuthenticatorId::at(Timestamp::from_unix_seconds(1_800_000_000), [1; 10]);
    let key = TotpKey::from_entropy(&[7; 20]);
    let parameters = TotpParameters::default();
    let sealed = keyring.seal_authenticator_key(&user, id, &parameters, &key, [9; 24]);
    assert_eq!(keyring.open_authenticator_key(&user, id, &parameters, &sealed), Ok(key));
}
