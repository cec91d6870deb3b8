//! Keyed digests (HMAC-SHA-256, RFC 2104) of recovery codes, tokens and wrong guesses: a database thief cannot guess
//! what was digested, a database writer cannot plant one (R28).
//!
//! The keys come from the keyring, one set a purpose; this module only uses them. Every field of a digest is written
//! with its length before it, so that no two lists of fields digest the same bytes.

use crate::secret::SecretBytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::BTreeMap;
use subtle::ConstantTimeEq;

/// The id of a root key; stands beside everything made with it, so that keys can be rotated without trial (R52).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

/// A keyed digest and the key that made it.
#[derive(Debug, Clone, Copy)]
pub struct Digest {
    /// The key.
    pub key: KeyId,
    /// HMAC-SHA-256 of the fields.
    pub value: [u8; 32],
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && bool::from(self.value.ct_eq(&other.value))
    }
}

impl Eq for Digest {}

/// The keys of one purpose: one makes digests, the others only check them.
#[derive(Debug, Clone)]
pub struct DigestKeys {
    newest: KeyId,
    keys: BTreeMap<KeyId, Keyed>,
}

/// A key in the form that digesting begins with, wiped when dropped like the key itself. In a box, so that a map that grows
/// leaves no copies behind.
type Keyed = Box<Hmac<Sha256>>;

impl DigestKeys {
    /// Keys by id; the highest id is the newest. `None` where there is no key.
    pub fn new(keys: BTreeMap<KeyId, SecretBytes>) -> Option<Self> {
        let newest = *keys.keys().next_back()?;
        Self::with_newest(keys, newest)
    }

    /// The same with `id` as the key that makes digests, or `None` where there is no such key: while nodes are replaced
    /// one after the other, none may make what others cannot check yet (R52).
    pub fn with_newest(keys: BTreeMap<KeyId, SecretBytes>, id: KeyId) -> Option<Self> {
        if !keys.contains_key(&id) {
            return None;
        }
        let keyed =
            |(id, key): (KeyId, SecretBytes)| Some((id, Box::new(Hmac::new_from_slice(key.expose()).ok()?)));
        Some(Self { newest: id, keys: keys.into_iter().map(keyed).collect::<Option<_>>()? })
    }

    /// The key that new digests are made with.
    pub const fn newest(&self) -> KeyId {
        self.newest
    }

    /// The keys that only check what was made before.
    pub fn older(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.keys.keys().copied().filter(|id| *id != self.newest)
    }

    /// Digests `fields` under the newest key.
    pub fn digest(&self, fields: &[&[u8]]) -> Digest {
        // The newest id is one of the map's keys by construction, so the fallback is never taken.
        self.digest_with(self.newest, fields).unwrap_or(Digest { key: self.newest, value: [0; 32] })
    }

    /// Digests `fields` under the key `id`, or `None` where that key is gone.
    pub fn digest_with(&self, id: KeyId, fields: &[&[u8]]) -> Option<Digest> {
        let mut mac = Hmac::clone(self.keys.get(&id)?);
        for field in fields {
            mac.update(&(field.len() as u64).to_be_bytes());
            mac.update(field);
        }
        Some(Digest { key: id, value: mac.finalize().into_bytes().into() })
    }

    /// Whether `digest` is the digest of `fields`, in constant time; false where its key is gone.
    pub fn verify(&self, digest: &Digest, fields: &[&[u8]]) -> bool {
        self.digest_with(digest.key, fields).is_some_and(|made| made == *digest)
    }
}

/// The digest keys of every purpose.
#[derive(Debug, Clone)]
pub struct Digests {
    /// Recovery codes.
    pub recovery_codes: DigestKeys,
    /// Challenges, tickets and remembered clients.
    pub tokens: DigestKeys,
    /// Wrong guesses and request arguments.
    pub guesses: DigestKeys,
    /// Codes by text message, and who they are counted for.
    pub text_messages: DigestKeys,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(ids: &[u32]) -> DigestKeys {
        let key = |id: &u32| (KeyId(*id), SecretBytes::new(id.to_be_bytes().repeat(8)));
        DigestKeys::new(ids.iter().map(key).collect()).unwrap()
    }

    /// R28: a digest is bound to each of its fields and to where one ends and the next begins.
    #[test]
    fn fields_do_not_run_into_one_another() {
        let keys = keys(&[1]);
        let digest = keys.digest(&[b"ab", b"c"]);
        assert!(keys.verify(&digest, &[b"ab", b"c"]));
        assert!(!keys.verify(&digest, &[b"a", b"bc"]));
        assert!(!keys.verify(&digest, &[b"abc"]));
    }

    /// R28: what is kept of a key is wiped when it is dropped, and shows nothing of it.
    #[test]
    fn keys_are_wiped_and_not_shown() {
        fn wiped<T: zeroize::ZeroizeOnDrop>() {}
        // An HMAC is two states of its hash.
        wiped::<Sha256>();
        let other = [(KeyId(1), SecretBytes::new(vec![7; 32]))];
        let other = DigestKeys::new(other.into()).unwrap();
        assert_eq!(format!("{:?}", keys(&[1])), format!("{other:?}"));
    }

    /// R52: new digests use the newest key, old ones are checked with their own, and without it they fail.
    #[test]
    fn digests_carry_their_key() {
        let old = keys(&[1]).digest(&[b"x"]);
        let both = keys(&[1, 2]);
        assert_eq!(both.digest(&[b"x"]).key, KeyId(2));
        assert!(both.verify(&old, &[b"x"]));
        assert!(!keys(&[2]).verify(&old, &[b"x"]));
    }
}
