//! What a request with an idempotency key asked, and its digest.

use countersign_domain::digest::{Digest, DigestKeys, KeyId};
use countersign_domain::secret::SecretBytes;
use std::sync::{Arc, OnceLock};

/// What was asked, in a form in which equal arguments are equal bytes. May hold codes: only its keyed digest is kept.
#[derive(Clone)]
pub struct Arguments(Kept);

#[derive(Clone)]
enum Kept {
    Own(SecretBytes),
    Shared(Arc<Shared>),
}

struct Shared {
    bytes: SecretBytes,
    /// The digest under the newest key, once one was needed.
    digest: OnceLock<Digest>,
}

impl From<SecretBytes> for Arguments {
    fn from(bytes: SecretBytes) -> Self {
        Self(Kept::Own(bytes))
    }
}

impl Arguments {
    /// Arguments of many commands at once: clones share them and their digest, so that a call that names hundreds of users
    /// is not digested for each of them (R66).
    pub fn shared(bytes: SecretBytes) -> Self {
        Self(Kept::Shared(Arc::new(Shared { bytes, digest: OnceLock::new() })))
    }

    /// The digest under the key `id` where there is one and it is still held, else under the newest.
    pub(super) fn digest(&self, keys: &DigestKeys, id: Option<KeyId>) -> Digest {
        let bytes = match &self.0 {
            Kept::Own(bytes) => bytes,
            Kept::Shared(shared) => &shared.bytes,
        };
        let fields: [&[u8]; 2] = [b"request-arguments", bytes.expose()];
        let older = id.filter(|id| *id != keys.newest()).and_then(|id| keys.digest_with(id, &fields));
        older.unwrap_or_else(|| match &self.0 {
            Kept::Own(_) => keys.digest(&fields),
            Kept::Shared(shared) => *shared.digest.get_or_init(|| keys.digest(&fields)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(ids: &[u32]) -> DigestKeys {
        let key = |id: &u32| (KeyId(*id), SecretBytes::new(id.to_be_bytes().repeat(8)));
        DigestKeys::new(ids.iter().map(key).collect()).unwrap()
    }

    /// R52, R60: whether arguments are shared changes nothing of their digests, whichever key they are made with.
    #[test]
    fn shared_arguments_have_the_same_digests() {
        let bytes = || SecretBytes::new(b"what was asked".to_vec());
        let (own, shared, keys) = (Arguments::from(bytes()), Arguments::shared(bytes()), keys(&[1, 2]));
        for (id, expected) in [(None, 2), (Some(1), 1), (Some(2), 2), (Some(3), 2)] {
            let digest = shared.clone().digest(&keys, id.map(KeyId));
            assert_eq!(digest, own.digest(&keys, id.map(KeyId)));
            assert_eq!(digest.key, KeyId(expected), "{id:?}");
        }
    }

    /// R66: what is shared is digested once for all commands: the second one asks no key.
    #[test]
    fn shared_arguments_are_digested_once() {
        let shared = Arguments::shared(SecretBytes::new(b"what was asked".to_vec()));
        let first = shared.clone().digest(&keys(&[1]), None);
        // Another key under the same id would make another digest, if it were asked.
        let other = [(KeyId(1), SecretBytes::new(vec![7; 32]))];
        let other = DigestKeys::new(other.into()).unwrap();
        assert_eq!(shared.clone().digest(&other, Some(KeyId(1))), first);
    }
}
