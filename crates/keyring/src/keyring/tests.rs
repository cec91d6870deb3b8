//! What makes a keyring, and what it shows of itself.

use super::*;
use countersign_domain::secret::SecretBytes;
use data_encoding::HEXLOWER;
use zeroize::ZeroizeOnDrop;

fn root(seed: &[u8; 32]) -> RootKey {
    RootKey::from_bytes(*seed).unwrap()
}

const FIRST: &[u8; 32] = b"0123456789abcdef0123456789ABCDEF";
const SECOND: &[u8; 32] = b"another key, of thirty-two bytes";

/// R51: there is no default key.
#[test]
fn no_root_key_makes_no_keyring() {
    assert_eq!(Keyring::new(BTreeMap::new()).unwrap_err(), KeyringError::Empty);
}

/// R52: one key under two ids would be a rotation that changes nothing.
#[test]
fn one_key_under_two_ids_is_refused() {
    let roots = [(KeyId(2), root(FIRST)), (KeyId(5), root(SECOND)), (KeyId(9), root(FIRST))].into();
    assert_eq!(Keyring::new(roots).unwrap_err(), KeyringError::Repeated { first: 2, second: 9 });
}

/// R52: the highest id is the newest, whatever the order.
#[test]
fn the_highest_id_is_the_newest() {
    let keyring = Keyring::new([(KeyId(9), root(SECOND)), (KeyId(2), root(FIRST))].into()).unwrap();
    assert_eq!(keyring.newest(), KeyId(9));
    assert_eq!(keyring.key_ids().collect::<Vec<_>>(), [KeyId(2), KeyId(9)]);
    assert_eq!(keyring.digests().tokens.newest(), KeyId(9));
}

/// R52: while nodes are replaced one after the other, an older key goes on making everything, and the newer one opens.
#[test]
fn another_key_than_the_highest_can_make_everything() {
    let roots = || BTreeMap::from([(KeyId(9), root(SECOND)), (KeyId(2), root(FIRST))]);
    let keyring = Keyring::with_newest(roots(), KeyId(2)).unwrap();
    assert_eq!((keyring.newest(), keyring.digests().tokens.newest()), (KeyId(2), KeyId(2)));
    assert_eq!(keyring.key_ids().collect::<Vec<_>>(), [KeyId(2), KeyId(9)]);
    let later = Keyring::new(roots()).unwrap().digests().tokens.digest(&[b"x"]);
    assert!(keyring.digests().tokens.verify(&later, &[b"x"]));
    assert_eq!(Keyring::with_newest(roots(), KeyId(3)).unwrap_err(), KeyringError::Unknown(3));
}

/// R52: a fingerprint tells keys apart, whichever of them makes what is new, and is none of the purpose keys.
#[test]
fn a_fingerprint_is_that_of_the_key_alone() {
    let both = Keyring::new([(KeyId(2), root(FIRST)), (KeyId(9), root(SECOND))].into()).unwrap().checks();
    let one = Keyring::new([(KeyId(2), root(FIRST))].into()).unwrap();
    assert_eq!(one.checks(), both[..1]);
    assert_ne!(both[0].1, both[1].1);
    assert_ne!(SecretBytes::new(both[0].1.to_vec()), digest_key(&root(FIRST), DigestPurpose::Token));
}

/// R28: a digest is HMAC-SHA-256 under the key of its purpose. Computed with another implementation.
#[test]
fn digests_stay_what_they_are() {
    let digests = Keyring::new([(KeyId(7), root(FIRST))].into()).unwrap().digests();
    let digest = digests.recovery_codes.digest(&[b"ab", b"c"]);
    assert_eq!(
        HEXLOWER.encode(&digest.value),
        "d8eea99d5ccec705ad5027313d0d40b74af9b1f57ad55a5ad83dd51792e252ba"
    );
}

/// R50: a digest of one purpose is none of another.
#[test]
fn digests_of_one_purpose_are_none_of_another() {
    let Digests { recovery_codes, tokens, guesses, text_messages } =
        Keyring::new([(KeyId(7), root(FIRST))].into()).unwrap().digests();
    let all = [&recovery_codes, &tokens, &guesses, &text_messages];
    for (at, made_by) in all.iter().enumerate() {
        let digest = made_by.digest(&[b"x"]);
        for (other, checked_by) in all.iter().enumerate() {
            assert_eq!(checked_by.verify(&digest, &[b"x"]), at == other, "{at} {other}");
        }
    }
}

/// R28, R52: after a rotation old digests are still checked, until their key is removed.
#[test]
fn old_digests_are_checked_with_their_own_key() {
    let old = Keyring::new([(KeyId(1), root(FIRST))].into()).unwrap().digests().guesses.digest(&[b"x"]);
    let rotated = Keyring::new([(KeyId(1), root(FIRST)), (KeyId(2), root(SECOND))].into()).unwrap();
    let removed = Keyring::new([(KeyId(2), root(SECOND))].into()).unwrap();
    assert!(rotated.digests().guesses.verify(&old, &[b"x"]));
    assert!(!removed.digests().guesses.verify(&old, &[b"x"]));
}

/// R53: `Debug` of a keyring, its digest keys and its errors shows ids alone.
#[test]
fn debug_shows_ids_alone() {
    let keyring = Keyring::new([(KeyId(1), root(FIRST)), (KeyId(2), root(SECOND))].into()).unwrap();
    assert_eq!(format!("{keyring:?}"), "Keyring { newest: KeyId(2), older: [KeyId(1)], .. }");
    let shown = format!("{:?}", keyring.digests());
    for seed in [FIRST, SECOND] {
        for purpose in [DigestPurpose::RecoveryCode, DigestPurpose::Token, DigestPurpose::Guess] {
            let key = digest_key(&root(seed), purpose);
            for canary in [format!("{:?}", key.expose()), HEXLOWER.encode(key.expose())] {
                assert!(!shown.contains(&canary[1..canary.len() - 1]), "{purpose:?}");
            }
        }
    }
}

/// R54: root keys and ciphers wipe themselves; without the cipher's feature this does not compile.
#[test]
fn keys_wipe_themselves() {
    const fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<RootKey>();
    wiped::<XChaCha20Poly1305>();
}
