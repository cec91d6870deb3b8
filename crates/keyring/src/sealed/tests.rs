//! Published vectors of the cipher, and the sealed form that stored data depends on.

use super::*;
use crate::root_key::RootKey;
use chacha20poly1305::KeyInit;
use data_encoding::HEXLOWER;
use proptest::prelude::*;

fn keyring(id: u32) -> Keyring {
    let root = RootKey::from_bytes(*b"0123456789abcdef0123456789ABCDEF").unwrap();
    Keyring::new([(KeyId(id), root)].into()).unwrap()
}

fn sealed() -> Vec<u8> {
    keyring(7).seal(SealPurpose::PendingKey, &[b"a", b"b"], &SecretBytes::new(b"plain".to_vec()), [3; 24])
}

fn open(sealed: &[u8]) -> Result<SecretBytes, OpenError> {
    keyring(7).open(SealPurpose::PendingKey, &[b"a", b"b"], sealed)
}

/// R50: the vector of draft-irtf-cfrg-xchacha-03 section A.3.1.
#[test]
fn the_cipher_fits_its_published_vector() {
    let key: [u8; 32] = std::array::from_fn(|at| 0x80 + u8::try_from(at).unwrap());
    let nonce: Nonce = std::array::from_fn(|at| 0x40 + u8::try_from(at).unwrap());
    let associated = HEXLOWER.decode(b"50515253c0c1c2c3c4c5c6c7").unwrap();
    let mut text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for \
        the future, sunscreen would be it."
        .to_vec();
    let tag = encrypt(&XChaCha20Poly1305::new((&key).into()), &nonce, &associated, &mut text);
    assert_eq!(
        HEXLOWER.encode(&text),
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39\
         ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9\
         21f9664c97637da9768812f615c68b13b52e"
    );
    assert_eq!(HEXLOWER.encode(&tag), "c0875924c1c7987947deafd8780acf49");
}

/// R50: a sealed value opens, says its key, and shows nothing of its plain text.
#[test]
fn a_sealed_value_opens() {
    let sealed = sealed();
    assert_eq!(open(&sealed).unwrap().expose(), b"plain");
    assert_eq!(key_id_of(&sealed), Some(KeyId(7)));
    assert_eq!(sealed.len(), 1 + 4 + 24 + 5 + 16);
    assert!(!sealed.windows(5).any(|window| window == b"plain"));
}

/// R50: with any single bit flipped it does not open, and the reason is that of the part that was edited.
#[test]
fn no_flipped_bit_opens() {
    let sealed = sealed();
    for bit in 0..sealed.len() * 8 {
        let mut edited = sealed.clone();
        edited[bit / 8] ^= 1 << (bit % 8);
        let error = match bit / 8 {
            0 => OpenError::Malformed,
            1..5 => OpenError::UnknownKey,
            _ => OpenError::Broken,
        };
        assert_eq!(open(&edited), Err(error), "bit {bit}");
    }
}

/// R50: cut short or made longer anywhere it does not open.
#[test]
fn no_other_length_opens() {
    let sealed = sealed();
    for len in 0..sealed.len() {
        let error = if len < HEADER_LEN + TAG_LEN { OpenError::Malformed } else { OpenError::Broken };
        assert_eq!(open(&sealed[..len]), Err(error), "{len}");
        assert_eq!(key_id_of(&sealed[..len]).is_none(), len < HEADER_LEN + TAG_LEN, "{len}");
        assert!(open(&sealed[sealed.len() - len..]).is_err(), "last {len}");
    }
    for extra in [&[0][..], &[0; 16], &sealed] {
        assert_eq!(open(&[&sealed, extra].concat()), Err(OpenError::Broken));
        assert!(open(&[extra, &sealed].concat()).is_err());
    }
}

/// R50: the nonce is part of what is sealed: the same value under another nonce shares no byte run with it.
#[test]
fn another_nonce_makes_another_ciphertext() {
    let plain = SecretBytes::new(vec![0; 64]);
    let [one, two] =
        [[1; 24], [2; 24]].map(|nonce| keyring(7).seal(SealPurpose::RequestReply, &[], &plain, nonce));
    assert_ne!(one[HEADER_LEN..], two[HEADER_LEN..]);
    let same = one[HEADER_LEN..].iter().zip(&two[HEADER_LEN..]).filter(|(one, two)| one == two).count();
    assert!(same < 10, "{same} of 80 bytes are equal");
}

/// R50: fields do not run into one another, nor into purpose and key id.
#[test]
fn fields_do_not_run_into_one_another() {
    let fields: [&[&[u8]]; 6] =
        [&[b"ab", b"c"], &[b"a", b"bc"], &[b"abc"], &[b"ab", b"c", b""], &[b"", b"abc"], &[]];
    for (at, one) in fields.iter().enumerate() {
        for (other, two) in fields.iter().enumerate() {
            let data = |fields| associated_data(SealPurpose::PendingKey, KeyId(1), fields);
            assert_eq!(data(one) == data(two), at == other, "{at} {other}");
        }
    }
}

/// R50: purpose and key id are bound by name too, and not only by the keys that they choose.
#[test]
fn purpose_and_key_id_are_part_of_the_associated_data() {
    let data = |purpose, key| associated_data(purpose, KeyId(key), &[b"x"]);
    assert_ne!(data(SealPurpose::PendingKey, 1), data(SealPurpose::AuthenticatorKey, 1));
    assert_ne!(data(SealPurpose::PendingKey, 1), data(SealPurpose::PendingKey, 2));
}

/// R52: a value renamed to another key does not open, even where that id holds the very same root key.
#[test]
fn a_renamed_key_id_does_not_open() {
    let mut edited = sealed();
    edited[4] = 8;
    assert_eq!(key_id_of(&edited), Some(KeyId(8)));
    let result = keyring(8).open(SealPurpose::PendingKey, &[b"a", b"b"], &edited);
    assert_eq!(result, Err(OpenError::Broken));
}

proptest! {
    /// R48, R50: no bytes panic, and none but sealed ones open.
    #[test]
    fn arbitrary_bytes_do_not_open(mut bytes in proptest::collection::vec(any::<u8>(), 0..100), ours in any::<bool>()) {
        if ours && bytes.len() >= 5 {
            bytes[..5].copy_from_slice(&[FORMAT, 0, 0, 0, 7]);
        }
        prop_assert!(open(&bytes).is_err());
        let _ = key_id_of(&bytes);
    }

    /// R50: every value opens to itself, the empty one too.
    #[test]
    fn every_value_opens_to_itself(plain in proptest::collection::vec(any::<u8>(), 0..300), nonce in any::<Nonce>()) {
        let plain = SecretBytes::new(plain);
        let sealed = keyring(7).seal(SealPurpose::RequestReply, &[b"a"], &plain, nonce);
        prop_assert_eq!(keyring(7).open(SealPurpose::RequestReply, &[b"a"], &sealed), Ok(plain));
    }
}
