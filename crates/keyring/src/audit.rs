//! Signing the seals of the log (R56). What a seal says is the domain's.

use crate::purpose::purpose_key;
use crate::root_key::RootKey;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// The info string of the key, as those of the other purposes.
const INFO: &str = "countersign/v1/audit-seal";

/// The Ed25519 key that one root key makes.
pub(crate) struct AuditKey(Ed25519KeyPair);

impl AuditKey {
    #[expect(clippy::expect_used, reason = "a seed of Ed25519 is any 32 bytes (RFC 8032 section 5.1.5)")]
    pub(crate) fn new(root: &RootKey) -> Self {
        let seed = purpose_key(root, INFO);
        // The purpose key has the length that the reason above names.
        Self(Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).expect("32 bytes are a seed"))
    }

    /// Its public half.
    pub(crate) fn public_key(&self) -> [u8; 32] {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        key
    }

    /// The signature over a statement.
    pub(crate) fn sign(&self, statement: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.0.sign(statement).as_ref());
        signature
    }
}

/// Whether the signature over the statement is that key's.
pub fn audit_signature_holds(public_key: &[u8; 32], statement: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ED25519, public_key).verify(statement, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Keyring;
    use countersign_domain::digest::KeyId;
    use std::collections::BTreeMap;

    fn keyring(seeds: &[(u32, u8)]) -> Keyring {
        let root = |seed: u8| {
            let mut bytes = [seed; RootKey::LEN];
            bytes[0] = 0;
            RootKey::from_bytes(bytes).unwrap()
        };
        let roots: BTreeMap<_, _> = seeds.iter().map(|(id, seed)| (KeyId(*id), root(*seed))).collect();
        Keyring::new(roots).unwrap()
    }

    /// R56: a signature holds for its statement and key alone.
    #[test]
    fn a_signature_holds_for_its_statement_and_key_alone() {
        let keyring = keyring(&[(1, 7), (2, 8)]);
        let signature = keyring.sign_audit(b"statement");
        let key = |id| keyring.audit_public_key(KeyId(id)).unwrap();
        assert!(audit_signature_holds(&key(2), b"statement", &signature), "the newest key signs");
        assert!(!audit_signature_holds(&key(1), b"statement", &signature));
        assert!(!audit_signature_holds(&key(2), b"Statement", &signature));
        let mut other = signature;
        other[0] ^= 1;
        assert!(!audit_signature_holds(&key(2), b"statement", &other));
        assert_eq!(keyring.audit_public_key(KeyId(3)), None);
    }

    /// R52: a key keeps its public half when a newer one joins it.
    #[test]
    fn a_key_stays_the_same_after_a_rotation() {
        let before = keyring(&[(1, 7)]).audit_public_key(KeyId(1));
        assert_eq!(keyring(&[(1, 7), (2, 8)]).audit_public_key(KeyId(1)), before);
    }
}
