//! The keyring with fresh randomness: what the writer seals and commits with.

use countersign_domain::audit::CLIENT_SALT_LEN;
use countersign_keyring::{Keyring, NONCE_LEN, Nonce};
use countersign_ports::Random;
use std::sync::Arc;

/// Seals values on their way into the database.
pub(crate) struct Sealer {
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) random: Arc<dyn Random>,
}

impl Sealer {
    /// Randomness for one seal.
    pub(crate) fn nonce(&self) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce);
        nonce
    }

    /// Randomness that keeps the commitment to an event's claims from being guessed.
    pub(crate) fn client_salt(&self) -> [u8; CLIENT_SALT_LEN] {
        let mut salt = [0; CLIENT_SALT_LEN];
        self.random.fill(&mut salt);
        salt
    }
}
