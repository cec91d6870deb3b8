//! [`Keyring`]: all root keys in use, as the purpose keys made of them.

use crate::audit::AuditKey;
use crate::purpose::{CHECK_INFO, DigestPurpose, PURPOSE_KEY_LEN, SealPurpose, digest_key, purpose_key};
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

/// A fingerprint of a root key that may be stored: made for nothing else, it tells nothing of any other key.
pub type KeyCheck = [u8; PURPOSE_KEY_LEN];

/// The sealing keys made of one root key.
struct SealingKeys {
    check: KeyCheck,
    authenticator_key: XChaCha20Poly1305,
    pending_key: XChaCha20Poly1305,
    request_reply: XChaCha20Poly1305,
    phone_number: XChaCha20Poly1305,
    pending_phone_number: XChaCha20Poly1305,
    audit: AuditKey,
    security_key: XChaCha20Poly1305,
}

impl SealingKeys {
    fn new(root: &RootKey) -> Self {
        let cipher =
            |purpose: SealPurpose| XChaCha20Poly1305::new((&*purpose_key(root, purpose.info())).into());
        Self {
            check: *purpose_key(root, CHECK_INFO),
            authenticator_key: cipher(SealPurpose::AuthenticatorKey),
            pending_key: cipher(SealPurpose::PendingKey),
            request_reply: cipher(SealPurpose::RequestReply),
            phone_number: cipher(SealPurpose::PhoneNumber),
            pending_phone_number: cipher(SealPurpose::PendingPhoneNumber),
            audit: AuditKey::new(root),
            security_key: cipher(SealPurpose::SecurityKey),
        }
    }

    const fn of(&self, purpose: SealPurpose) -> &XChaCha20Poly1305 {
        match purpose {
            SealPurpose::AuthenticatorKey => &self.authenticator_key,
            SealPurpose::PendingKey => &self.pending_key,
            SealPurpose::RequestReply => &self.request_reply,
            SealPurpose::PhoneNumber => &self.phone_number,
            SealPurpose::PendingPhoneNumber => &self.pending_phone_number,
            SealPurpose::SecurityKey => &self.security_key,
        }
    }
}

impl Keyring {
    /// Derives every purpose key of every root key. The highest id is the newest: it makes everything new, the others
    /// only open and check what was made with them.
    pub fn new(roots: BTreeMap<KeyId, RootKey>) -> Result<Self, KeyringError> {
        let newest = *roots.keys().next_back().ok_or(KeyringError::Empty)?;
        Self::with_newest(roots, newest)
    }

    /// The same with `newest` as the key that makes everything new, whatever its id: for the time in which some nodes
    /// do not know the highest one yet (R52).
    pub fn with_newest(mut roots: BTreeMap<KeyId, RootKey>, newest: KeyId) -> Result<Self, KeyringError> {
        for (id, root) in &roots {
            if let Some((earlier, _)) = roots.range(..id).find(|(_, earlier)| *earlier == root) {
                return Err(KeyringError::Repeated { first: earlier.0, second: id.0 });
            }
        }
        let missing = if roots.is_empty() { KeyringError::Empty } else { KeyringError::Unknown(newest.0) };
        let digests = |purpose| digest_keys(&roots, purpose, newest).ok_or(missing);
        let digests = Digests {
            recovery_codes: digests(DigestPurpose::RecoveryCode)?,
            tokens: digests(DigestPurpose::Token)?,
            guesses: digests(DigestPurpose::Guess)?,
            text_messages: digests(DigestPurpose::TextMessage)?,
        };
        let newest_root = roots.remove(&newest).ok_or(missing)?;
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
        self.checks().into_iter().map(|(id, _)| id)
    }

    /// A fingerprint of each key, ascending by id: whether the key under an id is still the same one.
    pub fn checks(&self) -> Vec<(KeyId, KeyCheck)> {
        let mut checks: Vec<_> = self.older.iter().map(|(id, keys)| (*id, keys.check)).collect();
        checks.push((self.newest, self.newest_keys.check));
        checks.sort_unstable();
        checks
    }

    /// The digest keys of every purpose.
    pub fn digests(&self) -> Digests {
        self.digests.clone()
    }

    /// The public half of the key that signs seals of the log under the root key `id`, or `None` where that root key is gone.
    /// It is no secret: hand it to auditors.
    pub fn audit_public_key(&self, id: KeyId) -> Option<[u8; 32]> {
        let keys = if id == self.newest { Some(&self.newest_keys) } else { self.older.get(&id) };
        keys.map(|keys| keys.audit.public_key())
    }

    /// Signs the statement of a seal with the newest key (RFC 8032).
    pub fn sign_audit(&self, statement: &[u8]) -> [u8; 64] {
        self.newest_keys.audit.sign(statement)
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
fn digest_keys(
    roots: &BTreeMap<KeyId, RootKey>,
    purpose: DigestPurpose,
    newest: KeyId,
) -> Option<DigestKeys> {
    let keys = roots.iter().map(|(id, root)| (*id, digest_key(root, purpose))).collect();
    DigestKeys::with_newest(keys, newest)
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
    /// The key that is to make everything new is not among them.
    #[error("there is no root key {0}")]
    Unknown(u32),
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
