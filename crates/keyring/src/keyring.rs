//! [`Keyring`]: all root keys in use, as the purpose keys made of them.

use crate::purpose::{DigestPurpose, SealPurpose, digest_key, purpose_key};
use crate::root_key::RootKey;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use countersign_domain::digest::{DigestKeys, Digests, KeyId};
use std::collections::BTreeMap;
use std::fmt;

/// The keys of the service. Share one behind an `Arc`; it holds no root key, only what was derived, and `Debug` shows
/// the ids alone.
pub struct Keyring {
    newest: KeyId,
    newest_keys: SealingKeys,
    older: BTreeMap<KeyId, SealingKeys>,
    digests: Digests,
}

/// The sealing keys made of one root key.
struct SealingKeys {
    authenticator_key: XChaCha20Poly1305,
    pending_key: XChaCha20Poly1305,
    request_reply: XChaCha20Poly1305,
}

impl SealingKeys {
    fn new(root: &RootKey) -> Self {
        let cipher =
            |purpose: SealPurpose| XChaCha20Poly1305::new((&*purpose_key(root, purpose.info())).into());
        Self {
            authenticator_key: cipher(SealPurpose::AuthenticatorKey),
            pending_key: cipher(SealPurpose::PendingKey),
            request_reply: cipher(SealPurpose::RequestReply),
        }
    }

    const fn of(&self, purpose: SealPurpose) -> &XChaCha20Poly1305 {
        match purpose {
            SealPurpose::AuthenticatorKey => &self.authenticator_key,
            SealPurpose::PendingKey => &self.pending_key,
            SealPurpose::RequestReply => &self.request_reply,
        }
    }
}

impl Keyring {
    /// Derives every purpose key of every root key. The highest id is the newest: it makes everything new, the others
    /// only open and check what was made with them.
    pub fn new(mut roots: BTreeMap<KeyId, RootKey>) -> Result<Self, KeyringError> {
        for (id, root) in &roots {
            if let Some((earlier, _)) = roots.range(..id).find(|(_, earlier)| *earlier == root) {
                return Err(KeyringError::Repeated { first: earlier.0, second: id.0 });
            }
        }
        let digests = Digests {
            recovery_codes: digest_keys(&roots, DigestPurpose::RecoveryCode)?,
            tokens: digest_keys(&roots, DigestPurpose::Token)?,
            guesses: digest_keys(&roots, DigestPurpose::Guess)?,
        };
        let (newest, newest_root) = roots.pop_last().ok_or(KeyringError::Empty)?;
        Ok(Self {
            newest,
            newest_keys: SealingKeys::new(&newest_root),
            older: roots.iter().map(|(id, root)| (*id, SealingKeys::new(root))).collect(),
            digests,
        })
    }

    /// The key that everything new is made with. What carries another id is due for rotation (R52).
    pub const fn newest(&self) -> KeyId {
        self.newest
    }

    /// The ids of all keys, ascending.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.older.keys().copied().chain([self.newest])
    }

    /// The digest keys of every purpose.
    pub fn digests(&self) -> Digests {
        self.digests.clone()
    }

    /// The newest cipher of a purpose.
    pub(crate) const fn newest_cipher(&self, purpose: SealPurpose) -> &XChaCha20Poly1305 {
        self.newest_keys.of(purpose)
    }

    /// The cipher of a purpose under the key `id`, or `None` where that key is gone.
    pub(crate) fn cipher(&self, purpose: SealPurpose, id: KeyId) -> Option<&XChaCha20Poly1305> {
        let keys = if id == self.newest { Some(&self.newest_keys) } else { self.older.get(&id) };
        keys.map(|keys| keys.of(purpose))
    }
}

/// The keys of one digest purpose under every root key.
fn digest_keys(roots: &BTreeMap<KeyId, RootKey>, purpose: DigestPurpose) -> Result<DigestKeys, KeyringError> {
    let keys = roots.iter().map(|(id, root)| (*id, digest_key(root, purpose))).collect();
    DigestKeys::new(keys).ok_or(KeyringError::Empty)
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("newest", &self.newest)
            .field("older", &self.older.keys())
            .finish_non_exhaustive()
    }
}

/// Why root keys make no keyring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// No key at all: there is no default (R51).
    #[error("there is no root key")]
    Empty,
    /// The same key under two ids: a rotation that changes nothing.
    #[error("root keys {first} and {second} are the same")]
    Repeated {
        /// The lower id.
        first: u32,
        /// The higher id.
        second: u32,
    },
}

#[cfg(test)]
mod tests;
